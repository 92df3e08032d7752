"""Replay in proportion to priorities."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.replay import ReplayBuffer

class PrioritizedReplayBuffer(ReplayBuffer):
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...] = 1,
        alpha: float = 0.6,
        beta: float = 0.4,
        *,
        beta_end: float = 1.0,
        beta_samples: int = 0,
        normalize: str = "buffer",
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
        num_envs: int = 1,
    ) -> None: ...
    @property
    def alpha(self) -> float: ...
    @property
    def beta(self) -> float: ...
    @property
    def max_priority(self) -> float: ...
    @property
    def normalize(self) -> str: ...
    @property
    def shares(self) -> NDArray[Any]: ...
    def set_beta(self, beta: float) -> None: ...
    def push(
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        extra: Mapping[str, ArrayLike] | None = None,
        priority: float | None = None,
    ) -> int: ...
    def push_batch(
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        actions: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        extra: Mapping[str, ArrayLike] | None = None,
        priorities: ArrayLike | None = None,
    ) -> int: ...
    def update_priorities(self, indices: ArrayLike, priorities: ArrayLike, serials: ArrayLike | None = None) -> int: ...
    def sample(self, batch_size: int, seed: Any, out: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def sample_recent(
        self, batch_size: int, window_size: int, seed: Any, out: dict[str, Any] | None = None
    ) -> dict[str, Any]: ...
    def clear(self) -> None: ...
    def config(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
