"""Compiled face of walking: leg kinematics for arrays, and the controller that stands and trots."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.sim.plant import JointCommand, PlantState

LIMITS: dict[str, tuple[float, float]]
MASS: float

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

class GaitController:
    def __init__(self) -> None: ...
    def reset(self) -> None: ...
    def walk(self, vx: float, vy: float, vyaw: float, *, always: bool = False) -> None: ...
    def pose(
        self,
        *,
        height: float | None = None,
        roll: float | None = None,
        pitch: float | None = None,
        yaw: float | None = None,
        lift: float | None = None,
    ) -> None: ...
    def update(self, state: PlantState, command: JointCommand) -> None: ...
    @property
    def mode(self) -> str | None: ...
    @property
    def contacts(self) -> tuple[bool, bool, bool, bool]: ...
    @property
    def velocity(self) -> tuple[float, float, float]: ...
    def state_dict(self) -> dict[str, bytes]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
