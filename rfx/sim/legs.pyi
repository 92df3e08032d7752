"""Compiled face of the legs: where the feet are, how they move, which joints put them somewhere, how they share a load."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

def feet_of(q: ArrayLike) -> NDArray[np.float64]: ...
def jacobians_of(q: ArrayLike) -> NDArray[np.float64]: ...
def joints_for(feet: ArrayLike) -> NDArray[np.float64]: ...
def ground_forces(
    feet: ArrayLike,
    weight: ArrayLike,
    wrench: ArrayLike,
    slack: ArrayLike,
    friction: float = 0.6,
    most: float = 250.0,
) -> NDArray[np.float64]: ...
