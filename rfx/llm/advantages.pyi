"""Advantages of completions within their group."""

from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def compute_group_advantages(rewards: ArrayLike) -> NDArray[Any]: ...
def group_advantages(
    rewards: ArrayLike,
    group_size: int | None = None,
    group_ids: ArrayLike | None = None,
    *,
    scale: Literal["group", "batch", "none"] = "group",
    ddof: int = 0,
    eps: float = 0.0,
    std_floor: float = 1e-8,
    leave_one_out: bool = False,
    mask: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
