"""What the autoreset of a vector environment means for the arrays of a rollout."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.arrays import floats, integer
from rfx.errors import DTypeError, ShapeError


def _flags(value: ArrayLike, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise DTypeError(f"expected {name} to be bool, got dtype {array.dtype}")
    if array.shape != shape:
        raise ShapeError(f"expected {name} of shape {shape}, got {array.shape}")
    return array


def next_step_rows(
    values: ArrayLike,
    last_values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    *,
    ended_before: ArrayLike | None = None,
    time_axis: int = 0,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read the final values out of a rollout in Gymnasium's NEXT_STEP mode, and say which rows are steps at all.

    In that mode the row after an end holds the final observation, and its step only resets: its action was ignored and its
    reward is 0. So the value of that row is the final value of the step before, and the row must stay out of every loss.

    Parameters
    ----------
    values : array_like, shape (T,) or (T, N)
    last_values : float, or array_like of shape (N,)
        Values of the observations after the last step.
    terminated, truncated : array_like of bool, same shape as values
    ended_before : bool, or array_like of bool of shape (N,), optional
        Whether the step before the first row ended an episode, so that the first row only resets. Default: it did not.
    time_axis : int, optional
        1 for arrays of shape (N, T).

    Returns
    -------
    final_values : ndarray, same shape
        What gae(), vtrace() and the returns take: the value of the row after each.
    real : ndarray of bool, same shape
        False for rows that only reset. Nothing of theirs gets into other rows, as the end before them cuts; leave them
        out of the loss: ``advantages[real]``.

    Raises
    ------
    ShapeError, DTypeError
        Shapes that do not fit; masks that are not bool.
    """
    values = floats(values, "values")
    if values.ndim not in (1, 2):
        raise ShapeError(f"expected values of shape (T,) or (T, N), got {values.shape}")
    axis = integer(time_axis, "time_axis", minimum=0, maximum=values.ndim - 1)
    v = np.moveaxis(values, axis, 0)
    ended = np.moveaxis(
        _flags(terminated, "terminated", values.shape) | _flags(truncated, "truncated", values.shape), axis, 0
    )
    last = floats(last_values, "last_values", v.shape[1:]).astype(v.dtype)
    before = _flags(np.zeros(v.shape[1:], bool) if ended_before is None else ended_before, "ended_before", v.shape[1:])
    final = np.concatenate([v, last[None]])[1:]
    real = ~np.concatenate([before[None], ended])[:-1]
    return np.ascontiguousarray(np.moveaxis(final, 0, axis)), np.ascontiguousarray(np.moveaxis(real, 0, axis))
