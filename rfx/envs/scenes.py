"""Pictures of the classic environments, each from a state and its physics."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rfx.envs.raster import BLACK, GREY, Canvas

Picture = NDArray[np.uint8]
State = NDArray[np.float64]
Physics = Mapping[str, float]

WOOD, STEEL, BLUE, RED, GREEN, GOLD = (
    (202, 152, 101),
    (90, 100, 115),
    (60, 110, 190),
    (205, 75, 70),
    (95, 155, 95),
    (225, 180, 60),
)


def cart_pole(state: State, physics: Physics) -> Picture:
    """A cart on its track with the pole on it; red posts where an episode ends."""
    x, _, angle, _ = state
    length = 2.0 * physics["length"]
    canvas = Canvas(600, 400, -3.0, -0.8, 100.0)
    canvas.line((-3.2, 0.0), (3.2, 0.0), 0.02, BLACK)
    for end in (-2.4, 2.4):
        canvas.line((end, -0.12), (end, 0.12), 0.04, RED)
    canvas.box((x, 0.15), (0.5, 0.3), 0.0, STEEL)
    top = (x + length * math.sin(angle), 0.3 + length * math.cos(angle))
    canvas.line((x, 0.3), top, 0.1, WOOD)
    canvas.disc(x, 0.3, 0.05, BLUE)
    return canvas.picture()


def pendulum(state: State, physics: Physics) -> Picture:
    """A rod about its axle, upright at angle 0, and to the left for small positive angles."""
    angle, _ = state
    length = physics["length"]
    canvas = Canvas(500, 500, -2.2, -2.2, 500.0 / 4.4)
    canvas.disc(0.0, 0.0, 0.03, GREY)
    canvas.line((0.0, 0.0), (-length * math.sin(angle), length * math.cos(angle)), 0.2, RED)
    canvas.disc(0.0, 0.0, 0.06, BLACK)
    return canvas.picture()


def mountain_car(state: State, physics: Physics, goal: float = 0.5) -> Picture:
    """A car between two hills, and a flag at the goal."""
    x = float(state[0])
    canvas = Canvas(600, 400, -1.2, 0.0, 600.0 / 1.8)

    def height(at: float) -> float:
        return math.sin(3.0 * at) * 0.45 + 0.55

    canvas.line((goal, height(goal)), (goal, height(goal) + 0.15), 0.008, BLACK)
    canvas.box((goal + 0.04, height(goal) + 0.125), (0.08, 0.05), 0.0, GOLD)
    canvas.below(np.sin(3.0 * canvas.columns) * 0.45 + 0.55, GREEN)
    slope = math.atan(1.35 * math.cos(3.0 * x))
    along, up = (math.cos(slope), math.sin(slope)), (-math.sin(slope), math.cos(slope))
    base = (x, height(x))
    canvas.box((base[0] + 0.04 * up[0], base[1] + 0.04 * up[1]), (0.12, 0.05), slope, STEEL)
    for side in (-0.035, 0.035):
        canvas.disc(base[0] + side * along[0] + 0.015 * up[0], base[1] + side * along[1] + 0.015 * up[1], 0.018, BLACK)
    return canvas.picture()


def mountain_car_continuous(state: State, physics: Physics) -> Picture:
    """The same with the goal a little lower."""
    return mountain_car(state, physics, goal=0.45)


def acrobot(state: State, physics: Physics) -> Picture:
    """Two links that hang from an axle, and the height that the lower end is to reach."""
    first, second = float(state[0]), float(state[0] + state[1])
    length = physics["link_length_1"]
    canvas = Canvas(500, 500, -2.2, -2.2, 500.0 / 4.4)
    canvas.line((-2.4, 1.0), (2.4, 1.0), 0.02, BLACK)
    elbow = (length * math.sin(first), -length * math.cos(first))
    tip = (elbow[0] + math.sin(second), elbow[1] - math.cos(second))
    canvas.line((0.0, 0.0), elbow, 0.16, BLUE)
    canvas.line(elbow, tip, 0.16, RED)
    for x, y in ((0.0, 0.0), elbow):
        canvas.disc(x, y, 0.09, GOLD)
    return canvas.picture()


SCENES: dict[str, Callable[[State, Physics], Picture]] = {
    "CartPole-v1": cart_pole,
    "Pendulum-v1": pendulum,
    "MountainCar-v0": mountain_car,
    "MountainCarContinuous-v0": mountain_car_continuous,
    "Acrobot-v1": acrobot,
}
