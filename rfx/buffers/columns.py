"""What a transition is made of: named columns, each with a shape and a dtype."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError

TRANSITION = ("obs", "actions", "rewards", "terminated", "truncated", "next_obs")
KINDS = "fiub"


@dataclass(frozen=True)
class Column:
    """One column: ``shape`` of a single entry, () for a number.

    Raises
    ------
    ConfigError, DTypeError
        A name that is no identifier, a negative length, a dtype that is not a plain number or bool.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
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


def transition_columns(
    obs_shape: Any, act_shape: Any, obs_dtype: Any, act_dtype: Any, extra: Mapping[str, tuple[Any, Any]] | None
) -> tuple[Column, ...]:
    """Return the columns of a transition, the extra ones last; ConfigError for a name that is taken."""
    columns = [
        Column("obs", obs_shape, obs_dtype),
        Column("actions", act_shape, act_dtype),
        Column("rewards", (), np.dtype(np.float32)),
        Column("terminated", (), np.dtype(np.bool_)),
        Column("truncated", (), np.dtype(np.bool_)),
        Column("next_obs", obs_shape, obs_dtype),
    ]
    for name, (shape, dtype) in (extra or {}).items():
        if name in TRANSITION:
            raise ConfigError(f"the name {name!r} is taken by the transition itself")
        columns.append(Column(name, shape, dtype))
    return tuple(columns)
