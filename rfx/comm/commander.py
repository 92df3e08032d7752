"""Commands to a robot: one at a time, a stop before all others, and a stop when they cease."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rfx.comm.node_robot import STOP, Effect, effects_of
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError

WAITING = 8  # commands at most
RETRY_S = 0.2  # after a stop that failed
CLOSING_STOPS = 3  # tries
JOIN_S = 2.0  # for a command under way when it closes
_FAILURES = (Exception, SystemExit)  # a robot's class that exits has failed, and ends nothing else
_REFUSALS = (DTypeError, InvalidValueError, InvalidStateError)  # and nothing has changed

Report = Callable[..., None]


class Order:
    """A command that waits for its turn, and what came of it."""

    __slots__ = ("arguments", "at_s", "done", "effect", "error", "name", "tell", "turn", "value")

    def __init__(self, name: str, arguments: dict[str, Any], effect: Effect, turn: int, tell: Any) -> None:
        self.name, self.arguments, self.effect, self.turn, self.tell = name, arguments, effect, turn, tell
        self.at_s = time.monotonic()
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def end(self, error: BaseException | None) -> None:
        """Say what came of it."""
        self.error = error
        self.done.set()


class Commander:
    """Give commands to a robot.

    Parameters
    ----------
    robot : NodeRobot
    timeout_s : float
        A robot that moves is stopped when no command that moves it was applied for so long after the last one came.
    report : callable
        ``report(event, **fields)``, from any thread.

    Attributes
    ----------
    counts : dict
        ``commands`` that came; of those ``applied``, ``refused`` (unknown, too old, or the robot raised), ``superseded`` by
        a newer one of the same name, ``overtaken`` by a stop, ``withdrawn`` by a caller who is gone. ``stops`` done,
        ``dead_man_stops`` among them, ``stop_failures``.
    """

    def __init__(self, robot: Any, timeout_s: float, report: Report) -> None:
        self._robot, self._timeout_s, self._report = robot, timeout_s, report
        self._effects = effects_of(robot)
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        self._watched = threading.Condition(self._lock)
        self._stopping = threading.RLock()
        self._orders: deque[Order] = deque()
        self._turn = 0  # counts stops: what was ordered before one is not done after it
        self._moved_s: float | None = None  # when the command came that it moves by
        self._moved = False  # since the last stop that was done
        self._stop_due = ""  # why a stop that failed has to be tried again
        self._dead_man_due = False
        self._running: Order | None = None
        self._closing = self._closed = False
        self._closer = False  # whether one is at it
        names = (
            "commands",
            "applied",
            "refused",
            "superseded",
            "overtaken",
            "withdrawn",
            "stops",
            "dead_man_stops",
            "stop_failures",
        )
        self.counts = dict.fromkeys(names, 0)
        self._threads = [
            threading.Thread(target=target, name=f"rfx node {word}", daemon=True)
            for target, word in ((self._work, "commands"), (self._watch, "dead man"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def commands(self) -> list[str]:
        """Names of the commands that the robot says it knows."""
        return [] if self._effects is None else sorted(self._effects)

    @property
    def moving(self) -> bool:
        """Whether the robot moves by a command that has to be repeated."""
        return self._moved_s is not None

    # -- what is asked

    def order(self, name: Any, arguments: Any, tell: Any = None) -> Order:
        """Take a command; one that stops is done when this returns, others in their turn.

        A newer command that moves takes the place of one of the same name, and with the same ``tell``, that still waits.
        Raises DTypeError and ConfigError for what is no command, InvalidStateError when it is closed or full.
        """
        self._count("commands")
        try:
            effect = self._effect(name)
            if not isinstance(arguments, dict):
                raise DTypeError(f"expected the arguments of {name} by name, got {type(arguments).__name__}")
            if effect != Effect.Stops:
                return self._enqueue(Order(name, arguments, effect, self._turn, tell))
        except RfxError:
            self._count("refused")
            raise
        return self._order_stop(Order(name, arguments, effect, self._turn, tell))

    def _effect(self, name: Any) -> Effect:
        if not isinstance(name, str):
            raise DTypeError(f"expected the name of a command as a str, got {type(name).__name__}")
        if self._effects is None:
            return Effect.Stops if name == STOP else Effect.Moves
        if name not in self._effects:
            raise ConfigError(f"expected one of the commands {', '.join(self.commands)}, got {name[:60]!r}")
        return self._effects[name]

    def _enqueue(self, order: Order) -> Order:
        with self._change:
            if self._closing:
                raise InvalidStateError("expected a node that runs, got one that has stopped")
            last = self._orders[-1] if self._orders else None
            if last is not None and order.effect == Effect.Moves and (last.name, last.tell) == (order.name, order.tell):
                self._orders.pop()
                self.counts["superseded"] += 1
                last.end(InvalidStateError(f"{last.name} was superseded by a newer one before its turn came"))
            elif len(self._orders) >= WAITING:
                raise InvalidStateError(
                    f"expected fewer than {WAITING} commands to wait, got {order.name} on top of that many"
                )
            order.turn = self._turn
            self._orders.append(order)
            self._change.notify()
        return order

    def withdraw(self, order: Order) -> bool:
        """Take back a command whose turn has not come; whether it had not."""
        with self._lock:
            waits = order in self._orders
            if waits:
                self._orders.remove(order)
                self.counts["withdrawn"] += 1
        if waits:
            order.end(InvalidStateError(f"{order.name} was withdrawn before its turn came"))
        return waits

    def _order_stop(self, order: Order) -> Order:
        action = None if order.name == STOP else (lambda: self._robot.command(order.name, order.arguments))
        try:
            order.value = self._halt(f"{order.name} was asked for", action)
            if action is None and order.arguments:
                raise InvalidValueError("expected no arguments for stop, got some; the robot was stopped")
            self._count("applied")
            order.end(None)
        except _FAILURES as error:
            self._count("refused")
            order.end(error)
        return order

    def _halt(self, reason: str, action: Callable[[], Any] | None = None, *, dead_man: bool = False) -> Any:
        """Stop the robot; what was ordered before is not done any more. Raises what the robot raises, and will try again."""
        with self._stopping:
            with self._lock:
                self._turn += 1
                overtaken, self._orders = list(self._orders), deque()
                self.counts["overtaken"] += len(overtaken)
            for order in overtaken:
                order.end(InvalidStateError(f"{order.name} was overtaken: {reason}"))
            try:
                value = self._robot.stop() if action is None else action()
            except BaseException as error:
                with self._watched:
                    self.counts["stop_failures"] += 1
                    first, self._stop_due = not self._stop_due, self._stop_due or reason
                    self._dead_man_due |= dead_man
                    self._watched.notify()
                if first:
                    self._report("stop_failed", reason=reason, error=error)
                raise
            with self._lock:
                self._moved_s, self._moved, self._stop_due = None, False, ""
                dead_man, self._dead_man_due = dead_man or self._dead_man_due, False
                self.counts["stops"] += 1
                self.counts["dead_man_stops"] += dead_man
        if dead_man:
            self._report("dead_man", reason=reason)
        return value

    # -- the worker

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._orders and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                order = self._running = self._orders.popleft()
            try:
                order.value = self._apply(order)
                self._settle(order, None)
                self._count("applied")
                order.end(None)
            except BaseException as error:  # a robot's class that exits ends its command, not the node
                self._settle(order, error)
                self._count("refused")
                self._report("refused", command=order.name, arguments=order.arguments, error=error)
                order.end(error)
            self._running = None

    def _apply(self, order: Order) -> Any:
        with self._stopping, self._lock:  # not while a stop is under way
            if order.turn != self._turn:
                raise InvalidStateError(f"{order.name} was overtaken by a stop")
            if order.effect == Effect.Rests:
                self._moved_s = None
        waited = time.monotonic() - order.at_s
        if order.effect == Effect.Moves and waited > self._timeout_s:
            raise InvalidStateError(
                f"expected {order.name} to be applied within {self._timeout_s:g} s, it has waited for {waited:.2f} s"
            )
        return self._robot.command(order.name, order.arguments)

    def _settle(self, order: Order, error: BaseException | None) -> None:
        """After a command: watch a robot that moves, stop one that was stopped while the command ran."""
        with self._watched:
            overtaken = order.turn != self._turn
            if order.effect == Effect.Moves and not isinstance(error, _REFUSALS):
                self._moved = True  # also where it failed in another way: nobody knows then
                if not overtaken and (error is None or self._moved_s is None):
                    self._moved_s = order.at_s
                    self._watched.notify()
        if overtaken and not isinstance(error, _REFUSALS):
            with contextlib.suppress(*_FAILURES):  # reported, and tried again
                self._halt(f"a stop came while {order.name} ran")

    # -- the dead man

    def _watch(self) -> None:
        while True:
            with self._watched:
                if self._closed:
                    return
                left = self._left()
                if left is None or left > 0:
                    self._watched.wait(left)
                    continue
            try:
                self._halt_if_due()
            except _FAILURES:  # reported
                time.sleep(RETRY_S)

    def _left(self) -> float | None:
        # seconds until the robot has to be stopped, None for never
        if self._stop_due:
            return 0.0
        return None if self._moved_s is None else self._moved_s + self._timeout_s - time.monotonic()

    def _halt_if_due(self) -> None:
        with self._stopping:  # another stop may have been under way until now
            with self._lock:
                left, again = self._left(), self._stop_due
            if left is not None and left <= 0:
                self._halt(again or f"no command for {self._timeout_s:g} s", dead_man=not again)

    def _halt_at_last(self) -> None:
        for attempt in range(CLOSING_STOPS):
            try:
                self._halt("the node stops")
                return
            except _FAILURES:  # reported
                time.sleep(RETRY_S * (attempt + 1 < CLOSING_STOPS))

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def close(self) -> None:
        """Take no more commands, stop a robot that was moved, end the threads. A second time does nothing.

        One that Ctrl+C interrupts while the robot stops can be done again.
        """
        with self._lock:
            if self._closer:
                return
            self._closing = self._closer = True
            left, self._orders = list(self._orders), deque()  # what waits now must not begin once we have looked
            self.counts["overtaken"] += len(left)
            running = self._running
            moved = self._moved or self._stop_due != "" or (running is not None and running.effect == Effect.Moves)
        try:
            for order in left:
                order.end(InvalidStateError(f"{order.name} was not begun: the node has stopped"))
            if moved:
                self._halt_at_last()
        except BaseException:
            self._closer = False
            raise
        with self._lock:
            self._closed = True
            self._change.notify_all()
            self._watched.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)

    def __repr__(self) -> str:
        return f"Commander(moving={self.moving}, {', '.join(f'{k}={v}' for k, v in self.counts.items() if v)})"
