"""rfx.buffers.mapped against a list, across closing and crashing, and under threads."""

import os
import pickle
import random
import tempfile
import threading
import time
from pathlib import Path

import mapped_rows
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from mapped_rows import MEMORY, POSIX, block, crashed, filled, rewards
from producers import transition, whole

from rfx.buffers import MmapReplayBuffer, ReplayBuffer
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidStateError, InvalidValueError, ShapeError

pytestmark = POSIX
tmp_path = mapped_rows.tmp_path


class Model(RuleBasedStateMachine):
    """A list of slots, as anybody would write it, and a ReplayBuffer for the draws."""

    @initialize(capacity=st.integers(1, 9), hot=st.integers(1, 9))
    def make(self, capacity, hot):
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.files = 0
        self.buffer = MmapReplayBuffer(min(hot, capacity), capacity, 3, 2, self.path())
        self.twin = ReplayBuffer(capacity, 3, 2)
        self.slots, self.cursor, self.pushed = [None] * capacity, 0, 0

    def path(self):
        return f"{self.folder.name}/{self.files}.rows"

    def teardown(self):
        self.buffer.close()
        self.folder.cleanup()

    def put(self, i):
        self.slots[self.cursor] = i
        self.cursor = (self.cursor + 1) % len(self.slots)
        self.pushed += 1

    @rule()
    def push(self):
        self.twin.push(*transition(self.pushed))
        assert self.buffer.push(*transition(self.pushed)) == self.cursor
        self.put(self.pushed)

    @rule(n=st.integers(0, 25))
    def push_batch(self, n):
        self.twin.push_batch(*block(self.pushed, n))
        assert self.buffer.push_batch(*block(self.pushed, n)) == self.cursor
        for _ in range(n):
            self.put(self.pushed)

    @rule()
    def clear(self):
        self.twin.clear()
        self.buffer.clear()
        self.slots, self.cursor = [None] * len(self.slots), 0

    @rule()
    def sync(self):
        self.buffer.flush()
        self.buffer.sync()

    @rule(hot=st.integers(1, 9), check=st.booleans())
    def reopen(self, hot, check):
        self.buffer.close()
        self.buffer = MmapReplayBuffer.open(self.path(), min(hot, len(self.slots)), check=check)

    @rule(check=st.booleans())
    def crash(self, check):
        old, before = self.buffer, self.path()
        self.files += 1
        self.buffer = MmapReplayBuffer.open(crashed(old, self.path()), check=check)
        old.close()
        os.unlink(before)

    @rule(n=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, seed):
        if not len(self.buffer):
            with pytest.raises(EmptyBufferError):
                self.buffer.sample(n, seed)
            return
        batch, twin = self.buffer.sample(n, seed), self.twin.sample(n, seed)
        assert whole(batch)
        assert batch.keys() == twin.keys()
        for name, column in twin.items():
            np.testing.assert_array_equal(batch[name], column)

    @rule(n=st.integers(1, 12), window=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample_recent(self, n, window, seed):
        if len(self.buffer):
            expected = self.twin.sample_recent(n, window, seed)["rewards"]
            np.testing.assert_array_equal(self.buffer.sample_recent(n, window, seed)["rewards"], expected)

    @invariant()
    def holds_the_same(self):
        stored = [s for s in self.slots if s is not None]
        assert len(self.buffer) == len(stored)
        assert self.buffer.pushed == self.pushed
        rows = self.buffer.gather(np.arange(len(stored)))
        assert rows["rewards"].tolist() == self.slots[: len(stored)]
        assert whole(rows)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAgainstAPlainModel = Model.TestCase


# -- use


def test_after_close_everything_else_is_an_error(tmp_path):
    with filled(tmp_path / "rows", 5) as buffer:
        pass
    buffer.close()
    for use in (
        lambda: buffer.push(*transition(16)),
        lambda: buffer.push_batch(*block(16, 3)),
        lambda: buffer.sample(5, 1),
        lambda: buffer.sample_recent(5, 2, 1),
        lambda: buffer.gather(np.arange(0)),
        lambda: buffer.clear(),
        lambda: buffer.sync(),
        lambda: buffer.flush(),
        lambda: buffer.verify(),
    ):
        with pytest.raises(InvalidStateError, match="closed"):
            use()
    assert buffer.closed
    assert "closed" in repr(buffer)
    assert os.path.exists(buffer.path)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux what is open")
def test_a_buffer_that_is_closed_refused_or_forgotten_holds_nothing(tmp_path):
    path = tmp_path / "rows"
    filled(path, 15).close()
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        buffer = MmapReplayBuffer.open(path)
        for bad in (lambda: MmapReplayBuffer.open(path), lambda: MmapReplayBuffer(1, 9, 3, 2, path, mode="open")):
            with pytest.raises((InvalidStateError, ConfigError)):
                bad()
        assert str(path) in Path("/proc/self/maps").read_text()
        buffer.close()
        assert str(path) not in Path("/proc/self/maps").read_text()
        buffer = MmapReplayBuffer.open(path)
        del buffer
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert len(os.listdir("/proc/self/fd")) == opened


def test_what_does_not_fit_is_refused_and_nothing_is_stored(tmp_path):
    with filled(tmp_path / "rows", 5) as buffer:
        good = transition(6)
        with pytest.raises(ShapeError, match="obs"):
            buffer.push(np.zeros(4, np.float32), *good[1:])
        with pytest.raises(DTypeError, match="reward"):
            buffer.push(*good[:2], "1", *good[3:])
        with pytest.raises(ShapeError, match="actions"):
            buffer.push_batch(block(6, 3)[0], block(6, 2)[1], *block(6, 3)[2:])
        with pytest.raises(InvalidValueError, match="within 0"):
            buffer.gather([5])
        assert rewards(buffer) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((0, 10, 3, 2), {}, InvalidValueError),
        ((11, 10, 3, 2), {}, InvalidValueError),
        ((1, 0, 3, 2), {}, InvalidValueError),
        ((1.0, 10, 3, 2), {}, DTypeError),
        ((1, 10, -3, 2), {}, InvalidValueError),
        ((1, 10, 3, 2), {"mode": "w"}, ConfigError),
        ((1, 2**48, 2**20, 2), {}, ConfigError),
        ((2**47, 2**48, 3, 2), {}, MemoryError),
        ((2**48, 2**48, 2**20, 2), {}, MemoryError),
    ],
)
def test_an_impossible_buffer_is_refused_and_makes_no_file(tmp_path, arguments, options, error):
    with pytest.raises(error):
        MmapReplayBuffer(*arguments, tmp_path / "rows", **options)
    assert not os.listdir(tmp_path)


def test_images_dicts_and_extra_columns_come_back_from_the_file(tmp_path):
    options = {"act_dtype": np.int64, "extra": {"goal": (3, np.float64)}}
    shapes = {"image": ((2, 4, 4), np.uint8), "speed": 3}
    rng = np.random.default_rng(0)
    frames, speed = rng.integers(0, 256, (9, 2, 4, 4), dtype=np.uint8), rng.normal(size=(9, 3)).astype(np.float32)
    with MmapReplayBuffer(2, 6, shapes, (), tmp_path / "rows", **options) as buffer:
        for i in range(8):
            now, then = ({"image": frames[k], "speed": speed[k]} for k in (i, i + 1))
            buffer.push(now, i, 0.0, False, False, then, {"goal": np.full(3, i / 3)})
        expected, config = buffer.sample(50, 4), buffer.config()
    with MmapReplayBuffer(**config, mode="open") as buffer:
        assert buffer.schema[0].describe() == "obs.image(2, 4, 4) uint8"
        batch = buffer.sample(50, 4)
    for got, wanted in ((batch, expected), (batch["obs"], expected["obs"]), (batch["next_obs"], expected["next_obs"])):
        for name, value in wanted.items():
            if not isinstance(value, dict):
                np.testing.assert_array_equal(got[name], value)
    np.testing.assert_array_equal(batch["obs"]["image"], frames[batch["actions"]])
    np.testing.assert_array_equal(batch["next_obs"]["speed"], speed[batch["actions"] + 1])


def test_rows_read_from_a_cold_disk_are_the_same(tmp_path_factory):
    n, tmp_path = 3000, tmp_path_factory.mktemp("disk")
    with MmapReplayBuffer(10, n, 3, 2, tmp_path / "rows") as buffer:
        buffer.push_batch(*block(0, n))
    handle = os.open(tmp_path / "rows", os.O_RDONLY)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    with MmapReplayBuffer.open(tmp_path / "rows", check=False) as buffer:
        for seed in range(100):  # the first ones wait for the disk, the later ones ask ahead
            batch = buffer.sample(32, seed)
            assert whole(batch)
            np.testing.assert_array_equal(batch["rewards"], batch["indices"])


def test_out_and_generators_are_taken(tmp_path):
    with filled(tmp_path / "rows", 8) as buffer:
        first = buffer.sample(6, np.random.default_rng(3))
        assert first["indices"].tolist() == np.random.default_rng(3).integers(8, size=6).tolist()
        out = buffer.sample(6, 1)
        obs = out["obs"]
        assert buffer.sample(6, np.random.default_rng(3), out=out)["obs"] is obs
        np.testing.assert_array_equal(obs, first["obs"])
        with pytest.raises(InvalidStateError, match="not pickled"):
            pickle.dumps(buffer)


def test_threads_push_sample_sync_and_close_at_once(tmp_path):
    buffer = filled(tmp_path / "rows", 100, capacity=100, hot=30)
    bad, refused = [], []

    def run(use):
        try:
            while True:
                use()
        except InvalidStateError:
            refused.append(use)
        except BaseException as error:  # whatever it is, the test must show it
            bad.append(error)

    def sample():
        assert whole(buffer.sample(64, random.getrandbits(64)))

    uses = [lambda: buffer.push(*transition(random.randrange(1000))), sample, sample, buffer.sync, buffer.verify]
    threads = [threading.Thread(target=run, args=(use,)) for use in uses]
    for t in threads:
        t.start()
    time.sleep(1.0)
    buffer.close()
    for t in threads:
        t.join()
    assert not bad
    assert len(refused) == 5
    with MmapReplayBuffer.open(buffer.path) as again:
        assert whole(again.gather(np.arange(100)))


def test_a_sample_while_somebody_clears_is_whole_or_says_so(tmp_path):
    buffer, stop, bad = filled(tmp_path / "rows", 20, capacity=20), threading.Event(), []

    def sample():
        while not stop.is_set():
            try:
                if not whole(buffer.sample(16, random.getrandbits(64))):
                    bad.append("torn")
            except InvalidStateError as error:
                if "none" not in str(error) and "cleared" not in str(error):
                    bad.append(error)

    threads = [threading.Thread(target=sample) for _ in range(2)]
    for t in threads:
        t.start()
    for i in range(300):
        buffer.clear()
        for k in range(i % 30):
            buffer.push(*transition(k))
    stop.set()
    for t in threads:
        t.join()
    buffer.close()
    assert not bad
