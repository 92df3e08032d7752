"""Divergence of a policy from a reference, from log-probabilities of tokens."""

from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def compute_token_kl(log_p: ArrayLike, log_q: ArrayLike) -> float: ...
def categorical_kl(log_p: ArrayLike, log_q: ArrayLike) -> NDArray[Any]: ...
def token_kl(
    log_probs: ArrayLike,
    ref_log_probs: ArrayLike,
    *,
    estimator: Literal["k1", "k2", "k3"] = "k3",
    mask: ArrayLike | None = None,
    reduction: str = "none",
    offsets: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
) -> Any: ...
