"""Spaces as rows of numbers: any observation in a row of float32, actions of many environments in one array."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.envs.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, from_gymnasium
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

EXACT = 2**24  # float32 holds each integer up to here


def our_space(space: Any, what: str) -> Any:
    """Return the space of an environment as ours; ConfigError, naming ``what``, for what is none of our kinds."""
    if isinstance(space, (Box, Discrete, MultiDiscrete, MultiBinary, Dict)):
        return space
    if isinstance(space, Space) and type(space).__module__.startswith("gymnasium."):
        try:
            return from_gymnasium(space)
        except ConfigError as error:
            raise ConfigError(f"{what}: {error}") from error
    raise ConfigError(f"expected {what} to be a space of rfx.envs or of gymnasium, got {space!r}")


def flat_space(space: Any) -> Box:
    """Return the Box of one row that holds the observations of a space.

    A Box is raveled, a Discrete becomes one number out of n that is 1, MultiDiscrete several of these, a Dict its values one
    after another in its order: as ``gymnasium.spaces.utils.flatten`` does it (Gymnasium sorts the names of a dict). Numbers
    become float32; integers that float32 cannot tell apart are refused with ConfigError.
    """
    match space:
        case Box():
            if space.dtype.kind != "f" and space.low.size and max(-space.low.min(), space.high.max()) > EXACT:
                raise ConfigError(f"expected integers of at most {EXACT} in observations of float32, got {space}")
            if space.dtype == np.float32 and len(space.shape or ()) == 1:
                return space
            with np.errstate(over="ignore"):
                return Box(space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32))
        case Discrete():
            return Box(0.0, 1.0, (space.n,))
        case MultiDiscrete():
            return Box(0.0, 1.0, (sum(space.nvec),))
        case MultiBinary():
            return Box(0.0, 1.0, (space.n,))
        case Dict():
            parts = [flat_space(part) for part in space.spaces.values()]
            if not parts:
                raise ConfigError("expected observations of at least one number, got an empty Dict")
            return Box(np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts]))
    raise ConfigError(f"expected a space of rfx.envs, got {space!r}")


Writer = Callable[[Any, NDArray[np.float32]], None]


def writer_of(space: Any) -> Writer:
    """Return what writes an observation of this space to a row; it raises DTypeError or ShapeError for what is none."""
    match space:
        case Box() | MultiBinary():
            shape = space.shape if isinstance(space, Box) else (space.n,)

            def write_array(value: Any, row: NDArray[np.float32]) -> None:
                plain = type(value) is np.ndarray and value.shape == shape and value.dtype.kind in "fiub"
                row[:] = (value if plain else _numbers(value, shape)).ravel()

            return write_array
        case Discrete():
            return _one_hot(np.array([space.n]), space.start, ())
        case MultiDiscrete():
            return _one_hot(np.array(space.nvec), 0, (len(space.nvec),))
        case Dict():
            return _write_dict(space)
    raise ConfigError(f"expected a space of rfx.envs, got {space!r}")


def _numbers(value: Any, shape: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"expected the observation to hold numbers, got {array.dtype}")
    if array.shape != shape:
        raise ShapeError(f"expected an observation of shape {shape}, got {array.shape}")
    return array


def _one_hot(counts: NDArray[Any], start: int, shape: tuple[int, ...]) -> Writer:
    offsets = np.cumsum(counts) - counts

    def write(value: Any, row: NDArray[np.float32]) -> None:
        array = _numbers(value, shape).reshape(len(counts))
        if array.dtype.kind not in "iu" or (array < start).any() or (array >= counts + start).any():
            raise InvalidValueError(f"expected integers from {start} below {counts + start}, got {value!r}")
        row[:] = 0.0
        row[offsets + array - start] = 1.0

    return write


def _write_dict(space: Dict) -> Writer:
    parts: list[tuple[str, slice, Writer]] = []
    at = 0
    for name, inner in space.spaces.items():
        size = flat_space(inner).low.size
        parts.append((name, slice(at, at + size), writer_of(inner)))
        at += size

    def write(value: Any, row: NDArray[np.float32]) -> None:
        if not hasattr(value, "keys") or set(value.keys()) != set(space.spaces):
            raise ShapeError(f"expected an observation with the names {list(space.spaces)}, got {value!r}")
        for name, where, inner in parts:
            inner(value[name], row[where])

    return write


class ActionRows:
    """Actions of many environments of one space as one array, checked."""

    def __init__(self, space: Any) -> None:
        self.space = space
        match space:
            case Box():
                self.shape, self.dtype = space.shape or (), space.dtype
            case Discrete():
                self.shape, self.dtype = (), np.dtype(np.int64)
            case MultiDiscrete():
                self.shape, self.dtype = (len(space.nvec),), np.dtype(np.int64)
            case MultiBinary():
                self.shape, self.dtype = (space.n,), np.dtype(np.int8)
            case _:
                raise ConfigError(f"expected actions of a Box, Discrete, MultiDiscrete or MultiBinary, got {space!r}")

    def checked(self, actions: ArrayLike, n: int, skip: NDArray[np.bool_]) -> NDArray[Any]:
        """Return actions of n environments as an array of this dtype; those of ``skip`` may be anything of the right kind.

        Numbers beyond the bounds of a Box of floats pass: environments clip them, as those of Gymnasium do.
        """
        given = np.asarray(actions)
        floats = self.dtype.kind == "f"
        kinds = "fiu" if floats else "iub" if isinstance(self.space, MultiBinary) else "iu"
        if given.dtype.kind not in kinds:
            raise DTypeError(f"expected actions to be {'numbers' if floats else 'integers'}, got {given.dtype}")
        if given.shape == (n,) and self.shape == (1,):
            given = given.reshape(n, 1)
        if given.shape != (n, *self.shape):
            raise ShapeError(f"expected actions of shape {(n, *self.shape)}, got {given.shape}")
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(given, self.dtype)
        good = np.isfinite(array) if floats else self._inside(given)
        good = good.reshape(n, -1).all(axis=1) | skip
        if not good.all():
            i = int(np.argmin(good))
            what = "finite" if floats else f"in {self.space}"
            raise InvalidValueError(f"expected actions to be {what}, got {given[i]} at actions[{i}]")
        return array

    def _inside(self, given: NDArray[Any]) -> NDArray[np.bool_]:
        low: Any
        high: Any
        match self.space:
            case Discrete():
                low, high = np.int64(self.space.start), np.int64(self.space.start + self.space.n - 1)
            case MultiDiscrete():
                low, high = np.int64(0), np.array(self.space.nvec) - 1
            case MultiBinary():
                low, high = np.int64(0), np.int64(1)
            case _:
                low, high = self.space.low, self.space.high
        return (given >= low) & (given <= high)
