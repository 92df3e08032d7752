"""From values of tokens to values of sequences and batches."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

def token_mask(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]: ...
def token_offsets(offsets: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[Any]: ...
def token_exp(values: NDArray[Any]) -> NDArray[Any]: ...
def reduce_tokens(
    values: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    how: str = "token_mean",
    offsets: ArrayLike | None = None,
    max_length: int | None = None,
) -> Any: ...
