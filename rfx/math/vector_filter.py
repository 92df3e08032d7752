"""A filter for vectors with three axes."""

import threading
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, ShapeError
from rfx.math.filters import LARGEST_SAMPLE, Filter, LowPassFilter, MovingAverageFilter


class Vector3Filter:
    """Three filters of single channels, one for each axis of a vector. Threads may share one: updates take turns.

    Parameters
    ----------
    x, y, z : Filter
        Three different objects without channels.
    """

    def __init__(self, x: Filter, y: Filter, z: Filter) -> None:
        for name, axis in (("x", x), ("y", y), ("z", z)):
            if not isinstance(axis, Filter):
                raise DTypeError(f"expected {name} to be a filter, got {type(axis).__name__}")
            if axis.channels is not None:
                raise ShapeError(f"expected {name} to be a filter of a single channel, it has {axis.channels}")
        if x is y or y is z or x is z:
            raise ConfigError("expected three different filters, one is given twice")
        self._axes = (x, y, z)
        self._lock = threading.RLock()  # the axes may be subclasses that come back here

    @classmethod
    def low_pass(cls, alpha: float) -> Self:
        """Return three first-order low-passes."""
        return cls(LowPassFilter(alpha), LowPassFilter(alpha), LowPassFilter(alpha))

    @classmethod
    def moving_average(cls, window: int = 10) -> Self:
        """Return three moving averages."""
        return cls(MovingAverageFilter(window), MovingAverageFilter(window), MovingAverageFilter(window))

    @property
    def value(self) -> NDArray[np.float64]:
        """The last filtered vector (3,), a copy."""
        with self._lock:
            return np.array([axis.value for axis in self._axes])

    def update(self, x: ArrayLike, out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Take one vector (3,) and return the filtered one; see :meth:`Filter.update`."""
        given = arrays.finite(arrays.floats(x, "x", (3,)), "x")
        numbers = [arrays.number(v, "x", minimum=-LARGEST_SAMPLE, maximum=LARGEST_SAMPLE) for v in given.tolist()]
        array = arrays.out_array(out, (3,), np.float64, given)
        with self._lock:
            for i, axis in enumerate(self._axes):
                array[i] = axis.update(numbers[i])
        return array

    def reset(self) -> None:
        """Forget all samples."""
        with self._lock:
            for axis in self._axes:
                axis.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return what has been seen so far, by axis."""
        with self._lock:
            return {name: axis.state_dict() for name, axis in zip("xyz", self._axes, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        if not isinstance(state, dict) or set(state) != set("xyz"):
            raise ConfigError("expected a dict with x, y and z")
        with self._lock:
            before = [axis.state_dict() for axis in self._axes]
            try:
                for name, axis in zip("xyz", self._axes, strict=True):
                    axis.load_state_dict(state[name])
            except Exception:
                for axis, old in zip(self._axes, before, strict=True):
                    axis.load_state_dict(old)
                raise

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._axes

    def __repr__(self) -> str:
        return f"Vector3Filter({', '.join(map(repr, self._axes))})"
