"""A control loop that runs in a thread of its own."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rfx.arrays import number
from rfx.control.stats import ControlLoopStats
from rfx.errors import InvalidStateError, RfxTimeoutError

if TYPE_CHECKING:
    from rfx.control.loop import ControlLoop

WAIT_S = 0.2  # a wait is cut into slices, so that Ctrl+C gets through on every platform

_running: "weakref.WeakSet[ControlLoopHandle]" = weakref.WeakSet()


class ControlLoopHandle:
    """What :meth:`ControlLoop.spawn` returns: stop the loop, wait for it, look at its statistics.

    As a context manager it stops the loop at the end of the block and waits for it. A loop that nobody stops runs on
    when the handle is dropped, and is stopped when the interpreter exits.
    """

    def __init__(self, loop: "ControlLoop", execute: Callable[[], object]) -> None:
        self._loop = loop
        self._execute = execute
        self._error: BaseException | None = None
        self._stats: ControlLoopStats | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._main, name=loop.name, daemon=True)
        _running.add(self)
        self._thread.start()

    def _main(self) -> None:
        try:
            self._execute()
        except BaseException as error:  # join hands it on
            self._error = error
        finally:
            self._stats = self._loop.stats()
            self._done.set()

    def is_running(self) -> bool:
        """Whether the loop has not ended yet."""
        return not self._done.is_set()

    def stop(self) -> None:
        """Ask the loop to end after the present tick, and return at once. A loop that has ended stays as it is."""
        if self.is_running():
            self._loop.stop()

    def join(self, timeout: float | None = None) -> ControlLoopStats:
        """Wait until the loop has ended; Ctrl+C gets through and leaves the loop running.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most, >= 0; forever without.

        Returns
        -------
        ControlLoopStats

        Raises
        ------
        RfxTimeoutError
            The loop is still running after ``timeout``.
        InvalidStateError
            Called from within the loop, which would wait for itself.
        Exception
            What the callback or the clock raised; again at each call.
        """
        seconds = None if timeout is None else number(timeout, "timeout", minimum=0.0)
        if threading.current_thread() is self._thread:
            raise InvalidStateError("expected join from outside of the loop; inside, return False or call stop()")
        until = None if seconds is None else time.monotonic() + seconds
        while not self._done.is_set():
            left = WAIT_S if until is None else min(WAIT_S, until - time.monotonic())
            if not self._done.wait(max(0.0, left)) and until is not None and time.monotonic() >= until:
                raise RfxTimeoutError(f"the control loop {self._loop.name!r} is still running after {seconds:g} s")
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.stats()

    def stats(self) -> ControlLoopStats:
        """Return what was measured up to now, or up to the end of the loop."""
        return self._stats if self._stats is not None else self._loop.stats()

    def __enter__(self) -> "ControlLoopHandle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        try:
            self.join()
        except BaseException:
            if error is None:
                raise  # else the error of the block is the one to see; join() still raises that of the loop

    def __repr__(self) -> str:
        return f"ControlLoopHandle({self._loop.name!r}, {'running' if self.is_running() else 'ended'})"


@atexit.register
def _stop_all() -> None:
    """Stop what still runs before the interpreter goes away under it, and wait for it a little."""
    left = list(_running)
    for handle in left:
        handle.stop()
    until = time.monotonic() + 1.0
    for handle in left:
        handle._done.wait(max(0.0, until - time.monotonic()))
