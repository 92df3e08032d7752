"""A ring of transitions with uniform sampling."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.columns import Column

class ReplayBuffer:
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...],
        act_shape: int | tuple[int, ...] = 1,
        *,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...
    def __len__(self) -> int: ...
    def push(
        self,
        obs: ArrayLike,
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_obs: ArrayLike,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> int: ...
    def push_batch(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_obs: ArrayLike,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> int: ...
    def sample(
        self, batch_size: int, seed: Any, out: dict[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]: ...
    def sample_recent(
        self, batch_size: int, window_size: int, seed: Any, out: dict[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]: ...
    def gather(self, indices: ArrayLike, out: dict[str, NDArray[Any]] | None = None) -> dict[str, NDArray[Any]]: ...
    def clear(self) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
