"""The robot's time as the clock of a control loop: one tick for each state, however long it takes to come."""

import time
from collections.abc import Callable

from rfx import arrays
from rfx.errors import RfxConnectionError
from rfx.go2.client import Go2

SLICE_S = 0.05


class RobotClock:
    """A clock for :class:`rfx.control.ControlLoop` that shows the robot's tick.

    Parameters
    ----------
    go2 : Go2
        A link made with ``lockstep=True``.
    patience_s : float
        Without a new state for so long (real time) the robot counts as gone.
    alive : callable, optional
        Asked while no state comes; False means that the robot is gone at once.

    Raises
    ------
    RfxConnectionError
        From :meth:`sleep_until_ns`, when the robot is gone.
    """

    def __init__(self, go2: Go2, patience_s: float = 5.0, alive: Callable[[], bool] | None = None) -> None:
        self._go2 = go2
        self._alive = alive
        self.patience_s = arrays.number(patience_s, "patience_s", above=0)
        self._now_ns = go2.low_state().tick * 1_000_000
        self._progress_s = time.monotonic()
        self.wait_ns = 0

    def __repr__(self) -> str:
        return f"RobotClock(now={self._now_ns / 1e9:.3f} s)"

    def now_ns(self) -> int:
        """Return the tick of the newest state that was waited for, in nanoseconds."""
        return self._now_ns

    def work_ns(self) -> int:
        """Return the machine's own time: what a callback costs is real."""
        return time.perf_counter_ns()

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Wait until the robot's time has come to this point; may come back early, to be asked again."""
        began = time.perf_counter_ns()
        if self._go2.newest_tick * 1_000_000 <= self._now_ns:
            self._go2.wait_state(SLICE_S)
        newest_ns = self._go2.newest_tick * 1_000_000  # also when somebody else took it meanwhile
        if newest_ns > self._now_ns:
            self._progress_s = time.monotonic()
            self._now_ns = newest_ns
        elif time.monotonic() - self._progress_s > self.patience_s:
            raise RfxConnectionError(f"the robot is gone: no new state for {self.patience_s:g} s")
        elif self._alive is not None and not self._alive():
            raise RfxConnectionError("the robot is gone")
        self.wait_ns = time.perf_counter_ns() - began
