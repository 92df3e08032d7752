"""Sequences of consecutive steps out of episodes."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.columns import Column
from rfx.buffers.layout import Layout
from rfx.buffers.saved import Saved

class SequenceReplayBuffer(Saved):
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...] = 1,
        *,
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
    def layout(self) -> Layout: ...
    @property
    def schema(self) -> tuple[Column, ...]: ...
    def __len__(self) -> int: ...
    @staticmethod
    def make_layout(obs_shape: Any, act_shape: Any, obs_dtype: Any, act_dtype: Any, extra: Any) -> Layout: ...
    def num_complete_episodes(self) -> int: ...
    def push(
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        extra: Mapping[str, ArrayLike] | None = None,
        env: int = 0,
    ) -> int: ...
    def push_slices(
        self, obs: Any, next_obs: Any, action: ArrayLike, reward: float, terminated: bool, truncated: bool
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
        envs: ArrayLike | None = None,
    ) -> NDArray[Any]: ...
    def lanes_given(self, envs: ArrayLike | None, n: int) -> NDArray[Any]: ...
    def sample(self, batch_size: int, seed: int, out: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def sample_sequences(
        self,
        batch_size: int,
        seq_len: int,
        seed: int,
        *,
        burn_in: int = 0,
        over: str = "episodes",
        with_open: bool = False,
        pad: bool = False,
        out: dict[str, Any] | None = None,
    ) -> dict[str, Any]: ...
    def clear(self) -> None: ...
    def config(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def gathered(self, index: NDArray[Any]) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
