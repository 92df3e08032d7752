"""Plain data: Python values as JSON, and short honest descriptions of what came."""

import dataclasses
import enum
import math
from typing import Any

_DEPTH = 12


def shown(value: Any) -> str:
    """Say in a few words what a value is. No code of the value's own class runs."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
    if kind is float:
        return repr(value)
    if kind is str:
        return repr(value) if len(value) <= 60 else f"{value[:40]!r}... ({len(value)} characters)"
    if kind in (list, tuple):
        return f"an array of {len(value)} item{'' if len(value) == 1 else 's'}"
    if kind is dict:
        return f"an object with {len(value)} key{'' if len(value) == 1 else 's'}"
    return f"a value of type {kind.__name__}"


def by_value(cls: type[enum.Enum]) -> bool:
    """Tell whether the members of an Enum travel by value; otherwise they travel by name."""
    values = [member.value for member in cls]
    plain = all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in values)
    return plain and len({type(v) is str or isinstance(v, str) for v in values}) <= 1


def token(member: enum.Enum) -> str | int:
    """Return what stands for a member of an Enum in JSON."""
    if not by_value(type(member)):
        return member.name
    return str(member.value) if isinstance(member.value, str) else int(member.value)


def to_json(
    value: Any, *, items: int | None = None, text: int | None = None, depth: int = _DEPTH, size: int = 1_000_000
) -> Any:
    """Return ``value`` as what ``json.dumps(allow_nan=False)`` can write; it never raises.

    Dataclasses become objects of what ``__init__`` takes, Enums what :func:`token` says, arrays lists. NaN and
    infinities, which JSON does not have, become the strings "NaN", "Infinity" and "-Infinity". What is no data becomes
    a short description.

    Parameters
    ----------
    value : object
        Anything.
    items, text : int, optional
        Cut arrays and objects to so many items, strings to so many characters.
    depth : int
        Deeper levels become a description.
    size : int
        After so many values, arrays and objects become descriptions too, so that what contains itself has an end.
    """
    try:
        return _Writer(items, text, size).plain(value, depth)
    except Exception:  # a class of the user's that raises when it is read
        return f"a value of type {type(value).__name__}"


class _Writer:
    def __init__(self, items: int | None, text: int | None, left: int) -> None:
        self.items, self.text, self.left = items, text, left

    def plain(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return token(value)
        if isinstance(value, str):
            cut = self.text is not None and len(value) > self.text
            return f"{value[: self.text]}..." if cut else str.__str__(value)
        if isinstance(value, int):
            number = int(value)
            return number if number.bit_length() <= 1024 else shown(number)
        if isinstance(value, float):
            real = float(value)
            if math.isfinite(real):
                return real
            return "NaN" if math.isnan(real) else "Infinity" if real > 0 else "-Infinity"
        if depth <= 0 or self.left <= 0:
            return shown(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        if isinstance(value, dict):
            pairs = list(value.items())[: self.items]
            return {_key(k, self.text): self.plain(v, depth - 1) for k, v in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.plain(v, depth - 1) for v in list(value)[: self.items]]
        if callable(getattr(value, "tolist", None)):  # numpy arrays and scalars
            return self.plain(value.tolist(), depth - 1)
        return shown(value)


def _key(key: Any, text: int | None) -> str:
    name = key if isinstance(key, str) else shown(key)
    return name if text is None else name[:text]
