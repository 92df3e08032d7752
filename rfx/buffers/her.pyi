"""Hindsight experience replay."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.layout import Layout
from rfx.buffers.sequence import SequenceReplayBuffer

class HERBuffer(SequenceReplayBuffer):
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...] = 1,
        goal_shape: int | tuple[int, ...] = 1,
        *,
        strategy: str = "future",
        k: int = 4,
        her_ratio: float | None = None,
        tolerance: float = 0.05,
        reward_fn: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
        terminated_fn: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
        goal_offset: int | None = None,
        num_envs: int = 1,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None: ...
    @property
    def strategy(self) -> str: ...
    @property
    def her_ratio(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def reward_fn(self) -> Callable[[NDArray[Any], NDArray[Any]], Any] | None: ...
    @property
    def terminated_fn(self) -> Callable[[NDArray[Any], NDArray[Any]], Any] | None: ...
    @property
    def goal_offset(self) -> int | None: ...
    @staticmethod
    def make_layout(  # type: ignore[override]
        obs_shape: Any, act_shape: Any, obs_dtype: Any, act_dtype: Any, extra: Any, goal_shape: Any = 1, **further: Any
    ) -> Layout: ...
    def push(  # type: ignore[override]
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        achieved_goal: ArrayLike,
        desired_goal: ArrayLike,
        extra: Mapping[str, ArrayLike] | None = None,
        env: int = 0,
    ) -> int: ...
    def push_slices(  # type: ignore[override]
        self,
        obs: Any,
        next_obs: Any,
        action: ArrayLike,
        reward: float,
        terminated: bool,
        truncated: bool,
        achieved_goal: ArrayLike,
        desired_goal: ArrayLike,
    ) -> int: ...
    def push_batch(  # type: ignore[override]
        self,
        obs: ArrayLike | Mapping[str, ArrayLike],
        actions: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_obs: ArrayLike | Mapping[str, ArrayLike],
        achieved_goals: ArrayLike,
        desired_goals: ArrayLike,
        extra: Mapping[str, ArrayLike] | None = None,
        envs: ArrayLike | None = None,
    ) -> NDArray[Any]: ...
    def sample(  # type: ignore[override]
        self, batch_size: int, seed: int, her_ratio: float | None = None, out: dict[str, Any] | None = None
    ) -> dict[str, Any]: ...
    def relabel(self, batch: dict[str, Any], rows: slice, goal: NDArray[Any]) -> None: ...
    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[Any]: ...
    def config(self) -> dict[str, Any]: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @classmethod
    def load(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        reward_fn: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
        terminated_fn: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
    ) -> Self: ...
