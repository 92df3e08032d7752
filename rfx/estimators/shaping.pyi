from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def shape_rewards_pbrs(
    rewards: ArrayLike,
    phi_current: ArrayLike,
    phi_next: ArrayLike,
    gamma: float,
    dones: ArrayLike,
    *,
    terminal: Literal["raw", "zero_potential"] = "raw",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def pbrs_simd(
    rewards: ArrayLike,
    phi_current: ArrayLike,
    phi_next: ArrayLike,
    gamma: float,
    dones: ArrayLike,
    *,
    terminal: Literal["raw", "zero_potential"] = "raw",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def compute_goal_distance_potentials(
    observations: ArrayLike,
    goal: ArrayLike,
    *,
    goal_start: int = 0,
    scale: float = 1.0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
