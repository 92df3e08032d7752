from typing import Any

from numpy.typing import ArrayLike, NDArray

def discounted_returns(
    rewards: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    final_values: ArrayLike | None,
    last_values: ArrayLike,
    gamma: float,
    *,
    time_axis: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def td_lambda(
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
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def n_step_returns(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    final_values: ArrayLike | None,
    last_values: ArrayLike,
    gamma: float,
    n: int,
    *,
    time_axis: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def retrace(
    log_rhos: ArrayLike,
    rewards: ArrayLike,
    q_values: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    final_values: ArrayLike | None,
    last_values: ArrayLike,
    gamma: float,
    lam: float = 1.0,
    *,
    c_bar: float = 1.0,
    time_axis: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def upgo(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    final_values: ArrayLike | None,
    last_values: ArrayLike,
    gamma: float,
    *,
    time_axis: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
