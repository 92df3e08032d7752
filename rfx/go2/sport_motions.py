"""Moves of the simulated sport mode that are joint targets over time: up, down, sit, wave, stretch, roll over."""

import numpy as np
from numpy.typing import NDArray

from rfx.go2.posture import LIE, STAND, Phase, PosturePlan

Angles = tuple[float, float, float]
Pose = NDArray[np.float64]

KP, KD = 60.0, 4.0


def legs(fr: Angles, fl: Angles, rr: Angles, rl: Angles) -> Pose:
    """Joint positions from hip, thigh, calf of each leg."""
    return np.array([*fr, *fl, *rr, *rl])


def mirrored(pose: Pose) -> Pose:
    """The same pose with left and right exchanged."""
    swapped = pose.reshape(4, 3)[[1, 0, 3, 2]].copy()
    swapped[:, 0] *= -1.0
    return swapped.ravel()


TUCK = legs(*[(0.0, 1.3, -2.7)] * 4)
SIT = legs((-0.1, 0.75, -1.3), (0.1, 0.75, -1.3), (-0.3, 2.1, -2.65), (0.3, 2.1, -2.65))
PAW_UP = legs((-0.2, -0.5, -1.3), (0.25, 0.75, -1.3), (-0.3, 2.1, -2.65), (0.3, 2.1, -2.65))
PAW_OUT = legs((-0.6, -0.5, -1.0), (0.25, 0.75, -1.3), (-0.3, 2.1, -2.65), (0.3, 2.1, -2.65))
BOW = legs((-0.15, 0.9, -2.45), (0.15, 0.9, -2.45), (-0.1, 0.75, -1.3), (0.1, 0.75, -1.3))


def gather() -> PosturePlan:
    """Bring the legs under the trunk."""
    return PosturePlan([Phase("gather", 0.8, LIE, 40.0, 3.0)])


def stand_up() -> PosturePlan:
    """Gather the legs, then stand up from the floor."""
    return PosturePlan([Phase("gather", 0.6, LIE, 40.0, 3.0), Phase("stand up", 1.4, STAND, KP, KD)])


def stand() -> PosturePlan:
    """Go to the standing pose from one that stands already."""
    return PosturePlan([Phase("stand", 0.8, STAND, KP, KD)])


def lie_down() -> PosturePlan:
    """Lie down and let go of most of the stiffness."""
    return PosturePlan([Phase("lie down", 1.8, LIE, 40.0, KD), Phase("rest", 0.4, LIE, 5.0, KD)])


def sit_down() -> PosturePlan:
    """Sit: the rear down, the front up."""
    return PosturePlan([Phase("sit", 1.6, SIT, KP, KD)])


def rise() -> PosturePlan:
    """Stand up from sitting."""
    return PosturePlan([Phase("rise", 1.6, STAND, 70.0, KD)])


def hello() -> PosturePlan:
    """Sit, wave with the right paw, stand up."""
    wave = [Phase("wave", 0.3, pose, KP, 3.0) for pose in (PAW_OUT, PAW_UP) * 3]
    return PosturePlan(
        [Phase("sit", 1.6, SIT, KP, KD), Phase("paw up", 0.6, PAW_UP, KP, 3.0), *wave]
        + [Phase("sit", 0.6, SIT, KP, KD), Phase("rise", 1.6, STAND, 70.0, KD)]
    )


def stretch() -> PosturePlan:
    """Bow with the front legs down and stand again."""
    return PosturePlan(
        [Phase("bow", 1.2, BOW, KP, KD), Phase("hold", 1.0, BOW, KP, KD), Phase("stand", 1.2, STAND, KP, KD)]
    )


def roll_over(right_side_down: bool) -> PosturePlan:
    """Roll from the back or a side onto the belly: the upper legs reach over the back and push, then the lower ones."""
    folded, waiting, reach, both = (0.0, 1.3, -2.7), (0.0, 2.0, -2.7), (0.6, 3.2, -0.9), (1.04, 3.2, -0.9)
    poses = [
        ("tuck", 0.5, TUCK),
        ("reach over", 0.4, legs(folded, reach, folded, reach)),
        ("make room", 0.3, legs(waiting, reach, waiting, reach)),
        ("push", 0.3, legs(both, reach, both, reach)),
        ("push on", 0.3, legs(*[both] * 4)),
        ("tuck", 0.4, TUCK),
        ("gather", 0.4, LIE),
    ]
    return PosturePlan(
        [Phase(name, s, mirrored(pose) if right_side_down else pose, 80.0, 3.0) for name, s, pose in poses]
    )
