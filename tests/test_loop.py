"""rfx.control.loop: the logic, on a clock that moves only when told."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.control import BusyTick, ControlLoop, ManualClock, StopControlLoop, run_control_loop
from rfx.errors import ConfigError, ControlLoopError, DTypeError, InvalidStateError

MS = 1_000_000


def ticks_of(rate_hz, works_ns, late_policy="skip", clock=None):
    """Run one tick for each entry, which says how long its work takes; returns start times, dts and statistics."""
    clock = clock or ManualClock()
    starts, dts = [], []

    def callback(iteration, dt):
        starts.append(clock.now_ns())
        dts.append(dt)
        clock.advance_ns(works_ns[iteration])

    stats = ControlLoop(rate_hz, callback, max_iterations=len(works_ns), late_policy=late_policy, clock=clock).run()
    return starts, dts, stats


def oracle(period, works_ns, late_policy):
    """The obvious slow loop, on exact fractions."""
    now, tick, starts, overruns, missed = 0, 0, [], 0, 0
    for index, work in enumerate(works_ns):
        starts.append(now)
        now += work
        tick += 1
        overruns += now > math.floor(tick * period)
        if index == len(works_ns) - 1:
            break
        while late_policy == "skip" and math.floor((tick + 1) * period) <= now:
            tick += 1
            missed += 1
        now = max(now, math.floor(tick * period))
    return starts, overruns, missed


rates = st.sampled_from([3.0, 7.0, 60.0, 0.1, 1 / 3, 500.0, 333.3]) | st.floats(0.01, 1e6).map(lambda x: round(x, 3))


@given(rates, st.lists(st.floats(0, 6), min_size=1, max_size=25), st.sampled_from(["skip", "catch_up"]))
def test_starts_and_counts_are_those_of_the_obvious_loop(rate_hz, works, late_policy):
    exact = Fraction(rate_hz).limit_denominator(10**6)
    if rate_hz < 1:
        exact = 1 / Fraction(1 / rate_hz).limit_denominator(10**6)
    period = Fraction(10**9) / exact
    works_ns = [round(work * float(period)) for work in works]
    starts, _, stats = ticks_of(rate_hz, works_ns, late_policy)
    assert (starts, stats.overruns, stats.missed_ticks) == oracle(period, works_ns, late_policy)


@pytest.mark.parametrize(("rate_hz", "seconds"), [(3, 100), (0.3, 1000), (60, 50), (1 / 7, 7000), (29.97, 1000)])
def test_deadlines_do_not_drift(rate_hz, seconds):
    ticks = round(rate_hz * seconds)
    starts, _, _ = ticks_of(rate_hz, [0] * (ticks + 1))
    assert starts[-1] == round(Fraction(ticks) / Fraction(rate_hz).limit_denominator(10**6) * 10**9)


def test_dt_is_the_period_first_and_then_measured_from_start_to_start():
    starts, dts, _ = ticks_of(100, [0, 25 * MS, 0, 0])
    assert dts == [0.01] + [(b - a) / 1e9 for a, b in pairwise(starts)]


def test_skip_drops_whole_ticks_and_keeps_the_grid():
    starts, _, stats = ticks_of(100, [0, 35 * MS, 0, 0])
    assert starts == [0, 10 * MS, 45 * MS, 50 * MS]  # 20 and 30 are dropped, 40 is run late
    assert (stats.overruns, stats.missed_ticks) == (1, 2)


def test_catch_up_runs_every_tick_without_a_pause():
    starts, _, stats = ticks_of(100, [0, 35 * MS, 1 * MS, 0, 0, 0], "catch_up")
    assert starts == [0, 10 * MS, 45 * MS, 46 * MS, 46 * MS, 50 * MS]
    assert (stats.overruns, stats.missed_ticks) == (3, 0)


def test_a_tick_that_ends_on_the_next_deadline_is_no_overrun():
    _, _, stats = ticks_of(100, [10 * MS, 10 * MS, 10 * MS])
    assert (stats.overruns, stats.missed_ticks) == (0, 0)


def test_a_very_long_pause_is_skipped_at_once():
    clock = ManualClock()
    _, _, stats = ticks_of(1e6, [2**61, 0], clock=clock)
    assert stats.missed_ticks == 2**61 // 1000 - 1


def test_lateness_and_work_are_recorded_for_each_tick():
    _, _, stats = ticks_of(100, [2 * MS, 14 * MS, 1 * MS])
    assert stats.lateness.count == stats.work.count == stats.iterations == 3
    assert (stats.lateness.min, stats.lateness.max) == (0, 4 * MS)
    assert (stats.work.min, stats.work.max) == (1 * MS, 14 * MS)


def test_the_average_is_exponential_and_starts_with_the_first_value():
    _, _, stats = ticks_of(100, [4 * MS, 8 * MS, 2 * MS])
    assert stats.avg_iteration_time_ms == pytest.approx(0.95 * (0.95 * 4 + 0.05 * 8) + 0.05 * 2)
    assert stats.max_iteration_time == pytest.approx(8e-3)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_max_iterations_is_the_exact_number_of_calls(n):
    calls = []
    stats = run_control_loop(100, lambda i, dt: calls.append(i), "n", n, clock=ManualClock())
    assert calls == list(range(n))
    assert stats.iterations == n


def test_nothing_waits_after_the_last_tick():
    clock = ManualClock()
    run_control_loop(1, lambda i, dt: None, max_iterations=3, clock=clock)
    assert clock.now_ns() == 2 * 10**9


@pytest.mark.parametrize("answer", [False, 0, "", [], np.bool_(False)])
def test_a_false_result_stops_and_is_not_counted(answer):
    calls = []

    def callback(iteration, dt):
        calls.append(iteration)
        return answer if iteration == 3 else True

    assert run_control_loop(100, callback, clock=ManualClock()).iterations == 3
    assert calls == [0, 1, 2, 3]


def test_none_goes_on():
    assert run_control_loop(100, lambda i, dt: None, max_iterations=4, clock=ManualClock()).iterations == 4


def test_an_exception_reaches_the_caller_and_the_statistics_stay():
    def callback(iteration, dt):
        if iteration == 2:
            raise LookupError("no policy")

    loop = ControlLoop(100, callback, clock=ManualClock())
    with pytest.raises(LookupError, match="no policy"):
        loop.run()
    assert loop.stats().iterations == 2
    assert not loop.is_running()


def test_an_answer_without_a_truth_value_raises_its_error():
    with pytest.raises(ValueError, match="truth value"):
        run_control_loop(100, lambda i, dt: np.zeros(3), clock=ManualClock())


def test_stop_control_loop_ends_the_loop_cleanly():
    def callback(iteration, dt):
        if iteration == 5:
            raise StopControlLoop

    assert run_control_loop(100, callback, clock=ManualClock()).iterations == 5


def test_stop_from_the_callback_ends_the_loop_after_the_tick():
    loop = ControlLoop(100, lambda i, dt: loop.stop() if i == 2 else None, clock=ManualClock())
    assert loop.run().iterations == 3


def test_a_loop_runs_again_from_the_start():
    calls = []
    loop = ControlLoop(100, lambda i, dt: calls.append(i), max_iterations=2, clock=ManualClock())
    assert loop.run().iterations == loop.run().iterations == 2
    assert calls == [0, 1, 0, 1]


def test_a_running_loop_cannot_be_run_again():
    loop = ControlLoop(100, lambda i, dt: loop.run(), clock=ManualClock())
    with pytest.raises(InvalidStateError, match="running already"):
        loop.run()
    assert not loop.is_running()


@pytest.mark.parametrize("rate_hz", [0, -1, math.nan, math.inf, -math.inf, 1e-300, 1.1e6, 10**400])
def test_impossible_rates_are_value_errors(rate_hz):
    with pytest.raises(ValueError, match="rate_hz"):
        run_control_loop(rate_hz, lambda i, dt: None)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"rate_hz": "fast"}, DTypeError),
        ({"callback": 3}, DTypeError),
        ({"callback": None}, DTypeError),
        ({"name": 3}, DTypeError),
        ({"max_iterations": -1}, ValueError),
        ({"max_iterations": 2.0}, DTypeError),
        ({"late_policy": "hurry"}, ConfigError),
        ({"clock": object()}, DTypeError),
        ({"spin_s": -1e-6}, ValueError),
        ({"spin_s": 1.0}, ValueError),
        ({"priority": 0}, ConfigError),
        ({"affinity": []}, ConfigError),
        ({"lock_memory": 1}, DTypeError),
    ],
)
def test_nonsense_settings_are_refused(settings, error):
    with pytest.raises(error):
        ControlLoop(**({"rate_hz": 100, "callback": print} | settings))


def test_work_is_measured_by_the_work_clock_where_there_is_one():
    class Simulated(ManualClock):
        work = 0

        def work_ns(self):
            return self.work

    clock = Simulated()

    def callback(iteration, dt):
        clock.work += 7 * MS

    stats = run_control_loop(100, callback, max_iterations=3, clock=clock)
    assert (stats.work.min, stats.work.max, stats.overruns) == (7 * MS, 7 * MS, 0)


def test_lateness_is_what_the_clock_adds_to_the_deadline():
    class Sluggish(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            super().sleep_until_ns(deadline_ns + 3 * MS)

    starts, _, stats = ticks_of(100, [0, 0, 0], clock=Sluggish())
    assert starts == [0, 13 * MS, 23 * MS]
    assert stats.lateness.max == 3 * MS


def test_a_clock_that_returns_early_is_asked_again():
    class Impatient(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            self.advance_ns(min(MS, max(0, deadline_ns - self.now_ns())))

    starts, _, _ = ticks_of(100, [0, 0, 0], clock=Impatient())
    assert starts == [0, 10 * MS, 20 * MS]


def test_a_clock_may_come_back_early_many_times_while_it_stands_still():
    class Polling(ManualClock):
        asked = 0

        def sleep_until_ns(self, deadline_ns):
            self.asked += 1
            if self.asked % 50 == 0:
                super().sleep_until_ns(deadline_ns)

    starts, _, _ = ticks_of(100, [0, 0, 0], clock=Polling())
    assert starts == [0, 10 * MS, 20 * MS]


def test_stop_takes_effect_when_the_clock_comes_back():
    class Paused(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            loop.stop()

    loop = ControlLoop(100, lambda i, dt: None, clock=Paused())
    assert loop.run().iterations == 1


def test_a_clock_that_stands_still_is_an_error_and_no_hang():
    class Stuck(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            pass

    with pytest.raises(ControlLoopError, match="without waiting"):
        ticks_of(100, [0, 0], clock=Stuck())


def test_a_clock_that_runs_backwards_is_an_error():
    clock = ManualClock(10**9)
    with pytest.raises(ControlLoopError, match="backwards"):
        run_control_loop(100, lambda i, dt: clock.__init__(5), clock=clock)


@pytest.mark.parametrize("time", [2**61 + 1, -(2**61) - 1, 2**80])
def test_a_clock_that_shows_a_time_out_of_range_is_an_error(time):
    class Far(ManualClock):
        def now_ns(self):
            return time

    with pytest.raises(ValueError, match="now_ns"):
        run_control_loop(100, lambda i, dt: None, clock=Far())


@pytest.mark.parametrize("time", [1.5, "now", None])
def test_a_clock_that_shows_no_integer_is_an_error(time):
    class Odd(ManualClock):
        def now_ns(self):
            return time

    with pytest.raises(DTypeError, match="now_ns"):
        run_control_loop(100, lambda i, dt: None, clock=Odd())


def test_what_the_clock_raises_reaches_the_caller():
    class Lost(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            raise ConnectionError("robot gone")

    with pytest.raises(ConnectionError, match="robot gone"):
        ticks_of(100, [0, 0], clock=Lost())


def test_the_clock_may_end_the_loop_cleanly():
    class Ending(ManualClock):
        def sleep_until_ns(self, deadline_ns):
            if deadline_ns > 25 * MS:
                raise StopControlLoop
            super().sleep_until_ns(deadline_ns)

    assert run_control_loop(100, lambda i, dt: None, clock=Ending()).iterations == 3


def test_a_compiled_tick_runs_on_an_injected_clock():
    clock, work = ManualClock(), BusyTick()
    assert run_control_loop(100, work.tick, max_iterations=11, clock=clock).iterations == work.count == 11
    assert clock.now_ns() == 100 * MS


def test_a_clock_that_starts_below_zero_works():
    starts, _, _ = ticks_of(3, [0] * 4, clock=ManualClock(-(10**9)))
    assert starts == [-(10**9), -666666667, -333333334, 0]


def test_manual_clock_refuses_to_go_back():
    clock = ManualClock()
    clock.advance(1.5)
    clock.sleep_until_ns(0)
    assert clock.now_ns() == 1_500_000_000
    with pytest.raises(ValueError, match="seconds"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="ns"):
        clock.advance_ns(-1)


def test_a_loop_without_init_does_not_crash():
    with pytest.raises((TypeError, AttributeError)):
        ControlLoop.__new__(ControlLoop).run()


def test_repr_says_rate_name_and_state():
    loop = ControlLoop(500, print, name="walk", late_policy="catch_up")
    assert repr(loop) == "ControlLoop(500 Hz, name='walk', late_policy='catch_up', not running)"
    assert (loop.rate_hz, loop.name, loop.late_policy) == (500.0, "walk", "catch_up")
