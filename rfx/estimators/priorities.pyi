from typing import Any

from numpy.typing import ArrayLike, NDArray

def compute_priorities(losses: ArrayLike, eps: float = 1e-6, *, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
def compute_priorities_simd(
    losses: ArrayLike, eps: float = 1e-6, *, out: NDArray[Any] | None = None
) -> NDArray[Any]: ...
def compute_td_priorities(
    td_errors: ArrayLike, *, min_priority: float = 1e-6, out: NDArray[Any] | None = None
) -> NDArray[Any]: ...
def compute_lap_priorities(
    td_errors: ArrayLike,
    losses: ArrayLike | None = None,
    *,
    eta: float = 1.0,
    min_priority: float | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
