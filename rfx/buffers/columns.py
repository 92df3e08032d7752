"""What a transition is made of: named columns, each with a shape and a dtype."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError

TRANSITION = ("obs", "actions", "rewards", "terminated", "truncated", "next_obs")
RESULTS = ("indices", "serials", "weights", "discounts", "mask", "steps")  # what a sample may add to them
KINDS = "fiub"


@dataclass(frozen=True)
class Column:
    """One column: ``shape`` of a single entry, () for a number. A part of a dict observation is named ``obs.part``.

    Raises
    ------
    ConfigError, DTypeError
        A name that is no identifier, a negative length, a dtype that is not a plain number or bool.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not all(part.isidentifier() for part in self.name.split(".")):
            raise ConfigError(f"expected a column's name to be an identifier, got {self.name!r}")
        shape = (self.shape,) if isinstance(self.shape, (int, np.integer)) else self.shape
        if not isinstance(shape, (tuple, list)):
            raise DTypeError(f"expected shape of {self.name} to be a tuple, got {type(shape).__name__}")
        lengths = tuple(arrays.integer(n, f"shape of {self.name}", minimum=0) for n in shape)
        try:
            dtype = np.dtype(self.dtype)
        except TypeError as error:
            raise DTypeError(f"expected dtype of {self.name} to be one, got {self.dtype!r}") from error
        if dtype.kind not in KINDS or not dtype.isnative:
            raise DTypeError(f"expected dtype of {self.name} to be a number or bool of this machine, got {dtype}")
        object.__setattr__(self, "shape", lengths)
        object.__setattr__(self, "dtype", dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of one entry."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def describe(self) -> str:
        """Write it as ``obs(4) float32``."""
        return f"{self.name}({', '.join(map(str, self.shape))}) {self.dtype}"


def group(name: str) -> tuple[str, str]:
    """Split the name of a part of a dict observation: ``obs.image`` gives ("obs", "image"), ``rewards`` ("rewards", "")."""
    head, _, part = name.partition(".")
    return head, part


def observation_columns(name: str, shape: Any, dtype: Any) -> list[Column]:
    """Return one column, or one for each part where shape is a dict of part to shape or (shape, dtype)."""
    if not isinstance(shape, Mapping):
        return [Column(name, shape, dtype)]
    if not shape:
        raise ConfigError("expected a dict observation to have a part, got none")
    columns = []
    for part, spec in shape.items():
        if not isinstance(part, str) or not part.isidentifier():
            raise ConfigError(f"expected the name of a part of {name} to be an identifier, got {part!r}")
        has_dtype = isinstance(spec, (tuple, list)) and len(spec) == 2 and not isinstance(spec[1], (int, np.integer))
        columns.append(Column(f"{name}.{part}", *(spec if has_dtype else (spec, dtype))))
    return columns


def transition_columns(
    obs_shape: Any,
    act_shape: Any,
    obs_dtype: Any,
    act_dtype: Any,
    extra: Mapping[str, tuple[Any, Any]] | None,
    with_next: bool = True,
) -> tuple[Column, ...]:
    """Return the columns of a transition, the extra ones last; ConfigError for a name that is taken."""
    if extra is not None and not isinstance(extra, Mapping):
        raise DTypeError(f"expected extra to be a dict of name to (shape, dtype), got {type(extra).__name__}")
    columns = [
        *observation_columns("obs", obs_shape, obs_dtype),
        Column("actions", act_shape, act_dtype),
        Column("rewards", (), np.dtype(np.float32)),
        Column("terminated", (), np.dtype(np.bool_)),
        Column("truncated", (), np.dtype(np.bool_)),
        *(observation_columns("next_obs", obs_shape, obs_dtype) if with_next else ()),
    ]
    for name, spec in (extra or {}).items():
        if name in TRANSITION or name in RESULTS:
            raise ConfigError(f"the name {name!r} is taken by the buffer itself")
        if not isinstance(spec, (tuple, list)) or len(spec) != 2:
            raise ConfigError(f"expected (shape, dtype) for the column {name}, got {spec!r}")
        column = Column(name, *spec)
        if group(name)[1]:
            raise ConfigError(f"expected a column's name to be an identifier, got {name!r}")
        columns.append(column)
    return tuple(columns)
