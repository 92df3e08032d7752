"""Rows of which each says its number in every column, and files of them, for the tests of rfx.buffers.mapped."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from producers import transition, whole

from rfx.buffers import MmapReplayBuffer

POSIX = pytest.mark.skipif(os.name != "posix", reason="files are locked and mapped as POSIX does it")
MEMORY = (
    "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
)  # for tests that open and close often: no disk to wait for
STATE = 4096  # where the state lies in a small file; the rows begin one page later
ROWS = 8192
STRIDE = 64


def block(first, n):
    i = np.arange(first, first + n, dtype=np.float32)
    return i[:, None].repeat(3, 1), -i[:, None].repeat(2, 1), i, i % 2 == 0, i % 3 == 0, i[:, None].repeat(3, 1) + 0.5


def filled(path, n, capacity=10, hot=4):
    """A buffer with transitions 1 to n, so that a row's number is its reward."""
    buffer = MmapReplayBuffer(hot, capacity, 3, 2, path)
    for i in range(1, n + 1):
        buffer.push(*transition(i))
    return buffer


def rewards(buffer):
    rows = buffer.gather(np.arange(len(buffer)))
    assert whole(rows)
    return sorted(rows["rewards"].tolist())


def crashed(buffer, path):
    """The file as a process that is killed now would leave it."""
    shutil.copy(buffer.path, path)
    return path


def slot(number, capacity=10):
    """Where a row begins in the file."""
    return ROWS + (number - 1) % (capacity + 1) * STRIDE


def flip(path, at, bit=0):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


@pytest.fixture
def tmp_path():
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)
