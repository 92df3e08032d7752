"""rfx.buffers.concurrent with processes that push, and with processes that are killed and stopped."""

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from producers import learn_until, produce, produce_until_killed, push_batch_and_wait, transition, transitions, whole
from waiting import wait_for

from rfx.buffers import ConcurrentReplayBuffer
from rfx.errors import EmptyBufferError, InvalidValueError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /dev/shm")
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
WIDE = 10_000


# -- processes


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_push_over_the_seam_while_a_learner_samples(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context = multiprocessing.get_context(method)
    with ConcurrentReplayBuffer(2, WIDE, 2, shared=True) as buffer:
        writers = [context.Process(target=produce, args=(buffer, 10_000 * k, 1000)) for k in range(2)]
        for p in writers:
            p.start()
        assert wait_for(lambda: len(buffer) > 0, 60)
        seed = torn = 0
        while any(p.is_alive() for p in writers):
            seed += 1
            torn += not whole(buffer.sample(3, seed)) or len(buffer) > 2
        for p in writers:
            p.join()
            assert p.exitcode == 0
        assert torn == 0
        assert len(buffer) == 2
        assert buffer.state_dict()["pushed"] == 2000


@FORKS
def test_a_fork_has_its_own_copy_of_what_is_not_shared():
    buffer = ConcurrentReplayBuffer(5, 3, 2)
    buffer.push_batch(*transitions(0, 3))
    child = os.fork()
    if child == 0:
        buffer.push(*transition(3))
        os._exit(0 if len(buffer) == 4 and whole(buffer.sample(9, 1)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(buffer) == 3


def test_nothing_is_left_behind_and_nothing_is_said_about_it():
    """Neither maker nor child, started by spawn, makes Python's tracker of shared memory complain."""
    code = """if __name__ == "__main__":
    import multiprocessing, sys
    sys.path.insert(0, sys.argv[1])
    from producers import produce
    from rfx.buffers import ConcurrentReplayBuffer
    with ConcurrentReplayBuffer(10, 3, 2, shared=True) as buffer:
        child = multiprocessing.get_context("spawn").Process(target=produce, args=(buffer, 0, 8))
        child.start(); child.join()
        other = ConcurrentReplayBuffer.attach(buffer.name)
        print(len(other))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("8\n", "")


# -- killed and stopped processes


def states_of(buffer, file):
    """The state of each row, from the memory itself."""
    head = os.pread(file, 64, 0)
    stride, first_row = struct.unpack_from("<Q", head, 24)[0], struct.unpack_from("<Q", head, 40)[0]
    return [os.pread(file, 8, first_row + i * stride)[0] & 3 for i in range(buffer.capacity)]


@pytest.fixture
def busy():
    """A shared buffer, its memory as a file, and a function that kills or stops a producer until a row is left busy."""
    context = multiprocessing.get_context("fork")
    with ConcurrentReplayBuffer(2, 40_000, 2, shared=True) as buffer:
        file = os.open(f"/dev/shm/{buffer.name}", os.O_RDONLY)
        children = []

        def interrupt(sign, tries=200):
            rng = np.random.default_rng(len(children))
            for _ in range(tries):
                child = context.Process(target=produce_until_killed, args=(buffer,))
                child.start()
                children.append(child)
                time.sleep(float(rng.uniform(0.01, 0.03)))
                os.kill(child.pid, sign)
                if sign == signal.SIGKILL:
                    child.join()
                else:
                    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
                if 1 in states_of(buffer, file):
                    return child
                child.kill()
                child.join()
            raise AssertionError("no row was being written at any of the moments")

        yield buffer, file, interrupt
        for child in children:
            child.kill()
            child.join()
        os.close(file)


@LINUX
def test_a_producer_killed_in_a_row_hangs_nobody_and_shows_nothing_torn(busy):
    buffer, file, interrupt = busy
    for i in range(6):
        interrupt(signal.SIGKILL)
        states = states_of(buffer, file)
        assert len(buffer) == states.count(2)  # exact, before anybody has looked after the dead one
        if states.count(2):
            assert whole(buffer.sample(8, i))
        if i % 2:  # a producer or a learner may be the first to find it
            assert all(whole(buffer.gather([k])) for k in range(2) if states[k] == 2)
        for k in range(4):
            buffer.push(*transition(k, 40_000))
        assert len(buffer) == 2
        assert whole(buffer.sample(8, i))


@LINUX
def test_a_learner_alone_finds_the_row_of_a_killed_producer_vacant(busy):
    buffer, file, interrupt = busy
    interrupt(signal.SIGKILL)
    states = states_of(buffer, file)
    slot = states.index(1)
    with pytest.raises(InvalidValueError, match="does not"):
        buffer.gather([slot])
    assert states_of(buffer, file)[slot] == 0
    assert len(buffer.state_dict()["rows"]["rewards"]) == len(buffer) == states.count(2)
    if states.count(2) == 0:
        with pytest.raises(EmptyBufferError):
            buffer.sample(1, 1)


@LINUX
def test_producers_and_learners_go_on_while_others_are_killed():
    context = multiprocessing.get_context("fork")
    with ConcurrentReplayBuffer(3, 2000, 2, shared=True) as buffer:
        buffer.push(*transition(0, 2000))
        stop, torn = context.Event(), context.Value("i", 0)
        learner = context.Process(target=learn_until, args=(buffer, stop, torn))
        steady = context.Process(target=produce, args=(buffer, 0, 4000))
        learner.start()
        steady.start()
        rng = np.random.default_rng(0)
        for _ in range(25):
            child = context.Process(target=produce_until_killed, args=(buffer,))
            child.start()
            time.sleep(float(rng.uniform(0.005, 0.03)))
            child.kill()
            child.join()
            assert whole(buffer.sample(8, 1))
        steady.join()
        stop.set()
        learner.join()
        assert (steady.exitcode, learner.exitcode, torn.value) == (0, 0, 0)
        for i in range(6):
            buffer.push(*transition(i, 2000))
        assert len(buffer) == 3


def batch_cut_short(buffer, rows):
    """Kill a process in the middle of the first batch; how many rows it has left."""
    child = multiprocessing.get_context("fork").Process(target=push_batch_and_wait, args=(buffer, rows))
    child.start()
    while len(buffer) <= 20:
        time.sleep(0.0002)
    child.kill()
    child.join()
    return len(buffer)


@LINUX
def test_a_batch_whose_producer_was_killed_leaves_holes_that_are_never_drawn():
    n, rows = 20_000, transitions(0, 20_000, 100)
    for _ in range(30):
        with ConcurrentReplayBuffer(n, 100, 2, shared=True) as buffer:
            held = batch_cut_short(buffer, rows)
            if held == n:
                continue  # it was through before it was killed
            batch = buffer.sample(4000, 3)
            assert whole(batch)
            assert batch["indices"].max() < held
            counts, sizes = (np.bincount(i * 10 // held) for i in (batch["indices"], np.arange(held)))
            expected = sizes * (4000 / held)
            assert ((counts - expected) ** 2 / expected).sum() < 39.3  # chi-square, 9 degrees of freedom, 0.001 %
            with pytest.raises(InvalidValueError, match="does not"):
                buffer.gather([n - 1])
            state = buffer.state_dict()
            assert len(state["rows"]["rewards"]) == held == state["cursor"]
            loaded = ConcurrentReplayBuffer(n, 100, 2)
            loaded.load_state_dict(state)
            assert len(loaded) == held
            assert whole(loaded.sample(100, 1))
            return
    raise AssertionError("no batch was cut short")


@LINUX
def test_ctrl_c_gets_through_while_a_stopped_process_holds_the_row(busy):
    buffer, file, interrupt = busy
    child = interrupt(signal.SIGSTOP)
    slot = states_of(buffer, file).index(1)

    def ring(*_):
        raise KeyboardInterrupt

    def interrupted(call):
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        call()

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for call in (
            lambda: [buffer.push(*transition(1, 40_000)) for _ in range(3)],
            lambda: [buffer.push_batch(*transitions(1, 2, 40_000)) for _ in range(3)],
            lambda: buffer.gather([slot]),
            buffer.clear,
        ):
            with pytest.raises(KeyboardInterrupt):
                interrupted(call)
    finally:
        signal.signal(signal.SIGALRM, before)
    os.kill(child.pid, signal.SIGCONT)
    child.kill()
    child.join()
    for k in range(4):
        buffer.push(*transition(k, 40_000))
    assert len(buffer) == 2
    assert whole(buffer.sample(8, 1))
