"""rfx.buffers.concurrent against ReplayBuffer, with threads, with processes, and with processes that are killed."""

import multiprocessing
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from producers import learn_until, produce, produce_until_killed, push_batch_for_ever, transition, transitions, whole
from waiting import wait_for

from rfx.buffers import ConcurrentReplayBuffer, ReplayBuffer
from rfx.errors import CodecError, ConfigError, DTypeError, EmptyBufferError, InvalidStateError, InvalidValueError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /dev/shm")
WIDE = 10_000
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


def filled(n, capacity=None, **options):
    buffer = ConcurrentReplayBuffer(capacity or n, 3, 2, **options)
    for i in range(n):
        buffer.push(*transition(i))
    return buffer


class Model(RuleBasedStateMachine):
    """While nobody else writes it is a ReplayBuffer."""

    @initialize(capacity=st.integers(1, 9))
    def make(self, capacity):
        self.ours, self.other = ConcurrentReplayBuffer(capacity, 3, 2), ReplayBuffer(capacity, 3, 2)
        self.next = 0

    @rule()
    def push(self):
        row = transition(self.next)
        assert self.ours.push(*row) == self.other.push(*row)
        self.next += 1

    @rule(n=st.integers(0, 25))
    def push_batch(self, n):
        rows = transitions(self.next, n)
        assert self.ours.push_batch(*rows) == self.other.push_batch(*rows)
        self.next += n

    @rule()
    def clear(self):
        self.ours.clear()
        self.other.clear()

    @rule()
    def pickle(self):
        self.ours = pickle.loads(pickle.dumps(self.ours))

    @rule()
    def exchange(self):
        state = self.other.state_dict()
        self.other.load_state_dict(self.ours.state_dict())
        self.ours.load_state_dict(state)

    @rule(n=st.integers(1, 12), window=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, window, seed):
        if len(self.other) == 0:
            with pytest.raises(EmptyBufferError):
                self.ours.sample(n, seed)
            return
        same(self.ours.sample(n, seed), self.other.sample(n, seed))
        same(self.ours.sample_recent(n, window, seed), self.other.sample_recent(n, window, seed))
        rng = np.random.default_rng(seed), np.random.default_rng(seed)
        same(self.ours.sample(n, rng[0]), self.other.sample(n, rng[1]))

    @invariant()
    def holds_the_same(self):
        ours, other = self.ours.state_dict(), self.other.state_dict()
        assert len(self.ours) == len(self.other)
        assert (ours["cursor"], ours["pushed"]) == (other["cursor"], other["pushed"])
        same(ours["rows"], other["rows"])


Model.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAgainstAReplayBuffer = Model.TestCase


# -- rows of all kinds


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 84, 84)], ids=["small", "more than the stack takes"])
def test_images_integer_actions_and_extra_columns_keep_their_types(shape):
    options = {"obs_dtype": np.uint8, "act_dtype": np.int64, "extra": {"goal": (3, np.float64), "odd": (5, np.int8)}}
    ours, other = ConcurrentReplayBuffer(5, shape, (), **options), ReplayBuffer(5, shape, (), **options)
    rng = np.random.default_rng(0)
    for i in range(8):
        frames = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
        extra = {"goal": rng.normal(size=3), "odd": rng.integers(-128, 128, 5, dtype=np.int8)}
        for buffer in (ours, other):
            buffer.push(frames[0], i, 0.5 * i, i == 3, i == 5, frames[1], extra)
    same(ours.gather(range(5)), other.gather(range(5)))
    same(pickle.loads(pickle.dumps(ours)).sample(16, 1), other.sample(16, 1))


def test_observations_may_be_dicts(tmp_path):
    spec = {"image": ((2, 2), np.uint8), "speed": 3}
    buffer = ConcurrentReplayBuffer(4, spec, 1)
    obs = {"image": np.eye(2, dtype=np.uint8), "speed": np.arange(3, dtype=np.float32)}
    buffer.push(obs, np.zeros(1, np.float32), 1.0, False, True, obs)
    buffer.save(tmp_path / "rows")
    for made in (buffer, ConcurrentReplayBuffer.load(tmp_path / "rows")):
        row = made.sample(1, 0)
        np.testing.assert_array_equal(row["obs"]["image"][0], np.eye(2))
        np.testing.assert_array_equal(row["next_obs"]["speed"][0], [0, 1, 2])


def test_out_is_written():
    buffer = filled(20)
    first = buffer.sample(6, 1)
    second = buffer.sample(6, 1, out={k: np.empty_like(v) for k, v in first.items()})
    same(second, first)
    assert buffer.sample(6, 2, out=second)["obs"] is second["obs"]


def test_what_does_not_fit_is_refused_and_nothing_is_stored():
    buffer = filled(2, capacity=5)
    for k, bad in ((0, np.zeros(4, np.float32)), (1, np.zeros(2)), (2, "1"), (3, 0.5), (5, None)):
        with pytest.raises((InvalidValueError, DTypeError)):
            buffer.push(*(bad if i == k else c for i, c in enumerate(transition(1))))
        with pytest.raises((InvalidValueError, DTypeError)):
            buffer.push_batch(*(c[:2] if i == k else c for i, c in enumerate(transitions(1, 3))))
    assert len(buffer) == 2
    for bad in ([2], [-1], [0, 10**12]):
        with pytest.raises(InvalidValueError, match=r"within 0\.\.1"):
            buffer.gather(bad)


def test_a_state_that_does_not_fit_changes_nothing():
    buffer = filled(3, capacity=5)
    before, bigger = buffer.state_dict(), filled(6).state_dict()
    for bad in ({}, bigger, {**before, "cursor": 1}, {**before, "pushed": 2}, {**before, "rows": {}}):
        with pytest.raises(InvalidValueError):  # or ConfigError, which is one
            buffer.load_state_dict(bad)
    same(buffer.state_dict()["rows"], before["rows"])


def test_a_saved_buffer_is_loaded_as_one_of_its_own(tmp_path):
    with filled(7, capacity=5, shared=True) as buffer:
        buffer.save(tmp_path / "rows")
        loaded = ConcurrentReplayBuffer.load(tmp_path / "rows")
        same(loaded.sample(9, 4), buffer.sample(9, 4))
    assert not loaded.shared
    with pytest.raises(ConfigError, match="ConcurrentReplayBuffer"):
        ReplayBuffer.load(tmp_path / "rows")


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((0, 3), {}, InvalidValueError),
        ((5.0, 3), {}, DTypeError),
        ((2**60, 10**6), {}, MemoryError),
        ((2**40, 10**6), {"shared": True}, MemoryError),
        ((5, 3), {"shared": 1}, DTypeError),
        ((5, 3), {"name": "rows"}, ConfigError),
        ((5, 3), {"shared": True, "name": "a/b"}, ConfigError),
        ((5, 3), {"shared": True, "name": 5}, DTypeError),
    ],
)
def test_an_impossible_buffer_is_refused(arguments, options, error):
    with pytest.raises(error):
        ConcurrentReplayBuffer(*arguments, **options)


# -- open and closed


def test_a_closed_buffer_refuses_every_call():
    buffer = filled(3, shared=True)
    buffer.close()
    buffer.unlink()
    buffer.close()
    buffer.unlink()
    never_made = ConcurrentReplayBuffer.__new__(ConcurrentReplayBuffer)
    for dead in (buffer, never_made):
        assert dead.closed
        assert "closed" in repr(dead)
        for call in (
            lambda b: b.push(*transition(1)),
            lambda b: b.push_batch(*transitions(1, 2)),
            lambda b: b.sample(1, 1),
            lambda b: b.sample_recent(1, 1, 1),
            lambda b: b.gather([0]),
            lambda b: b.state_dict(),
            lambda b: b.load_state_dict({}),
            lambda b: b.config(),
            lambda b: b.schema,
            lambda b: b.clear(),
            len,
            pickle.dumps,
            lambda b: b.__enter__(),
        ):
            with pytest.raises(InvalidStateError, match="closed"):
                call(dead)


def test_a_buffer_is_made_once_and_only_a_shared_one_has_a_name():
    buffer = filled(2)
    with pytest.raises(InvalidStateError, match="once"):
        buffer.__init__(3, 3)
    with pytest.raises(InvalidStateError, match="no name"):
        buffer.unlink()
    assert (buffer.name, buffer.shared, len(buffer)) == (None, False, 2)


def test_closing_waits_for_the_calls_of_other_threads():
    buffer, ended = filled(500, shared=True), []
    block = transitions(0, 2000)

    def work(call):
        try:
            while True:
                call()
        except InvalidStateError:
            ended.append(call)

    calls = (lambda: buffer.push_batch(*block), lambda: buffer.sample(500, 1), lambda: buffer.push(*transition(1)))
    threads = [threading.Thread(target=work, args=(c,)) for c in calls]
    for t in threads:
        t.start()
    time.sleep(0.05)
    buffer.close()
    buffer.unlink()
    for t in threads:
        t.join()
    assert len(ended) == 3


# -- names


def test_who_attaches_sees_the_same_rows_and_columns():
    with filled(4, capacity=6, shared=True, name="rfx-test-rows", extra=None) as buffer:
        other = ConcurrentReplayBuffer.attach("rfx-test-rows")
        assert other.schema == buffer.schema
        assert "rfx-test-rows" in repr(other)
        other.push(*transition(4))
        same(buffer.sample(9, 1), other.sample(9, 1))
        assert len(buffer) == 5
        with pytest.raises(ConfigError, match="taken"):
            ConcurrentReplayBuffer(4, 3, shared=True, name="rfx-test-rows")
        other.close()
    for gone in ("rfx-test-rows", "", "a/b"):
        with pytest.raises(ConfigError):
            ConcurrentReplayBuffer.attach(gone)
    with pytest.raises(DTypeError):
        ConcurrentReplayBuffer.attach(None)


def test_a_pickled_buffer_is_not_taken_for_another_of_the_same_name():
    with filled(2, shared=True, name="rfx-test-again") as buffer:
        pickled = pickle.dumps(buffer)
        pickle.loads(pickled).close()
    with (
        ConcurrentReplayBuffer(2, 4, shared=True, name="rfx-test-again"),
        pytest.raises(ConfigError, match="another"),
    ):
        pickle.loads(pickled)


def test_memory_of_something_else_is_refused():
    memory = shared_memory.SharedMemory(create=True, size=200_000)
    try:
        for content in (bytes(200_000), b"\xff" * 200_000):
            memory.buf[:200_000] = content
            with pytest.raises(CodecError, match="something else"):
                ConcurrentReplayBuffer.attach(memory.name)
    finally:
        memory.close()
        memory.unlink()


@LINUX
@pytest.mark.parametrize(
    ("word", "value", "error"),
    [
        (1, 2, CodecError),  # version
        (2, 4, CodecError),  # capacity: one more than there are rows, beyond the memory
        (2, 0, CodecError),
        (2, 2**63, CodecError),
        (3, 128, CodecError),  # bytes of a row
        (4, 4096, CodecError),  # lanes
        (5, 0, CodecError),  # where the rows begin
        (6, 2**40, CodecError),  # bytes of the description
        (6, 3, CodecError),
        (7, 1, ConfigError),  # pid namespace
    ],
)
def test_a_damaged_header_is_refused(word, value, error):
    with ConcurrentReplayBuffer(3, 1000, shared=True) as buffer:
        with open(f"/dev/shm/{buffer.name}", "r+b") as file:
            file.seek(8 * word)
            file.write(struct.pack("<Q", value))
        with pytest.raises(error):
            ConcurrentReplayBuffer.attach(buffer.name)


# -- threads


def test_threads_push_over_the_seam_while_learners_sample():
    """Rows of many pages: a batch is written without the GIL, so that learners meet rows that are half written."""
    buffer, stop, torn = ConcurrentReplayBuffer(2, WIDE, 2), threading.Event(), []

    def push(first):
        row = transition(first, WIDE)
        for _ in range(300):
            buffer.push(*row)

    def push_batch(first):
        rows = transitions(first, 5, WIDE)
        for _ in range(100):
            buffer.push_batch(*rows)

    def learn():
        for seed in range(10**9):
            batch = buffer.sample(3, seed)
            torn.extend(batch["rewards"][:1] if not whole(batch) or len(buffer) > 2 else [])
            if stop.is_set():
                return

    buffer.push(*transition(0, WIDE))
    learners = [threading.Thread(target=learn) for _ in range(2)]
    writers = [threading.Thread(target=f, args=(k,)) for f in (push, push_batch) for k in (3, 2000)]
    for t in learners + writers:
        t.start()
    for t in writers:
        t.join()
    stop.set()
    for t in learners:
        t.join()
    assert torn == []
    assert len(buffer) == 2
    assert whole(buffer.gather([0, 1]))
    assert buffer.state_dict()["pushed"] == 1601


def test_clearing_and_saving_while_threads_push_keeps_rows_whole_and_counted():
    buffer, stop = ConcurrentReplayBuffer(16, 50, 2), threading.Event()

    def push():
        i = 0
        while not stop.is_set():
            i = (i + 6) % 10_000
            buffer.push_batch(*transitions(i, 6, 50))

    threads = [threading.Thread(target=push) for _ in range(3)]
    for t in threads:
        t.start()
    for _ in range(150):
        buffer.clear()
        state = buffer.state_dict()
        assert whole(state["rows"])
        assert len(state["rows"]["rewards"]) <= 16
    stop.set()
    for t in threads:
        t.join()
    assert len(buffer) == len(buffer.state_dict()["rows"]["rewards"])
    buffer.push_batch(*transitions(0, 16, 50))
    assert len(buffer) == 16


def test_more_threads_than_lanes_of_a_process_push_all_their_rows():
    buffer = ConcurrentReplayBuffer(5000, 3, 2)
    threads = [threading.Thread(target=lambda k=k: buffer.push_batch(*transitions(50 * k, 50))) for k in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(buffer.state_dict()["rows"]["rewards"].tolist()) == list(range(5000))


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
    buffer = filled(3, capacity=5)
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


@LINUX
def test_a_batch_whose_producer_was_killed_leaves_holes_that_are_never_drawn():
    context = multiprocessing.get_context("fork")
    rows = transitions(0, 20_000, 100)
    with ConcurrentReplayBuffer(20_000, 100, 2, shared=True) as buffer:
        child = context.Process(target=push_batch_for_ever, args=(buffer, rows))
        child.start()
        assert wait_for(lambda: len(buffer) > 20)
        child.kill()
        child.join()
        held = len(buffer)
        assert held > 20
        batch = buffer.sample(4000, 3)
        assert whole(batch)
        counts = np.bincount(batch["indices"] * 10 // held, minlength=10)
        if held < 20_000:
            assert batch["indices"].max() < held
            assert ((counts - 400) ** 2 / 400).sum() < 33.7  # chi-square, 9 degrees of freedom, 0.01 %
            with pytest.raises(InvalidValueError, match="does not"):
                buffer.gather([19_999])
        state = buffer.state_dict()
        assert len(state["rows"]["rewards"]) == held == state["cursor"] or held == 20_000
        loaded = ConcurrentReplayBuffer(20_000, 100, 2)
        loaded.load_state_dict(state)
        assert len(loaded) == held
        assert whole(loaded.sample(100, 1))


@LINUX
def test_ctrl_c_gets_through_while_a_stopped_process_holds_the_row(busy):
    buffer, file, interrupt = busy
    child = interrupt(signal.SIGSTOP)
    slot = states_of(buffer, file).index(1)

    def ring(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for call in (
            lambda: [buffer.push(*transition(1, 40_000)) for _ in range(3)],
            lambda: [buffer.push_batch(*transitions(1, 2, 40_000)) for _ in range(3)],
            lambda: buffer.gather([slot]),
            buffer.clear,
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.15)
            with pytest.raises(KeyboardInterrupt):
                call()
    finally:
        signal.signal(signal.SIGALRM, before)
    os.kill(child.pid, signal.SIGCONT)
    child.kill()
    child.join()
    for k in range(4):
        buffer.push(*transition(k, 40_000))
    assert len(buffer) == 2
    assert whole(buffer.sample(8, 1))
