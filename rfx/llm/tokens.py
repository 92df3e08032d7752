"""Vectors of token ids and what belongs to tokens, checked where they come in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import DTypeError, InvalidValueError, ShapeError


def sequence_of(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """Return ``value`` as a contiguous vector of this dtype, refused where that would lose something.

    Parameters
    ----------
    value : array_like, shape (n,)
        Numbers or bool; n may be 0.
    name : str
        What to call it in an error.
    dtype : dtype, optional
        What it must fit; by default it stays what it is (and an empty list becomes int64).

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not a vector; not numbers, or floats for integers or for shorter floats; integers out of the range of ``dtype``.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"expected {name} to be a vector of numbers: {error}") from error
    if array.ndim != 1:
        raise ShapeError(f"expected {name} of shape (N,), got {array.shape}")
    if not array.size and not isinstance(value, np.ndarray):
        array = array.astype(np.int64 if dtype is None else dtype)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"expected {name} to hold numbers, got dtype {array.dtype}")
    if dtype is not None and array.dtype != dtype:
        array = _converted(array, name, np.dtype(dtype), isinstance(value, (np.ndarray, np.generic)))
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def _converted(array: NDArray[Any], name: str, dtype: np.dtype[Any], strict: bool) -> NDArray[Any]:
    if np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < limits.min or high > limits.max:
            raise InvalidValueError(f"expected {name} within {limits.min}..{limits.max}, got {low}..{high}")
        return array.astype(dtype)
    integers = array.dtype.kind in "iu"
    exact = array.astype(dtype) if integers or dtype.kind == "f" else array
    if not (integers and np.array_equal(exact, array)) and (dtype.kind != "f" or strict):
        raise DTypeError(f"expected {name} of dtype {dtype}, got {array.dtype}; convert it yourself if a loss is meant")
    return exact


def listed(sequences: Any) -> list[Any]:
    """Return the sequences of an iterable as a list; DTypeError where it is none."""
    try:
        return list(sequences)
    except TypeError as error:
        raise DTypeError(f"expected an iterable of sequences, got {type(sequences).__name__}") from error


def token_ids(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """Return ``value`` as :func:`sequence_of` does, and only if it holds integers."""
    array = sequence_of(value, name, dtype)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"expected {name} to hold token ids, integers, got dtype {array.dtype}")
    return array
