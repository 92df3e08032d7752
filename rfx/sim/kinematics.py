"""Where the links of the Go2 are, from its joint angles: what the pictures of a plant without MuJoCo need."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.sim.go2_model import CALF_LENGTH, FOOT_RADIUS, FOOT_X, JOINTS, LEGS, LINKS, joint_place

Array = NDArray[np.float64]


def _turn(axis: str, angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def link_poses(q: ArrayLike, height: float = 0.0) -> tuple[Array, Array]:
    """Place of each link of ``go2_model.LINKS`` with a level trunk at (0, 0, ``height``).

    Parameters
    ----------
    q : array_like, shape (12,)
        Joint positions in motor order (rad).
    height : float
        Of the trunk's centre over the floor (m).

    Returns
    -------
    positions : ndarray, shape (13, 3), float64
    rotations : ndarray, shape (13, 3, 3), float64
        World from link.

    Raises
    ------
    ShapeError, InvalidValueError
        Not twelve finite numbers.
    """
    angles = arrays.finite(arrays.floats(q, "q", (len(JOINTS),), np.float64), "q")
    places = {"trunk": (np.array([0.0, 0.0, height]), np.eye(3))}
    for leg in LEGS:
        above = "trunk"
        for part in ("hip", "thigh", "calf"):
            link = f"{leg}_{part}"
            origin, rotation = places[above]
            turn = _turn("x" if part == "hip" else "y", float(angles[JOINTS.index(link)]))
            places[link] = (origin + rotation @ np.array(joint_place(link)), rotation @ turn)
            above = link
    return np.array([places[link][0] for link in LINKS]), np.array([places[link][1] for link in LINKS])


def foot_positions(q: ArrayLike) -> Array:
    """Centres of the feet FR, FL, RR, RL in the trunk's frame, shape (4, 3), in metres."""
    positions, rotations = link_poses(q)
    index = [LINKS.index(f"{leg}_calf") for leg in LEGS]
    return positions[index] + rotations[index] @ np.array([FOOT_X, 0.0, -CALF_LENGTH])


def standing_height(q: ArrayLike) -> float:
    """Height of the trunk's centre when the lowest foot just touches the floor and the trunk is level (m)."""
    return float(FOOT_RADIUS - foot_positions(q)[:, 2].min())
