"""A ring of transitions in a file."""

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

from numpy.typing import ArrayLike, DTypeLike

from rfx.buffers.columns import Column
from rfx.buffers.row_store import RowStore

class MmapReplayBuffer(RowStore):
    def __init__(
        self,
        hot_capacity: int,
        total_capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...],
        path: str | os.PathLike[str],
        *,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
        mode: Literal["create", "open", "open_or_create"] = "create",
        check: bool = True,
        repair: bool = False,
    ) -> None: ...
    @classmethod
    def open(
        cls, path: str | os.PathLike[str], hot_capacity: int | None = None, *, check: bool = True, repair: bool = False
    ) -> Self: ...
    @property
    def capacity(self) -> int: ...
    @property
    def hot_capacity(self) -> int: ...
    @property
    def pushed(self) -> int: ...
    @property
    def schema(self) -> tuple[Column, ...]: ...
    def __len__(self) -> int: ...
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
