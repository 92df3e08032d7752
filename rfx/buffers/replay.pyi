"""A ring of transitions with uniform sampling."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfx.buffers.columns import Column
from rfx.buffers.layout import Layout
from rfx.buffers.saved import Saved

class ReplayBuffer(Saved):
    def __init__(
        self,
        capacity: int,
        obs_shape: int | tuple[int, ...] | Mapping[str, Any],
        act_shape: int | tuple[int, ...] = 1,
        *,
        obs_dtype: DTypeLike = ...,
        act_dtype: DTypeLike = ...,
        extra: Mapping[str, tuple[Any, Any]] | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
        num_envs: int = 1,
    ) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def n_step(self) -> int: ...
    @property
    def gamma(self) -> float: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def schema(self) -> tuple[Column, ...]: ...
    @property
    def columns(self) -> dict[str, Any]: ...
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
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...

def slots_given(indices: ArrayLike, length: int) -> NDArray[Any]: ...
def without(out: Any, names: tuple[str, ...]) -> Any: ...
