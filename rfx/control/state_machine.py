"""State machines whose transitions are enforced.

A machine knows its states and which may follow which. What is not allowed raises; nothing is ignored.
"""

import enum
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError


class Transition(NamedTuple):
    """One change of state: when (s since the start), from where, to where, why."""

    time_s: float
    source: str
    target: str
    reason: str


class State:
    """A state with a name; override what it does.

    ``handle_event`` returns the name of the state to go to, or None to stay.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise DTypeError(f"expected a state's name to be a non-empty string, got {name!r}")
        self.name = name

    def on_enter(self) -> None:
        """Called when the machine comes here."""

    def on_update(self, dt: float) -> None:
        """Called by every update while the machine is here; ``dt`` in seconds."""

    def on_exit(self) -> None:
        """Called when the machine leaves."""

    def handle_event(self, event: Any) -> str | None:
        """Return where an event leads, or None."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class FunctionState(State):
    """A state made of functions."""

    def __init__(
        self,
        name: str,
        *,
        enter: Callable[[], Any] | None = None,
        update: Callable[[float], Any] | None = None,
        exit: Callable[[], Any] | None = None,
        event: Callable[[Any], str | None] | None = None,
    ) -> None:
        super().__init__(name)
        self._enter, self._update, self._exit, self._event = enter, update, exit, event

    def on_enter(self) -> None:
        """Call ``enter``."""
        if self._enter is not None:
            self._enter()

    def on_update(self, dt: float) -> None:
        """Call ``update``."""
        if self._update is not None:
            self._update(dt)

    def on_exit(self) -> None:
        """Call ``exit``."""
        if self._exit is not None:
            self._exit()

    def handle_event(self, event: Any) -> str | None:
        """Call ``event``."""
        return None if self._event is None else self._event(event)


class StateMachine:
    """States, allowed transitions, timeouts, and a memory of what happened.

    Parameters
    ----------
    initial : State or str
        Where it starts; a string makes a state that does nothing.
    history : int
        How many of the last transitions are kept.

    Notes
    -----
    A transition first calls ``on_exit`` of the old state, then changes the state, then calls ``on_enter`` of the new
    one. If ``on_exit`` raises, the machine stays where it was; if ``on_enter`` raises, it is in the new state. The
    error reaches the caller either way. A transition that is asked for inside a callback is checked at once and
    carried out when the callback has returned; only one may wait.
    """

    def __init__(self, initial: "State | str", *, history: int = 100) -> None:
        self._states: dict[str, State] = {}
        self._timeouts: dict[str, tuple[float, str]] = {}
        self._allowed: dict[str, set[str]] = {}
        self._events: dict[tuple[str, Any], str] = {}
        self._history: deque[Transition] = deque(maxlen=arrays.integer(history, "history", minimum=0))
        self._lock = threading.RLock()
        self._current = self.add_state(initial).name
        self._initial = self._current
        self._started = False
        self._busy = False
        self._waiting: tuple[str, str] | None = None
        self._time_s = 0.0
        self._entered_s = 0.0
        self._moves = 0

    def __repr__(self) -> str:
        return f"StateMachine(current={self._current!r}, states={len(self._states)}, started={self._started})"

    # -- what there is

    def add_state(
        self, state: "State | str", *, timeout_s: float | None = None, timeout_to: str | None = None
    ) -> State:
        """Add a state; after ``timeout_s`` seconds in it the machine goes to ``timeout_to``.

        The timeout's transition is allowed by giving it. ConfigError for a name that is taken, or half a timeout.
        """
        made = State(state) if isinstance(state, str) else state
        if not isinstance(made, State):
            raise DTypeError(f"expected a State or a name, got {type(state).__name__}")
        if (timeout_s is None) != (timeout_to is None):
            raise ConfigError("expected timeout_s and timeout_to together")
        with self._lock:
            if made.name in self._states:
                raise ConfigError(f"there is a state {made.name!r} already")
            if timeout_s is not None and timeout_to is not None:
                self._timeouts[made.name] = (arrays.number(timeout_s, "timeout_s", above=0), timeout_to)
            self._states[made.name] = made
            self._allowed[made.name] = set() if timeout_to is None else {timeout_to}
        return made

    def add_transition(self, source: str, target: str, event: Any = None) -> None:
        """Allow a transition; with ``event`` :meth:`handle_event` carries it out."""
        with self._lock:
            self._known(source)
            self._known(target)
            if event is not None:
                there = self._events.get((source, event))
                if there is not None and there != target:
                    raise ConfigError(f"event {event!r} leads from {source!r} to {there!r} already")
                self._events[source, event] = target
            self._allowed[source].add(target)

    def _known(self, name: str) -> State:
        if name not in self._states:
            raise ConfigError(f"there is no state {name!r}, there are {sorted(self._states)}")
        return self._states[name]

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states."""
        return tuple(self._states)

    @property
    def current_state(self) -> str:
        """Name of the present state."""
        return self._current

    @property
    def history(self) -> tuple[Transition, ...]:
        """The last transitions, oldest first."""
        return tuple(self._history)

    @property
    def time_in_state(self) -> float:
        """Seconds since the present state was entered, by the sum of the updates' dt."""
        return self._time_s - self._entered_s

    def is_in_state(self, name: str) -> bool:
        """Whether the machine is in that state; ConfigError for an unknown one."""
        self._known(name)
        return self._current == name

    def can_go(self, target: str) -> bool:
        """Whether a transition from the present state is allowed; ConfigError for an unknown state."""
        self._known(target)
        return target in self._allowed[self._current]

    # -- what happens

    def start(self) -> None:
        """Enter the initial state; InvalidStateError when started already, ConfigError for a timeout that leads nowhere."""
        with self._lock:
            if self._started:
                raise InvalidStateError("the machine is started already")
            for source, (_, target) in self._timeouts.items():
                if target not in self._states:
                    raise ConfigError(f"the timeout of {source!r} leads to {target!r}, which does not exist")
            self._started = True
            self._run(self._states[self._current].on_enter)

    def transition_to(self, target: str, reason: str = "asked for") -> None:
        """Go to another state, or to the same one again where that is allowed.

        Raises ConfigError for an unknown state, InvalidStateError for a transition that is not allowed, before
        :meth:`start`, or when one waits already.
        """
        with self._lock:
            self._check_started()
            self._known(target)
            if target not in self._allowed[self._current]:
                allowed = sorted(self._allowed[self._current]) or "nothing"
                raise InvalidStateError(f"{self._current!r} may not become {target!r}, it may become {allowed}")
            if self._busy:
                if self._waiting is not None:
                    raise InvalidStateError(f"a transition to {self._waiting[0]!r} waits already")
                self._waiting = (target, reason)
                return
            self._go(target, reason)

    def update(self, dt: float) -> None:
        """Let ``dt`` seconds (at least 0) pass: call ``on_update``, then see to the timeout."""
        step = arrays.number(dt, "dt", minimum=0)
        with self._lock:
            self._check_started()
            self._time_s += step
            before = self._moves
            state = self._states[self._current]
            self._run(lambda: state.on_update(step))
            timeout = self._timeouts.get(self._current)
            if timeout is not None and before == self._moves and self.time_in_state >= timeout[0]:
                self._go(timeout[1], f"timeout of {timeout[0]:g} s")

    def handle_event(self, event: Any) -> bool:
        """Hand an event to the present state, then to the table of transitions; whether it led anywhere.

        A target that the state's own ``handle_event`` returns must be allowed, as in :meth:`transition_to`.
        """
        with self._lock:
            self._check_started()
            before = self._moves
            answer: list[str | None] = []
            state = self._states[self._current]
            self._run(lambda: answer.append(state.handle_event(event)))
            if self._moves != before:
                return True  # it asked for a transition itself
            target = answer[0] if answer[0] is not None else self._events.get((self._current, event))
            if target is None:
                return False
            self.transition_to(target, f"event {event!r}")
            return True

    def reset(self) -> None:
        """Go back to before :meth:`start`, without calling anything; the history is kept."""
        with self._lock:
            self._current, self._started, self._waiting = self._initial, False, None
            self._time_s = self._entered_s = 0.0

    def _check_started(self) -> None:
        if not self._started:
            raise InvalidStateError("start() the machine first")

    def _run(self, callback: Callable[[], Any]) -> None:
        """Call a callback, then carry out the transition that it asked for, if any."""
        if self._busy:
            raise InvalidStateError("a callback may ask for a transition, but not update or feed the machine")
        self._busy = True
        try:
            callback()
        except BaseException:
            self._waiting = None
            raise
        finally:
            self._busy = False
        if self._waiting is not None:
            target, reason = self._waiting
            self._waiting = None
            self._go(target, reason)

    def _go(self, target: str, reason: str) -> None:
        source = self._states[self._current]
        self._busy = True
        try:
            source.on_exit()
        finally:
            self._busy = False
            self._waiting = None  # the old state has no say any more
        self._current, self._entered_s, self._moves = target, self._time_s, self._moves + 1
        self._history.append(Transition(self._time_s, source.name, target, reason))
        self._run(self._states[target].on_enter)


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
