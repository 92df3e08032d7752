"""Compiled faces of the simulation: the motor law, the joint-space plant, and the ray caster behind the pictures."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

def motor_law(command: NDArray[np.float64], enabled: NDArray[Any], out: NDArray[np.float64]) -> None: ...
def step_joints(
    state: NDArray[np.float64], law: NDArray[np.float64], plant: NDArray[np.float64], h: float, steps: int
) -> None: ...
def cast_rays(
    shapes: ArrayLike, origins: ArrayLike, directions: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]: ...
