"""The one door where numbers and arrays from outside are checked.

Every function either returns what a kernel can take as it is, or raises an error that names the argument, says what
was expected and what came. Nothing here changes its input.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import DTypeError, InvalidValueError, ShapeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
Shape = Sequence[int | None]


def describe(shape: Shape) -> str:
    """Write a shape pattern as people do: ``(N, 3)`` for ``(None, 3)``."""
    parts = ["N" if n is None else str(n) for n in shape]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def number(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return ``value`` as a finite float within [minimum, maximum] and strictly within (above, below).

    Raises DTypeError for what is not a real number, InvalidValueError for NaN, infinities and values out of range.
    """
    if isinstance(value, (str, bytes, bytearray)):
        raise DTypeError(f"expected {name} to be a real number, got {type(value).__name__} {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"expected {name} to be a real number, got {type(value).__name__}") from error
    except OverflowError as error:
        raise InvalidValueError(f"expected {name} to be finite, got an integer too large for a float") from error
    if not math.isfinite(result):
        raise InvalidValueError(f"expected {name} to be finite, got {result}")
    if result < minimum:
        raise InvalidValueError(f"expected {name} to be at least {minimum:g}, got {result:g}")
    if result > maximum:
        raise InvalidValueError(f"expected {name} to be at most {maximum:g}, got {result:g}")
    if result <= above:
        raise InvalidValueError(f"expected {name} to be greater than {above:g}, got {result:g}")
    if result >= below:
        raise InvalidValueError(f"expected {name} to be less than {below:g}, got {result:g}")
    return result


def integer(value: Any, name: str, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return ``value`` as an int within [minimum, maximum]; floats and bools are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"expected {name} to be an integer, got bool")
    try:
        result = operator.index(value)
    except TypeError as error:
        raise DTypeError(f"expected {name} to be an integer, got {type(value).__name__}") from error
    if minimum is not None and result < minimum:
        raise InvalidValueError(f"expected {name} to be at least {minimum}, got {result}")
    if maximum is not None and result > maximum:
        raise InvalidValueError(f"expected {name} to be at most {maximum}, got {result}")
    return result


def floats(value: Any, name: str, shape: Shape | None = None, dtype: Any = None) -> NDArray[Any]:
    """Return ``value`` as a C-contiguous float32 or float64 array, without a copy where it already is one.

    Parameters
    ----------
    value : array_like
        Real numbers. Integers and booleans become float64; float32 and float64 stay what they are.
    name : str
        What to call it in an error.
    shape : sequence of int or None, optional
        Expected shape; None stands for any length along that axis.
    dtype : dtype, optional
        float32 or float64. A float64 array is never cast to float32 silently (DTypeError); lists are.

    Raises
    ------
    DTypeError
        Not real numbers, or a dtype that would lose precision.
    ShapeError
        The shape does not match.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"expected {name} to be a rectangular array of real numbers: {error}") from error
    if array.dtype not in FLOATS:
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"expected {name} to hold real numbers, got dtype {array.dtype}")
        array = array.astype(np.float64)
    if dtype is not None and array.dtype != dtype:
        if np.dtype(dtype) == np.float32 and isinstance(value, np.ndarray) and value.dtype == np.float64:
            raise DTypeError(f"expected {name} to be float32, got float64; convert it yourself if the loss is meant")
        array = array.astype(dtype)
    if shape is not None and not _fits(array.shape, shape):
        raise ShapeError(f"expected {name} of shape {describe(shape)}, got {array.shape}")
    return np.require(array, requirements=["C", "A"]) if array.ndim else array


def _fits(shape: tuple[int, ...], pattern: Shape) -> bool:
    return len(shape) == len(pattern) and all(p is None or n == p for n, p in zip(shape, pattern, strict=True))


def out_array(out: Any, shape: tuple[int, ...], dtype: Any, *inputs: NDArray[Any], name: str = "out") -> NDArray[Any]:
    """Return ``out`` if a kernel may write a result of this shape and dtype to it, or a new array when it is None.

    Raises DTypeError for a wrong dtype, ShapeError for a wrong shape or layout, InvalidValueError for a read-only
    array or one that shares memory with an input.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"expected {name} to be a numpy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise DTypeError(f"expected {name} of dtype {np.dtype(dtype)}, got {out.dtype}")
    if out.shape != shape:
        raise ShapeError(f"expected {name} of shape {shape}, got {out.shape}")
    if not out.flags.c_contiguous or not out.flags.aligned:
        raise ShapeError(f"expected {name} to be C-contiguous and aligned")
    if not out.flags.writeable:
        raise InvalidValueError(f"expected {name} to be writeable, got a read-only array")
    for array in inputs:
        if np.may_share_memory(out, array):
            raise InvalidValueError(f"expected {name} not to overlap an input array")
    return out


def finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return ``array`` if all of it is finite; the error names the first place that is not."""
    good = np.isfinite(array)
    if not good.all():
        where = np.unravel_index(int(np.argmin(good)), array.shape)
        index = tuple(int(i) for i in where)
        at = f"[{', '.join(map(str, index))}]" if index else ""
        raise InvalidValueError(f"expected {name} to be finite, got {array[where]} at {name}{at}")
    return array
