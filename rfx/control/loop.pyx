"""The paced control loop: absolute deadlines, measured lateness, Python or compiled ticks."""

from fractions import Fraction

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_CheckExact
from libc.stdint cimport int64_t
from libc.string cimport memset

from rfx.arrays import integer, number
from rfx.control.clock import StopControlLoop, checked_time
from rfx.control.handle import ControlLoopHandle
from rfx.control.realtime import RealtimeRights, check_wishes
from rfx.control.stats import ControlLoopStats
from rfx.errors import ConfigError, ControlLoopError, DTypeError, InvalidStateError

from rfx.control.capsule cimport CompiledTick, tick_fn
from rfx.control.histogram cimport Histogram
from rfx.kernels.clock cimport hist_add, hist_t, pace_advance, pace_skip, pace_t
from rfx.kernels.clock cimport monotonic_ns, set_timer_slack_ns, sleep_until_ns

POLICIES = ("skip", "catch_up")
cdef double SPIN_S = 50e-6
# Longest sleep without a look at stop() and at signals: with the GIL to be taken for it, and without.
cdef int64_t SLICE_NS = 20_000_000, COMPILED_SLICE_NS = 4_000_000
# A clock that stands still and comes back sooner than this did not wait; so often in a row, and it never will.
cdef int64_t FUTILE_NS = 1_000_000, MOST_FUTILE = 100
cdef int64_t FOREVER = 0x7FFFFFFFFFFFFFFF, LONG_AGO = -(1 << 62)

cdef struct counters_t:
    int64_t iterations
    int64_t overruns
    int64_t missed
    int64_t longest_ns
    double average_ns
    hist_t lateness
    hist_t work


# Average of the time in the callback: a <- 0.95 a + 0.05 x, started with the first x.
cdef void count_tick(counters_t* c, int64_t lateness_ns, int64_t work_ns, bint overrun) noexcept nogil:
    c.average_ns = 0.95 * c.average_ns + 0.05 * work_ns if c.iterations else <double> work_ns
    c.iterations += 1
    c.overruns += overrun
    c.longest_ns = max(c.longest_ns, work_ns)
    hist_add(&c.lateness, lateness_ns)
    hist_add(&c.work, work_ns)


cdef int set_period(pace_t* pace, double rate_hz) except -1:
    """Period as whole nanoseconds and a fraction, from the simplest fraction that is the rate (0.1 Hz is 1/10)."""
    if rate_hz >= 1.0:
        rate = Fraction(rate_hz).limit_denominator(1_000_000)
    else:
        rate = 1 / Fraction(1 / rate_hz).limit_denominator(1_000_000)
    pace.step_ns, pace.rest = divmod(1_000_000_000 * rate.denominator, rate.numerator)
    pace.den = rate.numerator
    return 0


@cython.final
cdef class ControlLoop:
    """Calls ``callback(iteration, dt)`` at a steady rate, by absolute deadlines that do not drift.

    Parameters
    ----------
    rate_hz : float
        Ticks per second, 1e-6 to 1e6.
    callback : callable, CompiledTick or PyCapsule
        A callable gets the number of the tick from 0 on, and the measured time in seconds since the last tick started
        (the period at the first). It stops the loop by a false result other than None, by raising
        :class:`StopControlLoop`, or by any other exception, which reaches the caller. A :class:`CompiledTick` (or a
        PyCapsule named ``"rfx.control.tick"``) runs without the GIL and stops the loop by a result that is not 0.
    name : str, optional
        For statistics and errors; also the name of the thread. "control_loop" without.
    max_iterations : int, optional
        Stop after so many calls.
    late_policy : {"skip", "catch_up"}
        What happens to ticks whose time went by. "skip" drops those whose whole period is over and runs the one that
        is due; the loop keeps its grid. "catch_up" drops nothing and runs without a pause until all are made up for.
    clock : Clock, optional
        Time to run on instead of the machine's; see :class:`Clock` and :class:`ManualClock`.
    spin_s : float
        Last part of each wait that is spent watching the clock instead of asleep, in seconds, 0 to 0.01. It costs
        this much CPU time per tick and takes off that much of the wake-up delay. Not used with ``clock``.
    priority, lock_memory, affinity
        SCHED_FIFO priority 1 to 99; keep memory resident; CPUs to run on. Asked for in the thread of the loop, given
        back at its end; the statistics say what was granted. None is an error when refused.

    Raises
    ------
    ValueError
        A rate, count or setting out of range (InvalidValueError, ConfigError).
    TypeError
        Something of the wrong kind (DTypeError).
    """

    cdef pace_t _pace
    cdef counters_t _counters
    cdef cython.pymutex _lock       # over _counters, _running, _stop
    cdef bint _running, _stop, _skip
    cdef double _rate_hz
    cdef int64_t _max_iterations, _spin_ns
    cdef object _callback, _clock, _clock_work, _wishes, _rights
    cdef CompiledTick _tick
    cdef str _name, _policy

    def __init__(self, rate_hz, callback, *, name=None, max_iterations=None, late_policy="skip", clock=None,
                 spin_s=SPIN_S, priority=None, lock_memory=False, affinity=None):
        if self._callback is not None or self._tick is not None:
            raise InvalidStateError("a ControlLoop is set up once; make another one")
        rate = number(rate_hz, "rate_hz", minimum=1e-6, maximum=1e6)
        if PyCapsule_CheckExact(callback):
            callback = CompiledTick.from_capsule(callback)
        if not callable(callback):
            raise DTypeError(f"expected callback to be callable or a compiled tick, got {type(callback).__name__}")
        if isinstance(callback, CompiledTick) and (<CompiledTick> callback).function == NULL:
            raise DTypeError("expected a CompiledTick made by make_tick, from_capsule or from_ctypes, got an empty one")
        if name is not None and not isinstance(name, str):
            raise DTypeError(f"expected name to be a string, got {type(name).__name__}")
        limit = FOREVER if max_iterations is None else integer(
            max_iterations, "max_iterations", minimum=0, maximum=2**62)
        if late_policy not in POLICIES:
            raise ConfigError(f"expected late_policy to be 'skip' or 'catch_up', got {late_policy!r}")
        for method in ("now_ns", "sleep_until_ns"):
            if clock is not None and not callable(getattr(clock, method, None)):
                raise DTypeError(f"expected clock to have a method {method}, got {type(clock).__name__}")
        spin = number(spin_s, "spin_s", minimum=0.0, maximum=0.01)
        self._wishes = check_wishes(priority, lock_memory, affinity)
        set_period(&self._pace, rate)
        self._rate_hz, self._max_iterations, self._spin_ns = rate, limit, round(spin * 1e9)
        self._name, self._policy, self._skip = name or "control_loop", late_policy, late_policy == "skip"
        self._clock, self._clock_work, self._rights = clock, getattr(clock, "work_ns", None), []
        if isinstance(callback, CompiledTick):
            self._tick = callback
        else:
            self._callback = callback

    @property
    def rate_hz(self):
        """Ticks per second that were asked for."""
        return self._rate_hz

    @property
    def name(self):
        """Name of the loop."""
        return self._name

    @property
    def late_policy(self):
        """``"skip"`` or ``"catch_up"``."""
        return self._policy

    def run(self):
        """Run until the loop ends, and return its :class:`ControlLoopStats`.

        What the callback or the clock raises is raised here; ``stats()`` still has what was measured. Ctrl+C gets
        through at any time. A compiled tick on the machine's clock runs in a thread of its own, so that the wait for
        signals never costs it the GIL; any other loop runs in the calling thread. Raises InvalidStateError while the
        loop is running already.
        """
        if self._tick is None or self._clock is not None:
            self._begin()
            self._execute()
            return self.stats()
        handle = self.spawn()
        try:
            return handle.join()
        except BaseException:
            handle.stop()
            handle.join()
            raise

    def spawn(self):
        """Run in a new thread and return its :class:`ControlLoopHandle`. InvalidStateError while running already."""
        self._begin()
        try:
            return ControlLoopHandle(self, self._execute)
        except Exception:
            self._end()     # no thread could be started
            raise
        except BaseException:
            self.stop()     # Ctrl+C while it was starting: the thread ends by itself
            raise

    def stop(self):
        """Ask the present run (not one to come) to end after its tick; from any thread, also the callback. Returns at once."""
        with nogil, self._lock:
            self._stop = True

    def is_running(self):
        """Whether ``run`` or ``spawn`` was called and the loop has not ended."""
        cdef bint running
        with nogil, self._lock:
            running = self._running
        return running

    def stats(self):
        """Return a still picture of what was measured in the present run, or in the last; from any thread."""
        cdef Histogram lateness = Histogram(), work = Histogram()
        cdef counters_t* c = &self._counters
        cdef int64_t iterations, overruns, missed, longest
        cdef double average
        with nogil, self._lock:
            iterations, overruns, missed = c.iterations, c.overruns, c.missed
            average, longest = c.average_ns, c.longest_ns
            lateness.h, work.h = c.lateness, c.work
        return ControlLoopStats(
            self._name, self._rate_hz, self._policy, iterations, overruns, missed,
            average / 1e9, longest / 1e9, lateness, work, tuple(self._rights))

    def __repr__(self):
        state = "" if self.is_running() else "not "
        return f"ControlLoop({self._rate_hz:g} Hz, name={self._name!r}, late_policy={self._policy!r}, {state}running)"

    cdef int _begin(self) except -1:
        cdef bint running
        with nogil, self._lock:
            running = self._running
            if not running:
                self._running = True
                self._stop = False
                memset(&self._counters, 0, sizeof(counters_t))
        if running:
            raise InvalidStateError(f"the control loop {self._name!r} is running already")
        self._rights.clear()
        return 0

    cdef void _end(self) noexcept:
        with nogil, self._lock:
            self._running = False

    def _execute(self):
        """Run the loop in this thread, with the rights asked for, between ``_begin`` and ``_end``."""
        cdef int64_t slack = set_timer_slack_ns(1) if self._clock is None else -1
        cdef tick_fn function
        cdef void* state
        try:
            with RealtimeRights(self._wishes) as rights:
                self._rights[:] = rights.rights
                if self._tick is not None and self._clock is None:
                    function, state = self._tick.function, self._tick.state
                    with nogil:
                        self._loop_compiled(function, state)
                else:
                    self._loop_python()
        except StopControlLoop:
            pass
        finally:
            if slack >= 0:
                set_timer_slack_ns(slack)
            self._end()

    # Whether a tick is to follow: not after stop(), not after the last of max_iterations.
    cdef bint _goes_on(self) noexcept nogil:
        cdef bint stop
        with self._lock:
            stop = self._stop
        return not stop and self._counters.iterations < self._max_iterations

    # Everything between two ticks but the wait: the tick that started at start_ns ended at end_ns. Sets the next
    # deadline and counts. Returns whether a tick is to follow.
    cdef bint _close_tick(self, int64_t start_ns, int64_t end_ns, int64_t work_ns) noexcept nogil:
        cdef int64_t lateness = start_ns - self._pace.next_ns, dropped
        cdef counters_t* counters = &self._counters
        cdef bint overrun, stop
        pace_advance(&self._pace, 1)
        overrun = end_ns > self._pace.next_ns
        with self._lock:
            count_tick(counters, lateness, work_ns, overrun)
            stop = self._stop
        if stop or counters.iterations >= self._max_iterations:
            return False
        if overrun and self._skip:
            dropped = pace_skip(&self._pace, end_ns)
            with self._lock:
                counters.missed += dropped
        return True

    # Sleeps to the next deadline, or for one slice of the way. Returns whether the deadline is reached.
    cdef bint _wait_slice(self, int64_t slice_ns) noexcept nogil:
        cdef int64_t now = monotonic_ns(), deadline = self._pace.next_ns
        if deadline - now > 2 * slice_ns:
            sleep_until_ns(now + slice_ns, 0)
            return False
        return sleep_until_ns(deadline, self._spin_ns) == 0

    # A compiled tick on the machine's clock: no Python from the first tick to the last.
    cdef void _loop_compiled(self, tick_fn function, void* state) noexcept nogil:
        cdef int64_t start = monotonic_ns(), end
        cdef bint reached
        self._pace.next_ns, self._pace.part = start, 0
        if not self._goes_on():
            return
        while function(state, self._counters.iterations, start) == 0:
            end = monotonic_ns()
            if not self._close_tick(start, end, end - start):
                return
            reached = False
            while not reached:
                reached = self._wait_slice(COMPILED_SLICE_NS)
                if not self._goes_on():
                    return
            start = monotonic_ns()

    # Any other loop: the GIL is held but while waiting and while a compiled tick runs.
    cdef int _loop_python(self) except -1:
        cdef int64_t start = self._now(LONG_AGO), end, work, before
        cdef double dt = 1.0 / self._rate_hz
        cdef bint timed = self._clock_work is not None, goes_on = self._goes_on()
        self._pace.next_ns, self._pace.part = start, 0
        while goes_on:
            work = self._work_now(LONG_AGO) if timed else start
            if not self._call(start, dt):
                return 0
            if timed:
                work = self._work_now(work) - work
                end = self._now(start)
            else:
                end = self._now(start)
                work = end - work
            with nogil:
                goes_on = self._close_tick(start, end, work)
            PyErr_CheckSignals()
            if goes_on and self._wait(end):
                before = start
                start = self._now(end)
                dt = (start - before) / 1e9
            else:
                return 0
        return 0

    # One tick; whether it asks to go on.
    cdef bint _call(self, int64_t start_ns, double dt) except -1:
        cdef int answer
        cdef tick_fn function
        cdef void* state
        if self._tick is None:
            result = self._callback(self._counters.iterations, dt)
            return True if result is None else bool(result)
        function, state = self._tick.function, self._tick.state
        with nogil:
            answer = function(state, self._counters.iterations, start_ns)
        return answer == 0

    # Waits for the next deadline; whether a tick is to follow.
    cdef bint _wait(self, int64_t now_ns) except -1:
        cdef bint reached = False
        cdef int64_t before, asked_ns
        cdef int futile = 0
        while not reached:
            if self._clock is None:
                with nogil:
                    reached = self._wait_slice(SLICE_NS)
            elif now_ns < self._pace.next_ns:
                before, asked_ns = now_ns, monotonic_ns()
                self._clock.sleep_until_ns(self._pace.next_ns)
                now_ns = self._now(before)
                futile = futile + 1 if now_ns == before and monotonic_ns() - asked_ns < FUTILE_NS else 0
                if futile == MOST_FUTILE:
                    raise ControlLoopError(
                        f"expected clock.sleep_until_ns to wait until {self._pace.next_ns}, but it came back "
                        f"{futile} times at {now_ns} without waiting")
            else:
                reached = True
            PyErr_CheckSignals()
            if not self._goes_on():
                return False
        return True

    cdef int64_t _now(self, int64_t earliest) except? -1:
        if self._clock is None:
            return monotonic_ns()
        return checked_time(self._clock.now_ns(), "now_ns", earliest)

    cdef int64_t _work_now(self, int64_t earliest) except? -1:
        return checked_time(self._clock_work(), "work_ns", earliest)


def run_control_loop(rate_hz, callback, name=None, max_iterations=None, *, late_policy="skip", clock=None,
                     spin_s=SPIN_S, priority=None, lock_memory=False, affinity=None):
    """Call ``callback(iteration, dt)`` at a steady rate until it stops the loop.

    The short form of ``ControlLoop(...).run()``; see :class:`ControlLoop` for the parameters.

    Returns
    -------
    ControlLoopStats

    Examples
    --------
    >>> ticks = []
    >>> stats = run_control_loop(1000, lambda i, dt: ticks.append(i), max_iterations=3)
    >>> stats.iterations, ticks
    (3, [0, 1, 2])
    """
    return ControlLoop(
        rate_hz, callback, name=name, max_iterations=max_iterations, late_policy=late_policy, clock=clock,
        spin_s=spin_s, priority=priority, lock_memory=lock_memory, affinity=affinity).run()
