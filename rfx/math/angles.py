"""Angles and interpolation of numbers and arrays."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays

TURN = 2.0 * np.pi


def _checked(value: ArrayLike, name: str) -> Any:
    return arrays.finite(arrays.floats(value, name), name)


def _result(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def lerp(start: ArrayLike, end: ArrayLike, t: ArrayLike) -> Any:
    """Return ``start + (end - start) t``; a float for numbers, else an array of the broadcast shape.

    ``t`` is not clamped. t = 0 gives start and t = 1 gives end exactly. InvalidValueError for NaN and infinities.
    """
    a, b, u = _checked(start, "start"), _checked(end, "end"), _checked(t, "t")
    return _result(np.where(u == 1.0, b, a + (b - a) * u))


def normalize_angle(angle: ArrayLike) -> Any:
    """Return the same direction within [-pi, pi) (rad); a float for a number, else an array.

    InvalidValueError for NaN and infinities.
    """
    a = np.asarray(_checked(angle, "angle"), np.float64)
    turned = a - TURN * np.floor(a / TURN + 0.5)
    turned = np.where(turned >= np.pi, turned - TURN, turned)  # rounding may end on the wrong side
    return _result(np.maximum(turned, -np.pi))


def angle_diff(target: ArrayLike, current: ArrayLike) -> Any:
    """Return the shortest turn (rad) from ``current`` to ``target``, within [-pi, pi)."""
    return normalize_angle(_checked(target, "target") - _checked(current, "current"))
