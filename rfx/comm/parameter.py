"""What a parameter is: a name, a kind of value, and what it may be."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError

KINDS = ("bool", "int", "float", "str", "list")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_LIST = 200, 65536, 4096

Value = bool | int | float | str | list[float]


@dataclass(frozen=True)
class Parameter:
    """A parameter as it was declared.

    Attributes
    ----------
    name : str
        Words of letters, digits and ``_`` with dots between them, such as ``walk.max_vx``.
    kind : {"bool", "int", "float", "str", "list"}
        A list holds finite numbers, and comes back as floats.
    default : value
    minimum, maximum : float, optional
        Of an int or a float, or of each number in a list.
    choices : tuple of str, optional
        What a str may be.
    length : int, optional
        Of a list; None for any.
    read_only : bool
        Only its owner changes it.
    description : str
        For people.
    """

    name: str
    kind: str
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    length: int | None = None
    read_only: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name)
        if self.kind not in KINDS:
            raise ConfigError(f"expected kind to be one of {', '.join(KINDS)}, got {self.kind!r}")
        for bound, name in ((self.minimum, "minimum"), (self.maximum, "maximum")):
            if bound is not None:
                arrays.number(bound, f"{name} of {self.name}")
                if self.kind not in ("int", "float", "list"):
                    raise ConfigError(f"expected no {name} for {self.name}, which is a {self.kind}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ConfigError(f"expected minimum <= maximum of {self.name}, got {self.minimum:g} > {self.maximum:g}")
        if self.choices is not None:
            if self.kind != "str" or not all(isinstance(c, str) for c in self.choices):
                raise ConfigError(f"expected choices of str for a str, got {self.choices!r} for {self.name}")
            object.__setattr__(self, "choices", tuple(self.choices))
        if self.length is not None:
            if self.kind != "list":
                raise ConfigError(f"expected no length for {self.name}, which is a {self.kind}")
            arrays.integer(self.length, f"length of {self.name}", minimum=0, maximum=_LONGEST_LIST)
        if not isinstance(self.read_only, bool) or not isinstance(self.description, str):
            raise DTypeError(f"expected read_only as a bool and description as a str, got {self.read_only!r}")
        object.__setattr__(self, "default", self.checked(self.default))

    def checked(self, value: Any) -> Any:
        """Return ``value`` as this parameter keeps it; DTypeError, InvalidValueError or ShapeError where it may not be."""
        name = f"parameter {self.name}"
        if self.kind == "bool":
            if not isinstance(value, (bool, np.bool_)):
                raise DTypeError(f"expected {name} to be a bool, got {type(value).__name__} {_short(value)}")
            return bool(value)
        if self.kind == "str":
            return self._text(value, name)
        if self.kind == "list":
            return self._list(value, name)
        if isinstance(value, (bool, np.bool_)):
            raise DTypeError(f"expected {name} to be a {self.kind}, got bool {value}")
        if self.kind == "float":
            return self._within(arrays.number(value, name), name)
        whole = arrays.integer(value, name, minimum=-(2**63), maximum=2**63 - 1)
        return self._within(whole, name)

    def _within(self, value: Any, name: str) -> Any:
        if self.minimum is not None and value < self.minimum:
            raise InvalidValueError(f"expected {name} to be at least {self.minimum:g}, got {value:g}")
        if self.maximum is not None and value > self.maximum:
            raise InvalidValueError(f"expected {name} to be at most {self.maximum:g}, got {value:g}")
        return value

    def _text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise DTypeError(f"expected {name} to be a str, got {type(value).__name__} {_short(value)}")
        if len(value) > _LONGEST_TEXT:
            raise InvalidValueError(f"expected {name} of at most {_LONGEST_TEXT} characters, got {len(value)}")
        if self.choices is not None and value not in self.choices:
            raise InvalidValueError(f"expected {name} to be one of {', '.join(self.choices)}, got {_short(value)}")
        return str(value)

    def _list(self, value: Any, name: str) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple, np.ndarray)) or np.ndim(value) != 1:
            raise DTypeError(f"expected {name} to be a list of numbers, got {type(value).__name__} {_short(value)}")
        if len(value) > _LONGEST_LIST or (self.length is not None and len(value) != self.length):
            expected = f"{self.length}" if self.length is not None else f"at most {_LONGEST_LIST}"
            raise ShapeError(f"expected {name} to hold {expected} numbers, got {len(value)}")
        numbers = []
        for i, item in enumerate(value):
            if isinstance(item, (bool, np.bool_)):
                raise DTypeError(f"expected {name}[{i}] to be a number, got bool {item}")
            numbers.append(self._within(arrays.number(item, f"{name}[{i}]"), f"{name}[{i}]"))
        return tuple(numbers)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "default": shown(self.default),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "choices": None if self.choices is None else list(self.choices),
            "length": self.length,
            "read_only": self.read_only,
            "description": self.description,
        }

    @classmethod
    def from_dict(cls, about: Any) -> "Parameter":
        """Return what :meth:`to_dict` gave; CodecError for anything else."""
        if not isinstance(about, Mapping):
            raise CodecError(f"expected a parameter's fields, got {type(about).__name__}")
        try:
            fields = dict(about)
            choices = fields.pop("choices", None)
            return cls(**fields, choices=None if choices is None else tuple(choices))
        except (RfxError, TypeError) as error:
            raise CodecError(f"expected a parameter's fields: {error}") from error


def kind_of(value: Any) -> str:
    """Return the kind that a default stands for; DTypeError for what no parameter holds."""
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, np.integer)):
        return "int"
    if isinstance(value, (float, np.floating)):
        return "float"
    if isinstance(value, str):
        return "str"
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (bytes, bytearray, memoryview)):
        return "list"
    raise DTypeError(f"expected a bool, int, float, str or list of numbers, got {type(value).__name__}")


def checked_name(name: Any) -> str:
    """Return the name of a parameter."""
    if not isinstance(name, str):
        raise DTypeError(f"expected the name of a parameter to be a str, got {type(name).__name__}")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidValueError(f"expected the name of a parameter such as walk.max_vx, got {_short(name)}")
    return name


def shown(value: Any) -> Any:
    """Return a value as its readers get it: lists of their own."""
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
