"""One environment at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.envs.batched import BatchedEnv
from rfx.envs.drift import Drift

class Transition:
    obs: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any] | None
    def __init__(
        self, obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any] | None = None
    ) -> None: ...

class Single:
    env_id: str
    observation_space: Any
    action_space: Any
    def __init__(self, seed: int | None = None, **options: float | dict[str, Drift]) -> None: ...
    @property
    def engine(self) -> BatchedEnv: ...
    @property
    def physics(self) -> dict[str, NDArray[np.float64]]: ...
    def reset(self, seed: int | None = None) -> NDArray[np.float32]: ...
    def step(self, action: Any) -> Transition: ...
    def render(self, mode: str = "text") -> str | NDArray[np.uint8]: ...
    def state_dict(self) -> dict[str, NDArray[Any]]: ...
    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None: ...
