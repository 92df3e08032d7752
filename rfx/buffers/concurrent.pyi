"""A ring of transitions that many threads and processes write while learners sample, without a lock."""

import os
from collections.abc import Mapping
from typing import Any, Self

from numpy.typing import ArrayLike, DTypeLike

from rfx.buffers.shared_rows import SharedRows

class ConcurrentReplayBuffer(SharedRows):
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...] = 1,
        *,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
        shared: bool = False,
        name: str | None = None,
    ) -> None: ...
    @classmethod
    def attach(cls, name: str) -> Self: ...
    def push(
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        extra: Mapping[str, ArrayLike] | None = None,
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
    ) -> int: ...
    def sample(self, batch_size: int, seed: Any, out: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def sample_recent(
        self, batch_size: int, window_size: int, seed: Any, out: dict[str, Any] | None = None
    ) -> dict[str, Any]: ...
    def gather(self, indices: ArrayLike, out: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def clear(self) -> None: ...
    def config(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

def reattached(kind: type[Any], name: str, capacity: int, described: bytes) -> Any: ...
