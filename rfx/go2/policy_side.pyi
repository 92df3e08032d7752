"""The robot's side of a policy's contract, compiled."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.nn.compiled import CompiledPolicy

PLACES: dict[str, int]

class PolicySide:
    policy: CompiledPolicy
    contract: Any
    obs_dim: int
    needs_lin_vel: bool
    def __init__(self, policy: CompiledPolicy) -> None: ...
    def reset(self) -> None: ...
    def observe(self, readings: Mapping[str, ArrayLike]) -> NDArray[np.float32]: ...
    def targets(self, action: ArrayLike) -> NDArray[np.float64]: ...
    def __call__(self, readings: Mapping[str, ArrayLike]) -> NDArray[np.float64]: ...
    @property
    def last_observation(self) -> NDArray[np.float32]: ...
    @property
    def last_action(self) -> NDArray[np.float32]: ...
