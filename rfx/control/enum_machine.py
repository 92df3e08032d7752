"""A state machine over the members of an enum."""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from rfx.control.state_machine import FunctionState, State, StateMachine, Transition
from rfx.errors import ConfigError, DTypeError

E = TypeVar("E", bound=enum.Enum)


class EnumStateMachine(Generic[E]):
    """A state machine over the members of an enum.

    Parameters
    ----------
    initial : enum member
    allowed : mapping of member to members
        Which may follow which; members that are left out lead nowhere.
    on_enter, on_update, on_exit : mapping of member to function, optional
        ``on_update`` takes dt (s), the others nothing.

    Examples
    --------
    >>> import enum
    >>> class Mode(enum.Enum):
    ...     LYING = 1
    ...     STANDING = 2
    >>> machine = EnumStateMachine(Mode.LYING, {Mode.LYING: {Mode.STANDING}})
    >>> machine.set_state(Mode.STANDING)
    >>> machine.current
    <Mode.STANDING: 2>
    """

    def __init__(
        self,
        initial: E,
        allowed: Mapping[E, Iterable[E]],
        *,
        on_enter: Mapping[E, Callable[[], Any]] | None = None,
        on_update: Mapping[E, Callable[[float], Any]] | None = None,
        on_exit: Mapping[E, Callable[[], Any]] | None = None,
    ) -> None:
        if not isinstance(initial, enum.Enum):
            raise DTypeError(f"expected initial to be a member of an enum, got {type(initial).__name__}")
        self._enum = type(initial)
        entering, updating, leaving = on_enter or {}, on_update or {}, on_exit or {}
        for table in (allowed, entering, updating, leaving):
            for member in table:
                self._check(member)
        self._machine = StateMachine(self._make(initial, entering, updating, leaving))
        for member in self._enum:
            if member is not initial:
                self._machine.add_state(self._make(member, entering, updating, leaving))
        for source, targets in allowed.items():
            for target in targets:
                self._machine.add_transition(source.name, self._check(target).name)
        self._machine.start()

    @staticmethod
    def _make(member: Any, enter: Mapping[Any, Any], update: Mapping[Any, Any], exit: Mapping[Any, Any]) -> State:
        return FunctionState(member.name, enter=enter.get(member), update=update.get(member), exit=exit.get(member))

    def _check(self, member: Any) -> Any:
        if not isinstance(member, self._enum):
            raise ConfigError(f"expected a member of {self._enum.__name__}, got {member!r}")
        return member

    @property
    def current(self) -> E:
        """The present member."""
        return self._enum[self._machine.current_state]

    @property
    def history(self) -> tuple[Transition, ...]:
        """The last transitions, by the members' names."""
        return self._machine.history

    def set_state(self, member: E, reason: str = "asked for") -> None:
        """Go to another member; InvalidStateError where that is not allowed."""
        self._machine.transition_to(self._check(member).name, reason)

    def update(self, dt: float) -> None:
        """Let ``dt`` seconds pass in the present member."""
        self._machine.update(dt)

    def __repr__(self) -> str:
        return f"EnumStateMachine(current={self.current!r})"
