"""What a value may be: every kind writes its JSON Schema and reads a value by the same rule.

``kind.schema()`` is JSON Schema 2020-12. ``kind.read(value, path, problems)`` returns the Python value, or appends to
``problems`` what is wrong and where. A JSON value is valid under the schema exactly if it is read without a problem.

Coercion is narrow: an integer is read as a float where a float is asked for, and a float without a fraction (5.0) as
an integer; a token as the Enum member; an array as the tuple; an object as the dataclass. A string is never read as a
number, and a bool never as one. NaN and infinities are refused everywhere.
"""

import copy
import dataclasses
import difflib
import enum
import math
from collections.abc import Callable
from typing import Any

from rfx.skills.plain import shown, token
from rfx.skills.problems import MAX_PROBLEMS, Problem, Problems

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()  # no default was given


class Kind:
    """Base of all kinds."""

    types: tuple[type, ...] = ()  # what JSON values of this kind look like, to choose among the members of a union

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of this kind."""
        raise TypeError(f"{type(self).__name__} has no schema")

    def expected(self) -> str:
        """Say in words what is expected."""
        raise TypeError(f"{type(self).__name__} has no words")

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        """Return the Python value that ``value`` stands for; what is wrong goes to ``problems``."""
        raise TypeError(f"{type(self).__name__} reads nothing")

    def refuse(self, value: Any, path: str, problems: Problems, expected: str | None = None) -> None:
        """Append one problem, unless there are enough already."""
        if len(problems) < MAX_PROBLEMS:
            problems.append(Problem(path, expected or self.expected(), shown(value)))

    def accepts(self, value: Any) -> bool:
        """Tell whether ``value`` is read without a problem."""
        problems: Problems = []
        self.read(value, "", problems)
        return not problems

    def without_nulls(self, value: Any) -> Any:
        """Drop the nulls that stand for "use the default" where every key must be given."""
        return value


class Number(Kind):
    """A finite number; ``whole`` for integers. Limits are as in JSON Schema."""

    types = (int, float)

    def __init__(self, whole: bool = False, limits: dict[str, float] | None = None) -> None:
        self.whole = whole
        self.limits = dict(limits or {})

    def schema(self) -> dict[str, Any]:
        return {"type": "integer" if self.whole else "number", **self.limits}

    def expected(self) -> str:
        words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
        limits = " and ".join(f"{words[key]} {limit}" for key, limit in self.limits.items())
        return f"{'an integer' if self.whole else 'a finite number'}{' ' if limits else ''}{limits}"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.refuse(value, path, problems)
        try:
            result = int(value) if self.whole else float(value)
        except (ValueError, OverflowError):  # NaN, an infinity, or an integer that no float can hold
            return self.refuse(value, path, problems)
        if not (self.whole or math.isfinite(result)) or (self.whole and result != value):
            return self.refuse(value, path, problems)
        if not (self._within(result) and self._within(value)):
            return self.refuse(value, path, problems)
        return result

    def _within(self, value: float) -> bool:
        low, above = self.limits.get("minimum"), self.limits.get("exclusiveMinimum")
        high, below = self.limits.get("maximum"), self.limits.get("exclusiveMaximum")
        return (
            (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
            and (below is None or value < below)
        )


class Boolean(Kind):
    """true or false; no number and no string stands for one."""

    types = (bool,)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def expected(self) -> str:
        return "true or false"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        return value if isinstance(value, bool) else self.refuse(value, path, problems)


class Null(Kind):
    """null only."""

    types = (type(None),)

    def schema(self) -> dict[str, Any]:
        return {"type": "null"}

    def expected(self) -> str:
        return "null"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        return None if value is None else self.refuse(value, path, problems)


class String(Kind):
    """A string of ``least`` to ``most`` characters."""

    types = (str,)

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self.least, self.most = least, most

    def schema(self) -> dict[str, Any]:
        return {"type": "string", **_sizes(self.least, self.most, "minLength", "maxLength")}

    def expected(self) -> str:
        return f"a string{_size_words(self.least, self.most, 'characters')}"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, str) or not _fits(len(value), self.least, self.most):
            return self.refuse(value, path, problems)
        return str.__str__(value)


class Choice(Kind):
    """One of a few tokens (Literal, Enum). ``members`` maps tokens to Python values."""

    def __init__(self, members: list[tuple[Any, Any]]) -> None:
        self.members = members
        self.types = tuple({type(t) for t, _ in members} | ({int, float} if self._numbers() else set()))

    @classmethod
    def of_enum(cls, kind: type[enum.Enum]) -> "Choice":
        """Return the choice among the members of an Enum."""
        return cls([(token(member), member) for member in kind])

    def _numbers(self) -> bool:
        return any(isinstance(t, int) and not isinstance(t, bool) for t, _ in self.members)

    def schema(self) -> dict[str, Any]:
        names = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
        used = sorted({names[type(t)] for t, _ in self.members})
        return {"type": used[0] if len(used) == 1 else used, "enum": [t for t, _ in self.members]}

    def expected(self) -> str:
        return f"one of {', '.join(shown(t) for t, _ in self.members)}"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, (str, bool, int, float)) or value is None:
            for key, result in self.members:
                if isinstance(key, bool) == isinstance(value, bool) and key == value:
                    return result
        return self.refuse(value, path, problems)


class Array(Kind):
    """A list of ``least`` to ``most`` items of one kind."""

    types = (list, tuple)

    def __init__(self, item: Kind, least: int = 0, most: int | None = None) -> None:
        self.item, self.least, self.most = item, least, most

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(), **_sizes(self.least, self.most, "minItems", "maxItems")}

    def expected(self) -> str:
        return f"an array{_size_words(self.least, self.most, 'items')}, each {self.item.expected()}"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, (list, tuple)) or not _fits(len(value), self.least, self.most):
            return self.refuse(value, path, problems)
        result = []
        for i, item in enumerate(value):
            result.append(self.item.read(item, f"{path}[{i}]", problems))
            if len(problems) >= MAX_PROBLEMS:
                break
        return result

    def without_nulls(self, value: Any) -> Any:
        return [self.item.without_nulls(v) for v in value] if isinstance(value, list) else value


class FixedArray(Kind):
    """An array with one kind for each place, read as a tuple."""

    types = (list, tuple)

    def __init__(self, items: list[Kind]) -> None:
        self.items = items

    def schema(self) -> dict[str, Any]:
        n = len(self.items)
        schemas = [item.schema() for item in self.items]
        if all(s == schemas[0] for s in schemas):
            return {"type": "array", "items": schemas[0], "minItems": n, "maxItems": n}
        return {"type": "array", "prefixItems": schemas, "items": False, "minItems": n, "maxItems": n}

    def expected(self) -> str:
        return f"an array of exactly {len(self.items)} items ({', '.join(item.expected() for item in self.items)})"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            return self.refuse(value, path, problems)
        pairs = zip(self.items, value, strict=True)
        return tuple(item.read(v, f"{path}[{i}]", problems) for i, (item, v) in enumerate(pairs))

    def without_nulls(self, value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(self.items):
            return value
        return [item.without_nulls(v) for item, v in zip(self.items, value, strict=True)]


class Map(Kind):
    """An object with any keys, all values of one kind."""

    types = (dict,)

    def __init__(self, item: Kind, least: int = 0, most: int | None = None) -> None:
        self.item, self.least, self.most = item, least, most

    def schema(self) -> dict[str, Any]:
        sizes = _sizes(self.least, self.most, "minProperties", "maxProperties")
        return {"type": "object", "additionalProperties": self.item.schema(), **sizes}

    def expected(self) -> str:
        return f"an object{_size_words(self.least, self.most, 'keys')}, each value {self.item.expected()}"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict) or not _fits(len(value), self.least, self.most):
            return self.refuse(value, path, problems)
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self.refuse(key, path, problems, "only strings as keys")
            else:
                result[key] = self.item.read(item, f"{path}[{shown(key)}]", problems)
            if len(problems) >= MAX_PROBLEMS:
                break
        return result

    def without_nulls(self, value: Any) -> Any:
        return {k: self.item.without_nulls(v) for k, v in value.items()} if isinstance(value, dict) else value


@dataclasses.dataclass(frozen=True)
class Field:
    """A named value of a record. ``default`` is JSON; MISSING where the value must be given."""

    name: str
    kind: Kind
    description: str = ""
    required: bool = True
    default: Any = MISSING

    def schema(self) -> dict[str, Any]:
        """Return the schema of the value, with description and default."""
        result = self.kind.schema()
        if self.description:
            result["description"] = self.description
        if self.default is not MISSING:
            result["default"] = copy.deepcopy(self.default)
        return result


class Record(Kind):
    """An object with known keys, read by ``build(**values)`` (a dataclass, or dict for the arguments of a skill)."""

    types = (dict,)

    def __init__(self, fields: list[Field], build: Callable[..., Any] = dict, name: str = "object") -> None:
        self.fields, self.build, self.name = fields, build, name

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {f.name: f.schema() for f in self.fields},
            "required": [f.name for f in self.fields if f.required],
            "additionalProperties": False,
        }

    def expected(self) -> str:
        keys = ", ".join(f.name if f.required else f"{f.name} (optional)" for f in self.fields)
        return f"an object with the keys {keys}" if keys else "an object without keys"

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            return self.refuse(value, path, problems)
        before = len(problems)
        known = {f.name for f in self.fields}
        for key in value:
            if not isinstance(key, str) or key not in known:
                self.refuse(key, path, problems, self._instead_of(key))
            if len(problems) >= MAX_PROBLEMS:
                return None
        result = {}
        for field in self.fields:
            at = f"{path}.{field.name}" if path else field.name
            if field.name in value:
                result[field.name] = field.kind.read(value[field.name], at, problems)
            elif field.required and len(problems) < MAX_PROBLEMS:
                problems.append(Problem(at, field.kind.expected(), "nothing (the argument is missing)"))
        if len(problems) > before:
            return None
        try:
            return self.build(**result)
        except Exception as error:  # a dataclass may check more than its annotations say
            problems.append(Problem(path, f"a {self.name}", f"{type(error).__name__}: {str(error)[:200]}"))
            return None

    def _instead_of(self, key: Any) -> str:
        names = [f.name for f in self.fields]
        near = difflib.get_close_matches(key[:64], names, 1) if isinstance(key, str) else []
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"only the keys {', '.join(names)}{meant}" if names else "no arguments"

    def without_nulls(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        result = dict(value)
        for field in self.fields:
            if field.name not in result:
                continue
            if result[field.name] is None and not field.required and not field.kind.accepts(None):
                del result[field.name]
            else:
                result[field.name] = field.kind.without_nulls(result[field.name])
        return result


class Union(Kind):
    """A value of one of several kinds: the first that reads it."""

    def __init__(self, members: list[Kind]) -> None:
        self.members = members
        self.types = tuple({t for m in members for t in m.types})

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [m.schema() for m in self.members]}

    def expected(self) -> str:
        return " or ".join(m.expected() for m in self.members)

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        for member in self.members:
            found: Problems = []
            result = member.read(value, path, found)
            if not found:
                return result
        near = [m for m in self.members if type(value) in m.types]
        if len(near) == 1:
            return near[0].read(value, path, problems)
        return self.refuse(value, path, problems)

    def without_nulls(self, value: Any) -> Any:
        for member in self.members:
            candidate = member.without_nulls(value)
            if member.accepts(candidate):
                return candidate
        return value


def _fits(n: int, least: int, most: int | None) -> bool:
    return n >= least and (most is None or n <= most)


def _sizes(least: int, most: int | None, low: str, high: str) -> dict[str, int]:
    return {**({low: least} if least else {}), **({} if most is None else {high: most})}


def _size_words(least: int, most: int | None, what: str) -> str:
    if most is None:
        return f" of at least {least} {what}" if least else ""
    return f" of {least} to {most} {what}"
