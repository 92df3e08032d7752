"""Clocks that a control loop can run on instead of the machine's, and the clean way to end a loop from inside."""

import threading
from typing import Protocol

from rfx.arrays import integer, number
from rfx.errors import ControlLoopError

LONGEST_NS = 2**61  # 73 years; sums and differences of two times fit an int64


class StopControlLoop(Exception):
    """Raise it in a callback or in a clock to end the loop cleanly: ``run`` returns the statistics."""


class Clock(Protocol):
    """What a control loop needs of a clock.

    ``now_ns`` never runs backwards. ``sleep_until_ns`` returns when ``now_ns() >= deadline_ns``, and blocks for as
    long as that takes: until the simulated time of a robot gets there, for example. What either raises ends the loop
    and reaches the caller; :class:`StopControlLoop` ends it cleanly. It may come back early and is asked again then,
    which is when ``stop()`` takes effect: one that may block for long should do so every few milliseconds.

    A clock may also have ``work_ns() -> int``, by which the time spent in the callback is measured: real time, where
    ``now_ns`` is simulated.
    """

    def now_ns(self) -> int:
        """Return the time in nanoseconds since any fixed moment."""

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Wait for that time."""


def checked_time(value: int, method: str, earliest_ns: int) -> int:
    """Return what a clock showed, if it is a time and not before ``earliest_ns``."""
    now = integer(value, f"the result of clock.{method}()", minimum=-LONGEST_NS, maximum=LONGEST_NS)
    if now < earliest_ns:
        raise ControlLoopError(f"expected clock.{method}() not to run backwards, got {now} after {earliest_ns}")
    return now


class ManualClock:
    """A clock that stands still until it is told to move: sleeping moves it to the deadline at once.

    A loop on it runs as fast as the machine can, and a callback that calls ``advance`` plays slow work.

    Parameters
    ----------
    start_ns : int
        What the clock shows first.

    Examples
    --------
    >>> from rfx.control import ControlLoop
    >>> clock = ManualClock()
    >>> ControlLoop(100, lambda i, dt: None, max_iterations=3, clock=clock).run().iterations
    3
    >>> clock.now_ns()
    20000000
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now = integer(start_ns, "start_ns", minimum=-LONGEST_NS, maximum=LONGEST_NS)
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """Return the time shown."""
        return self._now

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Show ``deadline_ns``, or stay where it is already past."""
        deadline_ns = integer(deadline_ns, "deadline_ns", maximum=LONGEST_NS)
        with self._lock:
            self._now = max(self._now, deadline_ns)

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` >= 0, rounded to a nanosecond."""
        self.advance_ns(round(number(seconds, "seconds", minimum=0.0, maximum=4e9) * 1e9))

    def advance_ns(self, ns: int) -> None:
        """Move on by ``ns`` >= 0."""
        ns = integer(ns, "ns", minimum=0, maximum=LONGEST_NS)
        with self._lock:
            self._now += ns

    def __repr__(self) -> str:
        return f"ManualClock(start_ns={self._now})"
