"""Many environments of one kind, stepped together."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

class BatchedEnv:
    def __init__(self, num_envs: int) -> None: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def max_episode_steps(self) -> int: ...
    @property
    def observation_space(self) -> Any: ...
    @property
    def action_space(self) -> Any: ...
    @property
    def states(self) -> NDArray[Any]: ...
    def seed(self, seeds: ArrayLike, mask: NDArray[Any] | None = None) -> None: ...
    def seed_from(self, master: int) -> None: ...
    @property
    def episode_steps(self) -> NDArray[Any]: ...
    def reset(self, out: NDArray[Any] | None = None, mask: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def step(
        self,
        actions: ArrayLike,
        obs: NDArray[Any],
        rewards: NDArray[Any],
        terminated: NDArray[Any],
        truncated: NDArray[Any],
        terminal_obs: NDArray[Any],
        autoreset: int,
    ) -> None: ...
    def set_states(self, states: ArrayLike, steps: ArrayLike | None = None) -> None: ...

class CartPoleBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        *,
        gravity: float = 9.8,
        masscart: float = 1.0,
        masspole: float = 0.1,
        length: float = 0.5,
        force_mag: float = 10.0,
        tau: float = 0.02,
        max_episode_steps: int = 500,
    ) -> None: ...

class PendulumBatch(BatchedEnv):
    def __init__(
        self, num_envs: int, *, g: float = 10.0, mass: float = 1.0, length: float = 1.0, max_episode_steps: int = 200
    ) -> None: ...

def batch_of(env_id: str, num_envs: int, **options: Any) -> BatchedEnv: ...
