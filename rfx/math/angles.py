"""Angles and interpolation of numbers and arrays."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays
from rfx.errors import InvalidValueError, ShapeError

TURN = 2.0 * np.pi


def _checked(value: ArrayLike, name: str) -> Any:
    return arrays.finite(arrays.floats(value, name), name)


def _together(**values: Any) -> None:
    """See that the arrays broadcast."""
    try:
        np.broadcast_shapes(*(v.shape for v in values.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {v.shape}" for name, v in values.items())
        raise ShapeError(f"expected shapes that broadcast, got {shapes}") from error


def _result(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def lerp(start: ArrayLike, end: ArrayLike, t: ArrayLike) -> Any:
    """Return ``start + (end - start) t``; a float for numbers, else an array of the broadcast shape.

    ``t`` is not clamped. t = 0 gives start and t = 1 gives end exactly. InvalidValueError for NaN, infinities and a
    result that overflows, ShapeError for shapes that do not broadcast.
    """
    a, b, u = _checked(start, "start"), _checked(end, "end"), _checked(t, "t")
    _together(start=a, end=b, t=u)
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.where(u == 1.0, b, np.where(u == 0.0, a, a + (b - a) * u))
    if not np.isfinite(result).all():
        raise InvalidValueError("the interpolation overflows: start and end are too far apart, or t too large")
    return _result(result)


def normalize_angle(angle: ArrayLike) -> Any:
    """Return the same direction within [-pi, pi) (rad); a float for a number, else an array.

    InvalidValueError for NaN and infinities. Far from 0 the answer is as good as the angle and 2 pi are as doubles: to
    about 4e-17 times the angle.
    """
    a = np.fmod(np.asarray(_checked(angle, "angle"), np.float64), TURN)  # exact, within (-2 pi, 2 pi)
    return _result(np.where(a >= np.pi, a - TURN, np.where(a < -np.pi, a + TURN, a)))


def angle_diff(target: ArrayLike, current: ArrayLike) -> Any:
    """Return the shortest turn (rad) from ``current`` to ``target``, within [-pi, pi), as float64.

    InvalidValueError for NaN, infinities and a difference that overflows, ShapeError for shapes that do not broadcast.
    """
    to, here = (np.asarray(_checked(v, n), np.float64) for v, n in ((target, "target"), (current, "current")))
    _together(target=to, current=here)
    with np.errstate(over="ignore"):
        difference = to - here
    return normalize_angle(arrays.finite(np.asarray(difference), "target - current"))
