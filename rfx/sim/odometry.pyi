"""Compiled face of odometry: how fast the trunk of a Go2 moves, from what the robot itself measures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

class VelocityEstimator:
    def __init__(self, *, light: float = 15.0, firm: float = 60.0, pull: float = 20.0, doubt: float = 0.15) -> None: ...
    def reset(self, velocity: ArrayLike = (0.0, 0.0, 0.0)) -> None: ...
    def update(
        self,
        q: ArrayLike,
        dq: ArrayLike,
        quaternion: ArrayLike,
        gyroscope: ArrayLike,
        accelerometer: ArrayLike,
        foot_force: ArrayLike,
        dt: float = 0.002,
    ) -> NDArray[np.float64]: ...
    @property
    def velocity(self) -> NDArray[np.float64]: ...
    @property
    def trust(self) -> NDArray[np.float64]: ...
    def state_dict(self) -> dict[str, NDArray[np.float64]]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
