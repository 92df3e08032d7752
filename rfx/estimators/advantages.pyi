from typing import Any

from numpy.typing import ArrayLike, NDArray

def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    final_values: ArrayLike | None,
    last_values: ArrayLike,
    gamma: float,
    lam: float,
    *,
    time_axis: int = 0,
    out: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def compute_gae(
    rewards: ArrayLike, values: ArrayLike, dones: ArrayLike, last_value: ArrayLike, gamma: float, gae_lambda: float
) -> tuple[NDArray[Any], NDArray[Any]]: ...
