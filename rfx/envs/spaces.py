"""What observations and actions may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError, MissingDependencyError, ShapeError
from rfx.seeding import rng_from_seed


@runtime_checkable
class Space(Protocol):
    """A set of values: what may be in it, and a draw from it."""

    def contains(self, value: Any) -> bool:
        """Whether a value is one of the set, of the right shape and a dtype that loses nothing."""
        ...

    def sample(self, seed: int) -> Any:
        """Draw a value; the same seed draws the same."""
        ...


def _inside(value: Any, shape: tuple[int, ...], kinds: str) -> NDArray[Any] | None:
    """Return a value as an array of this shape and these kinds of dtype, None if it is none."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.shape == shape and array.dtype.kind in kinds else None


@dataclass(frozen=True, eq=False)
class Box:
    """Arrays of numbers between ``low`` and ``high``, both included; bounds may be infinite.

    Parameters
    ----------
    low, high : array_like
        Of the same shape, or numbers with ``shape`` given.
    shape : tuple of int, optional
    dtype : dtype
        float32 by default.
    """

    low: Any
    high: Any
    shape: tuple[int, ...] | None = None
    dtype: Any = np.float32

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "fiu":
            raise DTypeError(f"expected the dtype of a Box to be a number's, got {dtype}")
        shape = (
            np.broadcast_shapes(np.shape(self.low), np.shape(self.high)) if self.shape is None else tuple(self.shape)
        )
        try:
            bounds = [np.broadcast_to(np.asarray(b, np.float64), shape) for b in (self.low, self.high)]
        except ValueError as error:
            raise ShapeError(f"expected bounds of shape {shape}: {error}") from error
        low, high = bounds
        if not (low <= high).all():
            raise InvalidValueError("expected low to be at most high, and neither to be NaN")
        if dtype.kind != "f" and not np.isfinite(bounds).all():
            raise InvalidValueError(f"expected finite bounds of a Box of {dtype}")
        for name, value in (
            ("low", low.astype(dtype)),
            ("high", high.astype(dtype)),
            ("shape", shape),
            ("dtype", dtype),
        ):
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def contains(self, value: Any) -> bool:
        """Whether a value is an array of this shape between the bounds; integers are numbers, too."""
        array = _inside(value, self.shape or (), "fiu" if self.dtype.kind == "f" else "iu")
        return array is not None and bool((array >= self.low).all() and (array <= self.high).all())

    def sample(self, seed: int) -> NDArray[Any]:
        """Draw uniformly between finite bounds; from an exponential above or below one bound, a normal without any."""
        rng = np.random.Generator(np.random.PCG64(rng_from_seed(seed).next_u64()))
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        if self.dtype.kind != "f":
            return np.asarray(rng.integers(self.low, self.high, endpoint=True, dtype=np.int64)).astype(self.dtype)
        below, above = np.isfinite(low), np.isfinite(high)
        flat = np.asarray(rng.normal(size=self.shape))
        tail = np.asarray(rng.exponential(size=self.shape))
        part = np.asarray(rng.uniform(size=self.shape))
        with np.errstate(invalid="ignore", over="ignore"):
            between = low * (1.0 - part) + high * part
        drawn = np.where(below & above, between, np.where(below, low + tail, np.where(above, high - tail, flat)))
        return np.clip(drawn.astype(self.dtype), self.low, self.high)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Box)
            and (self.shape, self.dtype) == (other.shape, other.dtype)
            and np.array_equal(self.low, other.low)
            and np.array_equal(self.high, other.high)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.low.tobytes(), self.high.tobytes()))


@dataclass(frozen=True)
class Discrete:
    """Integers ``start`` to ``start + n - 1``."""

    n: int
    start: int = 0

    def __post_init__(self) -> None:
        arrays.integer(self.n, "n", minimum=1)
        arrays.integer(self.start, "start")

    def contains(self, value: Any) -> bool:
        """Whether a value is an integer of the range."""
        array = _inside(value, (), "iu")
        return array is not None and self.start <= int(array) < self.start + self.n

    def sample(self, seed: int) -> int:
        """Draw uniformly."""
        return self.start + int(rng_from_seed(seed).integers(self.n))


@dataclass(frozen=True)
class MultiDiscrete:
    """Arrays of integers, number i from 0 to ``nvec[i] - 1``."""

    nvec: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nvec", tuple(arrays.integer(n, "nvec", minimum=1) for n in self.nvec))

    def contains(self, value: Any) -> bool:
        """Whether a value is an array of integers of the ranges."""
        array = _inside(value, (len(self.nvec),), "iu")
        return array is not None and bool((array >= 0).all() and (array < np.array(self.nvec)).all())

    def sample(self, seed: int) -> NDArray[np.int64]:
        """Draw each uniformly."""
        rng = rng_from_seed(seed)
        return np.array([rng.integers(n) for n in self.nvec], np.int64)


@dataclass(frozen=True)
class MultiBinary:
    """Arrays of ``n`` zeros and ones."""

    n: int

    def __post_init__(self) -> None:
        arrays.integer(self.n, "n", minimum=1)

    def contains(self, value: Any) -> bool:
        """Whether a value is an array of n zeros and ones, or bools."""
        array = _inside(value, (self.n,), "iub")
        return array is not None and bool(np.isin(array, (0, 1)).all())

    def sample(self, seed: int) -> NDArray[np.int8]:
        """Draw each uniformly."""
        return rng_from_seed(seed).integers(2, size=self.n).astype(np.int8)


@dataclass(frozen=True)
class Dict:
    """Dicts with a value of a space under each name."""

    spaces: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, space in self.spaces.items():
            if not isinstance(name, str) or not isinstance(space, Space):
                raise ConfigError(f"expected names and spaces, got {name!r}: {space!r}")
        object.__setattr__(self, "spaces", dict(self.spaces))

    def contains(self, value: Any) -> bool:
        """Whether a value is a dict with the same names, each with a value of its space."""
        return (
            isinstance(value, Mapping)
            and value.keys() == self.spaces.keys()
            and all(space.contains(value[name]) for name, space in self.spaces.items())
        )

    def sample(self, seed: int) -> dict[str, Any]:
        """Draw one of each."""
        rng = rng_from_seed(seed)
        return {name: space.sample(rng.next_u64()) for name, space in self.spaces.items()}


def to_gymnasium(space: Any) -> Any:
    """Return the space of Gymnasium that holds the same values; it must be installed."""
    theirs = _gymnasium_spaces()
    match space:
        case Box():
            return theirs.Box(space.low, space.high, space.shape, space.dtype.type)
        case Discrete():
            return theirs.Discrete(space.n, start=space.start)
        case MultiDiscrete():
            return theirs.MultiDiscrete(space.nvec)
        case MultiBinary():
            return theirs.MultiBinary(space.n)
        case Dict():
            return theirs.Dict({name: to_gymnasium(s) for name, s in space.spaces.items()})
    raise ConfigError(f"expected a space, got {space!r}")


def from_gymnasium(space: Any) -> Any:
    """Return our space that holds the same values as Gymnasium's; ConfigError for a kind that we have not."""
    theirs = _gymnasium_spaces()
    match space:
        case theirs.Box():
            return Box(space.low, space.high, space.shape, space.dtype)
        case theirs.Discrete():
            return Discrete(int(space.n), int(space.start))
        case theirs.MultiDiscrete() if space.nvec.ndim == 1 and not space.start.any():
            return MultiDiscrete(tuple(space.nvec.tolist()))
        case theirs.MultiBinary() if isinstance(space.n, (int, np.integer)):
            return MultiBinary(int(space.n))
        case theirs.Dict():
            return Dict({name: from_gymnasium(s) for name, s in space.spaces.items()})
    raise ConfigError(f"expected a Box, Discrete, MultiDiscrete, MultiBinary or Dict, got {space!r}")


def _gymnasium_spaces() -> Any:
    try:
        from gymnasium import spaces
    except ImportError as error:
        raise MissingDependencyError(
            f"gymnasium is needed for its spaces: `pip install gymnasium` ({error})"
        ) from error
    return spaces
