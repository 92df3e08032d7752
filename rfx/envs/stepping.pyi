"""Many environments at once."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

class StepBatch:
    obs: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    terminal_obs: NDArray[np.float32]
    def __init__(
        self,
        obs: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        terminal_obs: NDArray[np.float32],
    ) -> None: ...

class VecEnv:
    env_id: str
    num_envs: int
    observation_space: Any
    action_space: Any
    engine: Any
    def __init__(
        self, env: Any, num_envs: int | None = None, seed: int = 0, workers: int = 0, **options: Any
    ) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> VecEnv: ...
    def __exit__(self, *details: object) -> None: ...
    @property
    def physics(self) -> dict[str, NDArray[np.float64]]: ...
    def state_dict(self) -> dict[str, NDArray[Any]]: ...
    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None: ...
    def reset_all(self, seed: int | None = None) -> NDArray[np.float32]: ...
    def step_all(self, actions: ArrayLike, out: StepBatch | None = None) -> StepBatch: ...
