from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

from rfx.estimators.running_stats_vec import RunningStatsVec

class RunningObservationNormalizer:
    stats: RunningStatsVec
    epsilon: float
    clip: float | None
    frozen: bool
    def __init__(
        self,
        shape: int | tuple[int, ...],
        *,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        prior_count: float = 1e-4,
    ) -> None: ...
    def __call__(self, observations: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def normalize(self, observations: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def denormalize(self, observations: ArrayLike) -> NDArray[Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...

class RunningRewardNormalizer:
    stats: RunningStatsVec
    num_envs: int
    gamma: float
    epsilon: float
    clip: float | None
    convention: str
    autoreset: str
    frozen: bool
    def __init__(
        self,
        num_envs: int = 1,
        *,
        gamma: float = 0.99,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        prior_count: float = 1e-4,
        convention: Literal["stable-baselines3", "gymnasium"] = "stable-baselines3",
        autoreset: Literal["same_step", "next_step"] = "same_step",
    ) -> None: ...
    def __call__(self, rewards: ArrayLike, terminated: ArrayLike, truncated: ArrayLike) -> NDArray[Any]: ...
    def normalize(self, rewards: ArrayLike) -> NDArray[Any]: ...
    @property
    def returns(self) -> NDArray[Any]: ...
    def reset(self) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
