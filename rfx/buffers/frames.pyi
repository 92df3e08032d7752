"""Replay of stacked frames, each of which is kept once."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.columns import Column
from rfx.buffers.layout import Layout
from rfx.buffers.saved import Saved

class FrameStackReplayBuffer(Saved):
    def __init__(
        self,
        capacity: int,
        frame_shape: int | tuple[int, ...],
        act_shape: int | tuple[int, ...] = (),
        *,
        stack: int = 4,
        padding: str = "first",
        num_envs: int = 1,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def stack(self) -> int: ...
    @property
    def padding(self) -> str: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def schema(self) -> tuple[Column, ...]: ...
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
        env: int = 0,
    ) -> int: ...
    def push_batch(
        self,
        obs: Any,
        actions: Any,
        rewards: Any,
        terminated: Any,
        truncated: Any,
        next_obs: Any,
        extra: Mapping[str, Any] | None = None,
        envs: ArrayLike | None = None,
    ) -> NDArray[Any]: ...
    def coming(self, env: int) -> NDArray[Any] | None: ...
    def newest(self, obs: ArrayLike, name: str, many: bool = False) -> NDArray[Any]: ...
    def sample(self, batch_size: int, seed: int, out: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def clear(self) -> None: ...
    def config(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
