"""``@skill``: a function with a schema, a description, and a word about what it does to the world."""

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, overload

from rfx.arrays import number
from rfx.errors import ConfigError, DTypeError
from rfx.skills.annotations import field_of, hints_of, kind_of
from rfx.skills.cancel import CancelToken
from rfx.skills.docstrings import parse
from rfx.skills.kinds import MISSING, Kind, Record
from rfx.skills.problems import Problems

EFFECTS = frozenset({"reads", "moves", "stops"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)  # within what OpenAI, Anthropic and MCP all take


class Skill:
    """A function that an agent may call: made by :func:`skill`, called as the function itself.

    Attributes
    ----------
    name, description : str
        What the agent sees.
    parameters : dict
        JSON Schema (2020-12) of the arguments, an object without unknown keys.
    tags, effects : frozenset of str
        Effects are among "reads", "moves", "stops".
    timeout : float or None
        Seconds that a call may take; None leaves it to the registry.
    confirmation : bool
        Whether a person must agree to each call.
    func : callable
        The function.
    """

    name: str
    description: str

    def __init__(
        self,
        func: Callable[..., Any],
        name: str,
        description: str,
        tags: frozenset[str],
        effects: frozenset[str],
        timeout: float | None,
        confirmation: bool,
        names: dict[str, Any],
    ) -> None:
        functools.update_wrapper(self, func)
        self.func, self.name, self.tags, self.effects = func, name, tags, effects
        self.timeout, self.confirmation = timeout, confirmation
        self.owner: Any = None
        summary, described = parse(func.__doc__)
        self.description = description or summary or name.replace("_", " ")
        self.arguments, self.needs_owner, self.cancel_name, self.returns = _read(func, name, described, names)

    @property
    def parameters(self) -> dict[str, Any]:
        return self.arguments.schema()

    @property
    def moves(self) -> bool:
        """Whether a call may move the robot."""
        return "moves" in self.effects

    @property
    def stops(self) -> bool:
        """Whether a call brings the robot to rest: never refused, never kept waiting."""
        return "stops" in self.effects

    def read_arguments(self, arguments: Any, problems: Problems) -> dict[str, Any]:
        """Return arguments as the function takes them; what is wrong with them goes to ``problems``."""
        return self.arguments.read(arguments, "", problems)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it is: nothing is checked here, the registry does that."""
        if self.owner is not None:
            return self.func(self.owner, *args, **kwargs)
        return self.func(*args, **kwargs)

    def __get__(self, instance: Any, cls: Any = None) -> "Skill":
        if instance is None or not self.needs_owner:
            return self
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound.owner = instance
        return bound

    def __reduce__(self) -> Any:
        if self.owner is not None:
            return getattr, (self.owner, self.func.__name__)
        return _find, (self.func.__module__, self.func.__qualname__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skill):
            return NotImplemented
        return self.func is other.func and self.owner is other.owner and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.name, id(self.func), id(self.owner)))

    def __repr__(self) -> str:
        of = f" of {type(self.owner).__name__}" if self.owner is not None else ""
        return f"<Skill {self.name}({', '.join(f.name for f in self.arguments.fields)}){of}, {_joined(self.effects)}>"


@overload
def skill(func: Callable[..., Any]) -> Skill: ...


@overload
def skill(
    func: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: str | Iterable[str] = (),
    effects: str | Iterable[str] = "moves",
    timeout: float | None = None,
    confirmation: bool = False,
) -> Callable[[Callable[..., Any]], Skill]: ...


def skill(
    func: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: str | Iterable[str] = (),
    effects: str | Iterable[str] = "moves",
    timeout: float | None = None,
    confirmation: bool = False,
) -> Any:
    """Make a function or method a :class:`Skill`. ``@skill`` and ``@skill(...)`` both work.

    The schema comes from the annotations, descriptions from the docstring (numpydoc or Google sections). A parameter
    annotated with :class:`CancelToken` is no argument: the registry gives the token of the call.

    Parameters
    ----------
    func : callable
        A plain function; each parameter annotated.
    name : str, optional
        1 to 64 letters, digits, ``_`` and ``-``; the function's name without it.
    description : str, optional
        The docstring up to its first section without it.
    tags : str or iterable of str
        To filter by.
    effects : str or iterable of str
        "reads" (changes nothing), "moves" (may move the robot) or "stops" (brings it to rest). What says nothing is
        taken to move.
    timeout : float, optional
        Seconds, greater than 0.
    confirmation : bool
        A person must agree to each call.

    Raises
    ------
    ConfigError
        An annotation that has no schema, a parameter without one, a default that does not fit, a wrong name or effect.
    DTypeError
        ``func`` is no plain function.
    """
    names = dict(sys._getframe(1).f_locals)

    def made(function: Callable[..., Any]) -> Skill:
        if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
            kind = "an async function" if inspect.iscoroutinefunction(function) else type(function).__name__
            raise DTypeError(f"expected a plain function to make a skill of, got {kind} (put @staticmethod outside)")
        limit = None if timeout is None else number(timeout, "timeout", above=0.0)
        if type(confirmation) is not bool:
            raise DTypeError(f"expected confirmation to be a bool, got {type(confirmation).__name__}")
        given = checked_name(function.__name__ if name is None else name)
        wanted = checked_effects(effects)
        if confirmation and "stops" in wanted:
            raise ConfigError(f"expected the skill {given} not to wait for confirmation, since it stops")
        return Skill(function, given, description or "", words(tags, "tags"), wanted, limit, confirmation, names)

    return made if func is None else made(func)


def checked_name(name: Any) -> str:
    """Return a name that every tool format takes. Raises ConfigError for others."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(f"expected the name of a skill to be 1 to 64 of A-Z a-z 0-9 _ -, got {name!r:.80}")
    return name


def words(value: str | Iterable[str], what: str) -> frozenset[str]:
    """Return one word or several as a set. Raises DTypeError for what is neither."""
    items = (value,) if isinstance(value, str) else tuple(value)
    for item in items:
        if not isinstance(item, str):
            raise DTypeError(f"expected {what} to be str, got {type(item).__name__}")
    return frozenset(items)


def checked_effects(value: str | Iterable[str]) -> frozenset[str]:
    """Return effects as a set. Raises ConfigError for unknown ones, none, and "stops" together with "moves"."""
    effects = words(value, "effects")
    if not effects or effects - EFFECTS:
        raise ConfigError(f"expected effects among {_joined(EFFECTS)}, got {_joined(effects) or 'none'}")
    if {"stops", "moves"} <= effects:
        raise ConfigError("expected a skill either to stop or to move, got both: a stop is never kept waiting")
    return effects


def _joined(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))


def _read(
    func: Callable[..., Any], name: str, described: dict[str, str], names: dict[str, Any]
) -> tuple[Record, bool, str | None, Kind | None]:
    hints = hints_of(func, f"the skill {name}", names)
    fields, needs_owner, cancel = [], False, None
    for i, (key, parameter) in enumerate(inspect.signature(func).parameters.items()):
        if i == 0 and key == "self" and key not in hints:
            needs_owner = True
            continue
        where = f"{key} in the skill {name}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"expected {where} to be a parameter with a name of its own, got {parameter}")
        if key not in hints:
            raise ConfigError(f"expected {where} to have an annotation, got none")
        if hints[key] in (CancelToken, CancelToken | None):
            cancel = key
            continue
        default = MISSING if parameter.default is parameter.empty else parameter.default
        fields.append(field_of(key, hints[key], default, described.get(key, ""), where))
    try:
        returns = kind_of(hints["return"], "the result") if hints.get("return", type(None)) is not type(None) else None
    except ConfigError:  # a result of any class is fine, it only has no schema
        returns = None
    return Record(fields), needs_owner, cancel, returns


def _find(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
