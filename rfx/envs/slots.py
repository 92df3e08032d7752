"""The arrays through which environments of Python are stepped: in one block, which processes may share."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

RUNNING, ENDED, FAILED, FRESH = 0, 1, 2, 3
LINE = 64

# number of environments, length of an observation, shape and dtype of an action
Form = tuple[int, int, tuple[int, ...], str]


class Slots:
    """A row for each environment in every array; all lie in one block of bytes.

    Attributes
    ----------
    actions : ndarray, (n, ...)
    obs, terminal_obs : ndarray of float32, (n, obs_dim)
    rewards : ndarray of float64, (n,)
    terminated, truncated : ndarray of bool, (n,)
    phase : ndarray of uint8, (n,)
        RUNNING, ENDED (must begin anew), FAILED (it raised) or FRESH (never begun).
    mask, seeded : ndarray of bool, (n,)
        Which are to be reset, and which draw from a new seed then.
    seeds : ndarray of uint64, (n,)
    """

    def __init__(self, form: Form, block: Any = None) -> None:
        self.n, self.form = form[0], form
        block = bytearray(self.size(form)) if block is None else block
        at = 0
        for name, shape, dtype in _arrays(form):
            count = math.prod(shape)
            setattr(self, name, np.frombuffer(block, dtype, count, at).reshape(shape))
            at = _after(at, count * np.dtype(dtype).itemsize)

    actions: NDArray[Any]
    obs: NDArray[np.float32]
    terminal_obs: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    phase: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    seeded: NDArray[np.bool_]
    seeds: NDArray[np.uint64]

    @staticmethod
    def size(form: Form) -> int:
        """How many bytes the block of such arrays has."""
        at = 0
        for _, shape, dtype in _arrays(form):
            at = _after(at, math.prod(shape) * np.dtype(dtype).itemsize)
        return at

    def part(self, first: int, last: int) -> "Slots":
        """Return the rows of environments ``first`` to ``last - 1``, in the same memory."""
        other = object.__new__(Slots)
        other.n, other.form = last - first, (last - first, *self.form[1:])
        for name, _, _ in _arrays(self.form):
            setattr(other, name, getattr(self, name)[first:last])
        return other

    def __repr__(self) -> str:
        return f"Slots(n={self.n}, obs_dim={self.form[1]})"


def _after(at: int, size: int) -> int:
    return (at + size + LINE - 1) // LINE * LINE


def _arrays(form: Form) -> list[tuple[str, tuple[int, ...], Any]]:
    n, obs_dim, action_shape, action_dtype = form
    return [
        ("actions", (n, *action_shape), action_dtype),
        ("obs", (n, obs_dim), np.float32),
        ("terminal_obs", (n, obs_dim), np.float32),
        ("rewards", (n,), np.float64),
        ("terminated", (n,), np.bool_),
        ("truncated", (n,), np.bool_),
        ("phase", (n,), np.uint8),
        ("mask", (n,), np.bool_),
        ("seeded", (n,), np.bool_),
        ("seeds", (n,), np.uint64),
    ]
