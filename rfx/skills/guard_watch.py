"""The part of the guard that stops: at once, after whatever is under way, and again until the robot has heard it."""

import abc
import logging
import threading
import time
from contextlib import suppress

from rfx.errors import InvalidStateError
from rfx.skills.guarded import MoveState
from rfx.skills.result import SkillError
from rfx.skills.slot import current_turn

WATCH_S = 0.05  # how often the watch looks at a move, by the wall clock
AGAIN_S = (0.1, 0.2, 0.3, 0.4)  # so long a stop waits for what is being told to the robot, and then stops it again
_LOG = logging.getLogger("rfx.skills")


class Stopping(abc.ABC):
    """The move that is under way, how it is stopped, and the thread that looks at it.

    The thread is there while something moves, or while the robot has not heard a stop for certain.
    """

    def __init__(self) -> None:
        self._order = threading.RLock()  # held while the robot is told something, so that a stop is the last word
        self._lock = threading.Lock()  # held for a moment, around what is below
        self._move: MoveState | None = None
        self._stops = 0
        self._closed = False
        self._stopped_ns = -1  # when the last stop came that was asked for
        self._watcher: threading.Thread | None = None

    @abc.abstractmethod
    def _rest(self) -> None:
        """Tell the robot to stop."""

    @abc.abstractmethod
    def _beyond(self, state: MoveState) -> str:
        """Say which limit a move is about to pass, or return an empty string."""

    @abc.abstractmethod
    def _note(self, action: str, **what: object) -> bool: ...

    def stop(self, why: str = "stop") -> None:
        """Stop the robot at once and end the move that is under way, whoever holds what.

        When it returns, nothing that was begun before moves the robot any more. Only a robot that does not come back from
        what it was told before, for a whole second, is stopped again and again until it does.
        """
        with self._lock:
            before, self._stopped_ns = self._stopped_ns, time.monotonic_ns()
            own = current_turn()
            if own is not None:
                own.stops_itself(before, self._stopped_ns)
            self._stops += 1
            state = self._move
            if state is not None:
                state.over = state.over or str(why)[:300] or "stop"
                state.stops += 1
        self._carry_out(state)
        self._note("stop", why=why)

    def _halt(self, state: MoveState, why: str, limit: bool = False) -> None:
        """Stop what this move does; nothing when it has ended."""
        with self._lock:
            if self._move is not state or state.over:
                return
            state.over, state.limit = why, limit
            state.stops += 1
            self._stops += 1
        self._carry_out(state)
        self._note("stop", move=state.name, why=why)

    def _carry_out(self, state: MoveState | None) -> None:
        number = state.stops if state is not None else 0
        try:
            if self._stop_robot() and state is not None:
                self._told(state, number)
        finally:
            self._go_on_stopping(state)

    def _go_on_stopping(self, state: MoveState | None) -> None:
        with self._lock:
            if state is not None and state.unstopped and self._move is state:
                with suppress(SkillError):
                    self._begin_watch()

    def _told(self, state: MoveState, number: int) -> None:
        with self._lock:
            state.stopped = max(state.stopped, number)

    def _stop_robot(self) -> bool:
        """Stop the robot, at once and again after what is being told to it; whether that has come to its end."""
        if self._order.acquire(blocking=False):
            try:
                self._rest()
            finally:
                self._order.release()
            return True
        failed: Exception | None = None
        for wait_s in AGAIN_S:  # the first may come before a motion has begun
            try:
                self._rest()
                failed = None
            except Exception as error:
                failed = error
            if self._order.acquire(timeout=wait_s):
                try:
                    self._rest()
                finally:
                    self._order.release()
                return True
        if failed is not None:
            raise failed
        return False

    def _begin_watch(self) -> None:
        """See to it that there is a watch; the lock is held."""
        if self._watcher is not None and self._watcher.is_alive():
            return
        watcher = threading.Thread(target=self._watch, name="rfx skills guard", daemon=True)
        try:
            watcher.start()
        except RuntimeError as error:  # no thread is left
            raise SkillError(f"the guard has no watch, so nothing moves: {error}", hint="Tell the operator.") from error
        self._watcher = watcher

    def _watch(self) -> None:
        while True:
            with self._lock:
                state = self._move
                if state is None or (state.over and not state.unstopped):
                    self._watcher = None
                    return
            try:
                if state.unstopped:
                    self._carry_out(state)
                elif not state.over:
                    ended = state.unwanted if threading.main_thread().is_alive() else "the program has ended"
                    why = ended or self._beyond(state)
                    if why:
                        self._halt(state, why, limit=not ended)
            except InvalidStateError:  # the robot is closed
                if self._closed:
                    return
            except Exception as error:  # the next look tries again
                _LOG.debug("looking at the move %s failed: %s", state.name, error)
            time.sleep(WATCH_S)
