"""rfx.buffers.concurrent against ReplayBuffer, open and closed, by name, and with threads."""

import os
import pickle
import struct
import sys
import threading
import time
from multiprocessing import shared_memory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from producers import transition, transitions, whole

from rfx.buffers import ConcurrentReplayBuffer, ReplayBuffer
from rfx.errors import CodecError, ConfigError, DTypeError, EmptyBufferError, InvalidStateError, InvalidValueError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /dev/shm")
WIDE = 10_000
ROWS, AGAIN = (f"rfx-test-{word}-{os.getpid()}" for word in ("rows", "again"))  # two suites may run at once


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
    with filled(4, capacity=6, shared=True, name=ROWS, extra=None) as buffer:
        other = ConcurrentReplayBuffer.attach(ROWS)
        assert other.schema == buffer.schema
        assert ROWS in repr(other)
        other.push(*transition(4))
        same(buffer.sample(9, 1), other.sample(9, 1))
        assert len(buffer) == 5
        with pytest.raises(ConfigError, match="taken"):
            ConcurrentReplayBuffer(4, 3, shared=True, name=ROWS)
        other.close()
    for gone in (ROWS, "", "a/b"):
        with pytest.raises(ConfigError):
            ConcurrentReplayBuffer.attach(gone)
    with pytest.raises(DTypeError):
        ConcurrentReplayBuffer.attach(None)


def test_a_pickled_buffer_is_not_taken_for_another_of_the_same_name():
    with filled(2, shared=True, name=AGAIN) as buffer:
        pickled = pickle.dumps(buffer)
        pickle.loads(pickled).close()
    with (
        ConcurrentReplayBuffer(2, 4, shared=True, name=AGAIN),
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
