"""rfx.control.loop on the machine's clock: threads, handles, signals. No test here asserts an upper bound of time."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rfx.control import BusyTick, ControlLoop, Histogram, run_control_loop
from rfx.errors import InvalidStateError, RfxTimeoutError

ROOT = Path(__file__).parent.parent
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals are sent with kill")


@pytest.mark.parametrize("rate_hz", [200, 1000])
@pytest.mark.parametrize("late_policy", ["skip", "catch_up"])
def test_no_tick_starts_before_its_deadline(rate_hz, late_policy):
    starts = []
    before = time.monotonic_ns()
    run_control_loop(rate_hz, lambda i, dt: starts.append(time.monotonic_ns()), None, 50, late_policy=late_policy)
    assert all(start >= before + i * 10**9 // rate_hz for i, start in enumerate(starts))


@pytest.mark.parametrize("spin_s", [0.0, 200e-6, 0.01])
def test_no_compiled_loop_ends_early(spin_s):
    before = time.monotonic_ns()
    run_control_loop(1000, BusyTick().tick, max_iterations=101, spin_s=spin_s)
    assert time.monotonic_ns() >= before + 100 * 1_000_000


def test_a_busy_compiled_tick_is_measured():
    stats = run_control_loop(200, BusyTick(busy_s=0.002).tick, max_iterations=5)
    assert stats.work.min >= 2_000_000


def test_a_compiled_tick_stops_the_loop_by_its_result():
    work = BusyTick(stop_after=4)
    assert run_control_loop(1000, work.tick).iterations == 3
    assert work.count == 4


def test_a_compiled_loop_can_be_stopped_while_it_waits():
    work = BusyTick()
    handle = ControlLoop(0.01, work.tick).spawn()
    while work.count == 0:
        time.sleep(0.001)
    handle.stop()
    assert handle.join().iterations == 1


@pytest.mark.parametrize("rate_hz", [0.01, 500])
def test_a_spawned_loop_runs_until_it_is_stopped(rate_hz):
    started = threading.Event()
    handle = ControlLoop(rate_hz, lambda i, dt: started.set()).spawn()
    started.wait()
    assert handle.is_running()
    handle.stop()
    assert handle.join().iterations >= 1
    assert not handle.is_running()


def test_the_context_manager_stops_and_joins():
    with ControlLoop(1000, lambda i, dt: None, name="walk").spawn() as handle:
        assert repr(handle) == "ControlLoopHandle('walk', running)"
    assert repr(handle) == "ControlLoopHandle('walk', ended)"


def test_join_raises_what_the_callback_raised_each_time():
    handle = ControlLoop(1000, lambda i, dt: 1 / (2 - i)).spawn()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            handle.join()
    assert handle.stats().iterations == 2


def test_the_context_manager_raises_what_the_callback_raised():
    def wait_for_the_end():
        with ControlLoop(1000, lambda i, dt: 1 // 0).spawn() as handle:
            while handle.is_running():
                time.sleep(0.001)

    with pytest.raises(ZeroDivisionError):
        wait_for_the_end()


def test_the_context_manager_does_not_hide_the_error_of_its_block():
    with pytest.raises(KeyError), ControlLoop(1000, lambda i, dt: 1 // 0).spawn():
        raise KeyError("mine")


def test_join_with_a_timeout_raises_while_the_loop_runs():
    with ControlLoop(10, lambda i, dt: None).spawn() as handle:
        with pytest.raises(RfxTimeoutError, match="still running"):
            handle.join(timeout=0.01)
        with pytest.raises(ValueError, match="timeout"):
            handle.join(timeout=-1)
        assert handle.is_running()


def test_a_loop_cannot_join_itself():
    box = []
    ready = threading.Event()

    def callback(iteration, dt):
        ready.wait()
        box[0].join()

    box.append(ControlLoop(100, callback).spawn())
    ready.set()
    with pytest.raises(InvalidStateError, match="outside"):
        box[0].join()


def test_a_spawned_loop_cannot_be_started_again():
    loop = ControlLoop(100, lambda i, dt: None)
    with loop.spawn(), pytest.raises(InvalidStateError, match="running already"):
        loop.spawn()


@pytest.mark.parametrize("make", [lambda: BusyTick().tick, lambda: lambda i, dt: None], ids=["compiled", "python"])
def test_statistics_read_while_running_are_whole(make):
    seen = 0
    with ControlLoop(5000, make()).spawn() as handle:
        while seen < 200:
            stats = handle.stats()
            assert stats.lateness.count == stats.work.count == stats.iterations >= seen
            assert stats.lateness.counts()[2].sum() == stats.iterations
            seen = stats.iterations


def test_many_loops_run_side_by_side():
    stages = Histogram()
    loops = [ControlLoop(500, lambda i, dt: stages.record(i), max_iterations=40).spawn() for _ in range(8)]
    assert [loop.join().iterations for loop in loops] == [40] * 8
    assert stages.count == 320


def test_stop_from_many_threads_at_once_ends_the_loop():
    handle = ControlLoop(500, lambda i, dt: None).spawn()
    threads = [threading.Thread(target=handle.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert handle.join() is not None


def lateness_beside_a_computing_thread(callback):
    ended = threading.Event()

    def compute():
        while not ended.is_set():
            sum(range(100))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        return run_control_loop(100, callback, max_iterations=60).lateness.p50
    finally:
        ended.set()
        thread.join()


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL to wait for")
def test_a_computing_python_thread_delays_a_python_tick_more_than_a_compiled_one():
    python = lateness_beside_a_computing_thread(lambda i, dt: None)
    compiled = lateness_beside_a_computing_thread(BusyTick().tick)
    assert compiled < python


def child(code, *signals):
    """Run code in a fresh interpreter, send the signals once it prints "ready"; what it printed, and its status."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for number in signals:
        time.sleep(0.1)
        process.send_signal(number)
    rest = process.stdout.read()
    return rest.split(), process.wait()


PRELUDE = """
import signal, sys, threading, time
from rfx.control import *
def ready(*ignored):
    print("ready", flush=True)
threading.Timer(0.2, ready).start()
try:
    {}
except KeyboardInterrupt:
    print("interrupted")
"""


@posix_only
@pytest.mark.parametrize(
    "loop",
    [
        "ControlLoop(0.01, lambda i, dt: None).run()",
        "ControlLoop(500, lambda i, dt: None).run()",
        "ControlLoop(0.01, BusyTick().tick).run()",
        "ControlLoop(500, BusyTick(0.0019).tick).run()",
        "ControlLoop(1, lambda i, dt: time.sleep(600)).run()",
        "ControlLoop(1e6, lambda i, dt: [x for x in range(1000)]).run()",
        "ControlLoop(1e6, lambda i, dt: None, clock=ManualClock()).run()",
        "ControlLoop(1e6, BusyTick().tick, clock=ManualClock()).run()",
        "ControlLoop(0.01, lambda i, dt: None).spawn().join()",
        "ControlLoop(1000, BusyTick().tick).spawn().join()",
    ],
)
def test_ctrl_c_gets_through(loop):
    assert child(PRELUDE.format(loop), signal.SIGINT) == (["interrupted"], 0)


@posix_only
def test_a_signal_handler_runs_while_the_loop_waits_and_the_loop_goes_on():
    code = """
import signal, threading
from rfx.control import *
seen = []
signal.signal(signal.SIGUSR1, lambda *a: seen.append(1) or (print("seen"), loop.stop() if len(seen) == 2 else None))
loop = ControlLoop(0.01, lambda i, dt: None)
threading.Timer(0.2, lambda: print("ready", flush=True)).start()
print(loop.run().iterations)
"""
    assert child(code, signal.SIGUSR1, signal.SIGUSR1) == (["seen", "seen", "1"], 0)


@pytest.mark.parametrize("callback", ["BusyTick().tick", "lambda i, dt: None"])
def test_an_interpreter_with_a_loop_still_running_ends(callback):
    code = f"from rfx.control import *\nh = ControlLoop(1000, {callback}).spawn()\nprint('ready', flush=True)"
    assert child(code) == ([], 0)
