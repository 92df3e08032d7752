"""A replay buffer in a file (obs 48, act 12, with next_obs) against rlox 1.2.0 and numpy.memmap.

rlox keeps nothing after the process and neither peer could tell a torn row; ours writes every row to the file with a
checksum at once. "From the disk" empties the system's cache of the file first, which only works on a real disk.
"""

import itertools
import os

import numpy as np
import pytest
from rlox_core import rlox_core

from rfx.buffers import MmapReplayBuffer

OBS, ACT = 48, 12
FULL, HOT, BLOCK = 200_000, 10_000, 5000
LARGE = 600_000


class Ours:
    """rfx."""

    def __init__(self, folder, capacity=FULL, mode="create"):
        self.path = folder / "rfx.rows"
        self.inner = MmapReplayBuffer(HOT, capacity, OBS, ACT, self.path, mode=mode, check=False)
        self.push, self.push_batch, self.sample = self.inner.push, self.inner.push_batch, self.inner.sample

    def close(self):
        self.inner.close()


class Numpy:
    """What people write: one array of records in a file."""

    def __init__(self, folder, capacity=FULL, mode="create"):
        self.path = folder / "numpy.rows"
        fields = [
            ("obs", "f4", OBS),
            ("actions", "f4", ACT),
            ("rewards", "f4"),
            ("terminated", "?"),
            ("truncated", "?"),
        ]
        dtype = np.dtype([*fields, ("next_obs", "f4", OBS)])
        self.rows = np.memmap(self.path, dtype, "w+" if mode == "create" else "r+", shape=capacity)
        self.capacity, self.cursor, self.count = capacity, 0, 0 if mode == "create" else capacity

    def push(self, *columns):
        row = self.rows[self.cursor]
        for name, value in zip(self.rows.dtype.names, columns, strict=True):
            row[name] = value
        self.cursor, self.count = (self.cursor + 1) % self.capacity, min(self.count + 1, self.capacity)

    def push_batch(self, *columns):
        n = len(columns[2])
        at = np.arange(self.cursor, self.cursor + n) % self.capacity
        for name, value in zip(self.rows.dtype.names, columns, strict=True):
            self.rows[name][at] = value
        self.cursor, self.count = (self.cursor + n) % self.capacity, min(self.count + n, self.capacity)

    def sample(self, n, seed):
        rows = self.rows[np.random.default_rng(seed).integers(self.count, size=n)]
        return {name: np.array(rows[name]) for name in self.rows.dtype.names}

    def close(self):
        self.rows.flush()
        del self.rows


class Rlox:
    """rlox 1.2.0, its compiled module loaded by itself, without the torch that its package asks for."""

    def __init__(self, folder, capacity=FULL, mode="create"):
        self.inner = rlox_core().MmapReplayBuffer(HOT, capacity, OBS, ACT, str(folder / "rlox.rows"))
        self.sample, self.close = self.inner.sample, self.inner.close

    def push(self, obs, action, reward, terminated, truncated, next_obs):
        self.inner.push(obs, action, reward, terminated, truncated, next_obs)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs):
        flags = terminated.astype(np.float32), truncated.astype(np.float32)
        self.inner.push_batch(obs.ravel(), next_obs.ravel(), actions.ravel(), rewards, *flags)


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, n, OBS)).astype(np.float32)
    flags = np.zeros(n, bool)
    return obs, rng.normal(size=(n, ACT)).astype(np.float32), np.arange(n, dtype=np.float32), flags, flags, next_obs


def fill(buffer, capacity=FULL):
    block = rows(BLOCK)
    for _ in range(capacity // BLOCK + 1):
        buffer.push_batch(*block)
    return buffer


def agrees(batch):
    block, i = rows(BLOCK), np.asarray(batch["rewards"]).astype(int)
    for name, column in (("obs", block[0]), ("actions", block[1]), ("next_obs", block[5])):
        np.testing.assert_array_equal(np.asarray(batch[name]).reshape(len(i), -1), column[i])


EVERYBODY = pytest.mark.parametrize("make", [Ours, Rlox, Numpy], ids=["rfx", "rlox", "numpy"])


@EVERYBODY
@pytest.mark.benchmark(group="mapped: push of one transition")
def test_push(benchmark, make, tmp_path):
    buffer = fill(make(tmp_path))
    row = [c[0] for c in rows(1)]
    row[2:5] = 1.0, False, False
    benchmark.pedantic(buffer.push, row, iterations=2000, rounds=30)
    buffer.close()


@EVERYBODY
@pytest.mark.benchmark(group="mapped: push of 256 rows")
def test_push_256(benchmark, make, tmp_path):
    buffer = fill(make(tmp_path))
    benchmark.pedantic(buffer.push_batch, rows(256), iterations=10, rounds=50)
    buffer.close()


@EVERYBODY
@pytest.mark.benchmark(group="mapped: sample 256 of 200 000")
def test_sample(benchmark, make, tmp_path):
    buffer, seeds = fill(make(tmp_path)), itertools.count()
    agrees(buffer.sample(64, 7))
    agrees(benchmark.pedantic(lambda: buffer.sample(256, next(seeds)), iterations=10, rounds=100, warmup_rounds=5))
    buffer.close()


@EVERYBODY
@pytest.mark.benchmark(group="mapped: push of one, then sample 256")
def test_push_and_sample(benchmark, make, tmp_path):
    buffer, seeds = fill(make(tmp_path)), itertools.count()
    row = [c[0] for c in rows(1)]
    row[2:5] = 0.0, False, False

    def step():
        buffer.push(*row)
        return buffer.sample(256, next(seeds))

    agrees(benchmark.pedantic(step, iterations=1, rounds=100, warmup_rounds=3))
    buffer.close()


class Forgotten:
    """A full buffer, opened anew each time, of whose file the system has nothing in memory."""

    def __init__(self, make, folder):
        self.make, self.folder, self.buffer = make, folder, fill(make(folder, LARGE), LARGE)

    def again(self):
        self.buffer.close()
        [path] = self.folder.iterdir()
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        self.buffer = self.make(self.folder, LARGE, mode="open")


SURVIVORS = pytest.mark.parametrize("make", [Ours, Numpy], ids=["rfx", "numpy"])


@SURVIVORS
@pytest.mark.benchmark(group="mapped: 20 samples of 256 of 600 000 from the disk")
def test_sample_from_the_disk(benchmark, make, tmp_path):
    made = Forgotten(make, tmp_path)

    def samples():
        for seed in range(20):
            batch = made.buffer.sample(256, seed)
        return batch

    agrees(benchmark.pedantic(samples, setup=made.again, iterations=1, rounds=5))
    made.buffer.close()


@SURVIVORS
@pytest.mark.benchmark(group="mapped: push of 50 000 rows over what is on the disk")
def test_push_over_the_disk(benchmark, make, tmp_path):
    made, block = Forgotten(make, tmp_path), [c[:500] for c in rows(BLOCK)]

    def pushes():
        for _ in range(100):
            made.buffer.push_batch(*block)

    benchmark.pedantic(pushes, setup=made.again, iterations=1, rounds=5)
    agrees(made.buffer.sample(64, 1))
    made.buffer.close()
