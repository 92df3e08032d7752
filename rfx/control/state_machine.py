"""State machines whose transitions are enforced.

A machine knows its states and which may follow which. What is not allowed raises; nothing is ignored.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError

LONGEST_CHAIN = 100  # transitions that callbacks may ask for one after the other
LONGEST_DT = 1e9  # seconds


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
    one. If ``on_exit`` raises, the machine stays where it was; if ``on_enter`` raises, it is in the new state (after
    :meth:`start`: in the initial one, started). If ``on_update`` raises, the time has passed. The error reaches the
    caller each time. A transition that is asked for inside a callback is checked at once and carried out when the
    callback has returned; only one may wait, ``on_exit`` may not ask for any, and after 100 in a row, each asked for by
    the last, InvalidStateError ends it. Other changes of the machine inside a callback raise InvalidStateError.
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
        self._leaving = False
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

        The timeout's transition is allowed by giving it. ConfigError for a name that is taken, half a timeout, or, once
        the machine is started, a timeout that leads nowhere.
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
                if not isinstance(timeout_to, str):
                    raise DTypeError(f"expected timeout_to to be a state's name, got {type(timeout_to).__name__}")
                if self._started and timeout_to != made.name:
                    self._known(timeout_to)
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
                if not _hashable(event):
                    raise DTypeError(f"expected event to be hashable, got {type(event).__name__}")
                there = self._events.get((source, event))
                if there is not None and there != target:
                    raise ConfigError(f"event {event!r} leads from {source!r} to {there!r} already")
                self._events[source, event] = target
            self._allowed[source].add(target)

    def _known(self, name: str) -> State:
        if not isinstance(name, str):
            raise DTypeError(f"expected a state's name, got {type(name).__name__}")
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
            if self._leaving:
                raise InvalidStateError(f"{self._current!r} is being left, on_exit may not ask for {target!r}")
            if self._waiting is not None:
                raise InvalidStateError(f"a transition to {self._waiting[0]!r} waits already")
            self._waiting = (target, reason)
            if not self._busy:
                self._settle()

    def update(self, dt: float) -> None:
        """Let ``dt`` seconds (0 to 1e9) pass: call ``on_update``, then see to the timeout, one in each update."""
        step = arrays.number(dt, "dt", minimum=0, maximum=LONGEST_DT)
        with self._lock:
            self._check_started()
            self._check_idle()
            self._time_s += step
            before = self._moves
            state = self._states[self._current]
            self._run(lambda: state.on_update(step))
            timeout = self._timeouts.get(self._current)
            if timeout is not None and before == self._moves and self.time_in_state >= timeout[0]:
                self._waiting = (timeout[1], f"timeout of {timeout[0]:g} s")
                self._settle()

    def handle_event(self, event: Any) -> bool:
        """Hand an event to the present state, then to the table of transitions; whether it led anywhere.

        A target that the state's own ``handle_event`` returns must be allowed, as in :meth:`transition_to`.
        """
        with self._lock:
            self._check_started()
            self._check_idle()
            before = self._moves
            answer: list[str | None] = []
            state = self._states[self._current]
            self._run(lambda: answer.append(state.handle_event(event)))
            if self._moves != before:
                return True  # it asked for a transition itself
            target = answer[0]
            if target is None and _hashable(event):
                target = self._events.get((self._current, event))
            if target is None:
                return False
            self.transition_to(target, f"event {event!r}")
            return True

    def reset(self) -> None:
        """Go back to before :meth:`start`, without calling anything; the history is kept, its times start at 0 again."""
        with self._lock:
            self._check_idle()
            self._current, self._started = self._initial, False
            self._time_s = self._entered_s = 0.0

    def _check_started(self) -> None:
        if not self._started:
            raise InvalidStateError("start() the machine first")

    def _check_idle(self) -> None:
        if self._busy:
            raise InvalidStateError("a callback may ask for a transition, but not update, feed or reset the machine")

    def _run(self, callback: Callable[[], Any]) -> None:
        """Call a callback of the present state, then carry out what it asked for."""
        self._call(callback)
        self._settle()

    def _call(self, callback: Callable[[], Any]) -> None:
        self._busy = True
        try:
            callback()
        except BaseException:
            self._waiting = None
            raise
        finally:
            self._busy = False

    def _settle(self) -> None:
        """Carry out the transition that waits, and those that it leads to."""
        for _ in range(LONGEST_CHAIN):
            if self._waiting is None:
                return
            (target, reason), self._waiting = self._waiting, None
            self._go(target, reason)
        if self._waiting is not None:
            target, self._waiting = self._waiting[0], None
            raise InvalidStateError(f"{LONGEST_CHAIN} transitions in a row, and on_enter asks for {target!r} again")

    def _go(self, target: str, reason: str) -> None:
        source = self._states[self._current]
        self._leaving = True
        try:
            self._call(source.on_exit)
        finally:
            self._leaving = False
        self._current, self._entered_s, self._moves = target, self._time_s, self._moves + 1
        self._history.append(Transition(self._time_s, source.name, target, reason))
        self._call(self._states[target].on_enter)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
