"""From annotations to kinds: what a function says about its parameters becomes what its callers must keep to."""

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from rfx.errors import ConfigError, InvalidValueError
from rfx.skills.docstrings import parse
from rfx.skills.kinds import (
    MISSING,
    Array,
    Boolean,
    Choice,
    Field,
    FixedArray,
    Kind,
    Map,
    Null,
    Number,
    Record,
    String,
    Union,
)
from rfx.skills.plain import shown, to_json
from rfx.skills.problems import Problems

KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)  # what every tool format takes as the name of a property
SUPPORTED = (
    "int, float, bool, str, None, Literal, Enum, list[X], tuple[X, Y], tuple[X, ...], dict[str, X], dataclasses, "
    "unions of these, and Annotated with Bound or Length"
)

_SIMPLE: tuple[tuple[Any, type[Kind]], ...] = (
    (float, Number),
    (bool, Boolean),
    (str, String),
    (None, Null),
    (type(None), Null),
)


@dataclasses.dataclass(frozen=True)
class Bound:
    """Limits and unit of a number: ``Annotated[float, Bound(ge=-0.5, le=0.5, unit="m/s")]``.

    Parameters
    ----------
    ge, le : float, optional
        Least and greatest value, both allowed themselves.
    gt, lt : float, optional
        Strict limits instead.
    unit : str
        Named in the description.

    Raises
    ------
    InvalidValueError
        A limit is not a finite float, a side has two limits, or nothing lies between them.
    """

    ge: float | None = None
    le: float | None = None
    unit: str = ""
    gt: float | None = None
    lt: float | None = None

    def __post_init__(self) -> None:
        for name in ("ge", "le", "gt", "lt"):
            limit = getattr(self, name)
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not math.isfinite(limit):
                raise InvalidValueError(f"expected {name} to be a finite number, got {shown(limit)}")
            if float(limit) != limit:
                raise InvalidValueError(f"expected {name} to be a number that a float can hold, got {shown(limit)}")
        if (self.ge is not None and self.gt is not None) or (self.le is not None and self.lt is not None):
            raise InvalidValueError("expected one limit on each side, got both ge and gt or both le and lt")
        low, high = self.gt if self.ge is None else self.ge, self.lt if self.le is None else self.le
        strict = self.gt is not None or self.lt is not None
        if low is not None and high is not None and (low > high or (strict and low >= high)):
            raise InvalidValueError(f"expected the lower limit to be below the upper one, got {low} and {high}")

    @property
    def limits(self) -> dict[str, float]:
        """The limits as JSON Schema names them."""
        pairs = {"minimum": self.ge, "exclusiveMinimum": self.gt, "maximum": self.le, "exclusiveMaximum": self.lt}
        return {name: limit for name, limit in pairs.items() if limit is not None}


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a string, list or dict may be: ``Annotated[str, Length(1, 80)]``.

    Raises
    ------
    InvalidValueError
        ``least`` is negative, or ``most`` is below it.
    """

    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if type(self.least) is not int or self.least < 0:
            raise InvalidValueError(f"expected least to be an integer of at least 0, got {shown(self.least)}")
        if self.most is not None and (type(self.most) is not int or self.most < self.least):
            raise InvalidValueError(f"expected most to be an integer of at least {self.least}, got {shown(self.most)}")


def kind_of(annotation: Any, where: str, _above: tuple[type, ...] = ()) -> Kind:
    """Return the kind that an annotation stands for.

    Raises
    ------
    ConfigError
        There is none; the message names ``where`` and what is supported.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kind = kind_of(args[0], where, _above)
        for extra in args[1:]:
            kind = _narrowed(kind, extra, where)
        return kind
    if annotation is int:
        return Number(whole=True)
    for plain, simple in _SIMPLE:
        if annotation is plain:
            return simple()
    if origin is Literal:
        return _literal(args, where)
    if origin in (typing.Union, types.UnionType):
        return Union([kind_of(a, where, _above) for a in args])
    if origin in (list, Sequence) and len(args) == 1:
        return Array(kind_of(args[0], f"the items of {where}", _above))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _Tuple(kind_of(args[0], f"the items of {where}", _above))
    if origin is tuple and args and args != ((),):
        return FixedArray([kind_of(a, f"item {i} of {where}", _above) for i, a in enumerate(args)])
    if origin in (dict, Mapping) and len(args) == 2:
        if args[0] is not str:
            raise ConfigError(f"expected the keys of {where} to be str, as in JSON, got {_name(args[0])}")
        return Map(kind_of(args[1], f"the values of {where}", _above))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if not len(annotation):
            raise ConfigError(f"expected the Enum of {where} to have members, got {annotation.__name__} without any")
        return Choice.of_enum(annotation)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        if annotation in _above:
            raise ConfigError(f"expected {where} to have an end, got {annotation.__name__}, which contains itself")
        return _dataclass(annotation, where, (*_above, annotation))
    raise ConfigError(f"expected the annotation of {where} to be one of {SUPPORTED}; got {_name(annotation)}")


class _Tuple(Array):
    def read(self, value: Any, path: str, problems: Problems) -> Any:
        result = super().read(value, path, problems)
        return None if result is None else tuple(result)


def words_of(annotation: Any) -> str:
    """Return what the strings and units of an ``Annotated`` say, for a description."""
    if get_origin(annotation) is not Annotated:
        return ""
    extras = get_args(annotation)[1:]
    words = [e for e in extras if isinstance(e, str)]
    units = [f"In {e.unit}." for e in extras if isinstance(e, Bound) and e.unit]
    return " ".join(words + units)


def field_of(name: str, annotation: Any, default: Any, description: str, where: str, above: tuple = ()) -> Field:
    """Return a named value; its default is checked against its annotation.

    Raises
    ------
    ConfigError
        No kind for the annotation, a name that tool formats refuse, or a default that does not fit.
    """
    if not KEY.fullmatch(name):
        raise ConfigError(f"expected the name of {where} to be 1 to 64 of A-Z a-z 0-9 _, got {name!r}")
    kind = kind_of(annotation, where, above)
    text = " ".join(part for part in (description.strip(), words_of(annotation)) if part)
    if default is MISSING:
        return Field(name, kind, text)
    plain, problems = to_json(default), Problems()
    kind.read(plain, where, problems)
    if problems:
        hint = "; write `X | None` where None is meant" if default is None else ""
        raise ConfigError(f"expected the default of {where} to fit its annotation: {problems[0]}{hint}")
    return Field(name, kind, text, False, plain)


def _dataclass(cls: type, where: str, above: tuple[type, ...]) -> Record:
    hints = hints_of(cls, where)
    own = cls.__doc__ if cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(") else None
    described = parse(own)[1]
    fields = []
    for f in dataclasses.fields(cls):
        if not f.init:
            continue
        default = MISSING if f.default is dataclasses.MISSING else f.default
        if f.default_factory is not dataclasses.MISSING:
            default = f.default_factory()
        at = f"{f.name} of {cls.__name__}"
        fields.append(field_of(f.name, hints[f.name], default, described.get(f.name, ""), at, above))
    return Record(fields, cls, cls.__name__)


def hints_of(target: Any, where: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the annotations of a function or class, strings resolved, Annotated kept.

    Raises
    ------
    ConfigError
        A name in an annotation cannot be found.
    """
    try:
        return typing.get_type_hints(target, localns=names, include_extras=True)
    except Exception as error:
        raise ConfigError(f"expected the annotations of {where} to be readable here, got {error}") from error


def _literal(args: tuple[Any, ...], where: str) -> Choice:
    for value in args:
        if not (value is None or type(value) in (str, int, bool)):
            raise ConfigError(f"expected the literals of {where} to be str, int, bool or None, got {shown(value)}")
    return Choice([(value, value) for value in args])


def _narrowed(kind: Kind, extra: Any, where: str) -> Kind:
    if isinstance(extra, str):
        return kind
    if isinstance(kind, Union) and isinstance(extra, (Bound, Length)):
        fitting: tuple[type, ...] = (Number,) if isinstance(extra, Bound) else (String, Array, Map)
        if any(isinstance(m, fitting) for m in kind.members):
            return Union([_narrowed(m, extra, where) if isinstance(m, fitting) else m for m in kind.members])
    if isinstance(extra, Bound) and isinstance(kind, Number):
        return _bounded(kind, extra, where)
    if isinstance(extra, Length) and isinstance(kind, String):
        return String(extra.least, extra.most)
    if isinstance(extra, Length) and isinstance(kind, (Array, Map)):
        return type(kind)(kind.item, extra.least, extra.most)
    fits = "on a number (for a list, on its items: list[Annotated[float, Bound(...)]])"
    if isinstance(extra, Length):
        fits = "on a string, list or dict"
    elif not isinstance(extra, Bound):
        fits = "to be Bound, Length or a description"
    raise ConfigError(f"expected what Annotated says of {where} {fits}, got {_name(extra)}")


def _bounded(kind: Number, bound: Bound, where: str) -> Number:
    if kind.limits and bound.limits:
        raise ConfigError(f"expected one Bound with limits for {where}, got two")
    limits = bound.limits
    if kind.whole and limits:
        low = limits.get("minimum", limits.get("exclusiveMinimum", -math.inf))
        high = limits.get("maximum", limits.get("exclusiveMaximum", math.inf))
        if math.isfinite(low) and math.isfinite(high):
            first = math.floor(low) + 1 if "exclusiveMinimum" in limits else math.ceil(low)
            last = math.ceil(high) - 1 if "exclusiveMaximum" in limits else math.floor(high)
            if first > last:
                raise ConfigError(f"expected the Bound of {where} to hold an integer, got {bound}")
    return Number(kind.whole, limits or kind.limits)


def _name(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) and not get_args(thing) else str(thing)[:120]
