"""Control loop: CPU time per tick, and what a thread that computes in Python does to a Python and a compiled tick.

``pytest benchmarks/bench_loop.py --benchmark-enable`` gives the time that a tick costs: every tick computes for 2 us at
a rate of 1 MHz, so that the loop is always late and never waits; what goes beyond 2 ms for 1000 ticks is the loop.
``python benchmarks/bench_loop.py`` prints the table of lateness, at a period of twice the switch interval. On a shared
machine absolute lateness is noise; look at how the rows differ.
"""

import sys
import threading
import time

import pytest

from rfx.control import BusyTick, ControlLoop, ControlLoopStats, ManualClock

TICKS = 1000


def plain_loop(rate_hz, callback, max_iterations):
    """The loop people write: absolute deadlines, ``time.sleep``, no statistics."""
    period = 1.0 / rate_hz
    due = last = time.monotonic()
    for iteration in range(max_iterations):
        now = time.monotonic()
        callback(iteration, now - last)
        last = now
        due += period
        if (left := due - time.monotonic()) > 0.0:
            time.sleep(left)


def run_late(callback):
    return ControlLoop(1e6, callback, max_iterations=TICKS, late_policy="catch_up").run()


def python_tick(tick):
    return lambda iteration, dt: tick(iteration, 0) == 0


@pytest.fixture
def work():
    busy = BusyTick(busy_s=2e-6)
    assert run_late(busy.tick).iterations == run_late(python_tick(busy.tick)).iterations == TICKS
    plain_loop(1e6, python_tick(busy.tick), TICKS)
    assert busy.count == 3 * TICKS
    return busy.tick


@pytest.mark.benchmark(group="1000 late ticks of 2 us")
def test_compiled_tick(benchmark, work):
    benchmark(run_late, work)


@pytest.mark.benchmark(group="1000 late ticks of 2 us")
def test_python_tick(benchmark, work):
    benchmark(run_late, python_tick(work))


@pytest.mark.benchmark(group="1000 late ticks of 2 us")
def test_peer_loop_with_time_sleep(benchmark, work):
    benchmark(plain_loop, 1e6, python_tick(work), TICKS)


@pytest.mark.benchmark(group="1000 ticks on a manual clock")
def test_python_tick_on_a_manual_clock(benchmark):
    benchmark(lambda: ControlLoop(1000, lambda i, dt: None, max_iterations=TICKS, clock=ManualClock()).run())


def compute(ended: threading.Event) -> None:
    while not ended.is_set():
        sum(range(100))


def measured(callback, beside: bool, spin_s: float, rate_hz: float = 100, ticks: int = 200):
    """Statistics of one run and the CPU time per tick in us; with a computing thread beside it or without."""
    ended = threading.Event()
    thread = threading.Thread(target=compute, args=(ended,))
    if beside:
        thread.start()
    start = time.process_time_ns()
    stats: ControlLoopStats = ControlLoop(rate_hz, callback, max_iterations=ticks, spin_s=spin_s).run()
    cpu_us = (time.process_time_ns() - start) / 1e3 / ticks
    ended.set()
    if beside:
        thread.join()
    return stats, cpu_us


def plain_cpu_us(rate_hz: float = 100, ticks: int = 200) -> float:
    start = time.process_time_ns()
    plain_loop(rate_hz, lambda i, dt: None, ticks)
    return (time.process_time_ns() - start) / 1e3 / ticks


def main() -> None:
    measured(lambda i, dt: None, False, 0.0, ticks=20)
    print(f"100 Hz, 200 ticks, sys.getswitchinterval() = {sys.getswitchinterval() * 1e3:g} ms")
    print(f"{'[us]':<11}{'beside':<22}{'spin':>6}{'CPU/tick':>10}{'late p50':>10}{'p90':>10}{'p99':>10}{'missed':>8}")
    for spin_s in (0.0, 50e-6):
        for beside in (False, True):
            for label, callback in (("python", lambda i, dt: None), ("compiled", BusyTick().tick)):
                stats, cpu_us = measured(callback, beside, spin_s)
                late = stats.lateness
                print(
                    f"{label:<11}{'a computing thread' if beside else 'nothing':<22}{spin_s * 1e6:>6.0f}"
                    f"{'-' if beside else format(cpu_us, '.1f'):>10}"
                    f"{late.p50 / 1e3:>10.1f}{late.p90 / 1e3:>10.1f}{late.p99 / 1e3:>10.1f}{stats.missed_ticks:>8}"
                )
    print(f"{'time.sleep':<11}{'nothing':<22}{'':>6}{plain_cpu_us():>10.1f}")


if __name__ == "__main__":
    main()
