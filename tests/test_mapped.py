"""rfx.buffers.mapped against a list, across closing, crashing, killing and damage."""

import json
import os
import pickle
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rfx.buffers import MmapReplayBuffer, ReplayBuffer
from rfx.errors import (
    CodecError,
    ConfigError,
    DTypeError,
    EmptyBufferError,
    InvalidStateError,
    InvalidValueError,
    RfxError,
    ShapeError,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files are locked and mapped as POSIX does it")

MEMORY = (
    "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
)  # for tests that open and close often: no disk to wait for
STATE = 4096  # where the state lies in a small file; the rows begin one page later
ROWS = 8192
STRIDE = 64


def transition(i, d=3, a=2):
    return (
        np.full(d, i, np.float32),
        np.full(a, -i, np.float32),
        float(i),
        i % 2 == 0,
        i % 3 == 0,
        np.full(d, i + 0.5, np.float32),
    )


def block(first, n):
    i = np.arange(first, first + n, dtype=np.float32)
    return i[:, None].repeat(3, 1), -i[:, None].repeat(2, 1), i, i % 2 == 0, i % 3 == 0, i[:, None].repeat(3, 1) + 0.5


def whole(batch):
    """Whether each row is one transition: all of its columns belong together."""
    i = batch["rewards"]
    return (
        (batch["obs"] == i[:, None]).all()
        and (batch["actions"] == -i[:, None]).all()
        and (batch["next_obs"] == i[:, None] + 0.5).all()
        and (batch["terminated"] == (i % 2 == 0)).all()
        and (batch["truncated"] == (i % 3 == 0)).all()
    )


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


Model.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestAgainstAPlainModel = Model.TestCase


# -- killed


def child(path, report, seed):
    """Push for ever, and say after each call what is committed: how many rows, and how many of them were cleared."""
    rng = random.Random(seed)
    buffer = MmapReplayBuffer.open(path)
    base = buffer.pushed - len(buffer)
    while True:
        i = buffer.pushed + 1
        choice = rng.random()
        if choice < 0.05:
            buffer.clear()
            base = buffer.pushed
        elif choice < 0.08:
            buffer.flush()
        elif choice < 0.12:
            buffer.close()
            buffer = MmapReplayBuffer.open(path, rng.randrange(1, 9), check=rng.random() < 0.5)
        elif choice < 0.4:
            n = rng.randrange(40)
            number = np.arange(i, i + n)
            obs = number[:, None].repeat(1500, 1).astype(np.float32)
            flags = np.zeros(n, bool)
            buffer.push_batch(obs, obs[:, :2], obs[:, 0], flags, flags, obs, {"number": number})
        else:
            obs = np.full(1500, i, np.float32)
            buffer.push(obs, obs[:2], i, False, False, obs, {"number": np.int64(i)})
        os.write(report, struct.pack("qq", buffer.pushed, base))


def killed_child(path, seed):
    """What a child said before it was killed at some moment."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            child(path, write, seed)
        finally:
            os._exit(1)
    os.close(write)
    said = os.read(read, 16)
    time.sleep(random.Random(seed).random() ** 2 * 0.03)
    os.kill(pid, signal.SIGKILL)
    while more := os.read(read, 65536):
        said += more
    os.close(read)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return struct.unpack("qq", said[len(said) // 16 * 16 - 16 :][:16])


def test_whatever_was_committed_is_there_after_kill_9_at_any_moment(tmp_path):
    path, capacity = tmp_path / "rows", 50
    MmapReplayBuffer(7, capacity, 1500, 2, path, extra={"number": ((), np.int64)}).close()
    for seed in range(120):
        pushed, base = killed_child(path, seed)
        with MmapReplayBuffer.open(path) as buffer:
            newest, held = buffer.pushed, len(buffer)
            assert pushed <= newest <= pushed + 40
            assert held == min(newest - base, capacity) or held == 0
            rows = buffer.gather(np.arange(held))
            assert sorted(rows["number"].tolist()) == list(range(newest - held + 1, newest + 1))
            for name in ("obs", "next_obs"):
                assert (rows[name] == rows["number"][:, None]).all()
            assert (rows["rewards"] == rows["number"]).all()


def test_a_buffer_that_was_never_closed_is_found_again(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("disk")
    buffer = filled(tmp_path / "rows", 15)
    del buffer
    with MmapReplayBuffer.open(tmp_path / "rows") as buffer:
        assert rewards(buffer) == list(range(6, 16))


@pytest.mark.parametrize("n", [0, 5, 10, 11, 25])
def test_a_row_cut_off_anywhere_is_none_and_costs_no_other(tmp_path, n):
    with filled(tmp_path / "rows", n) as buffer:
        old = Path(crashed(buffer, tmp_path / "old")).read_bytes()
        buffer.push(*transition(n + 1))
        new = Path(crashed(buffer, tmp_path / "new")).read_bytes()
    at = slot(n + 1)
    for part in range(STRIDE):
        # the order in which a push writes: no number, the columns, checksum, number
        row = bytearray(old[at : at + STRIDE])
        row[:8] = bytes(8)
        row[16 : 16 + min(part, 48)] = new[at + 16 : at + 16 + min(part, 48)]
        row[8 : 8 + max(part - 48, 0)] = new[at + 8 : at + 8 + max(part - 48, 0)]
        torn = tmp_path / f"torn{part}"
        torn.write_bytes(old[:at] + row + old[at + STRIDE :])
        with MmapReplayBuffer.open(torn) as buffer:
            assert rewards(buffer) == list(range(max(n - 9, 1), n + 1))
            buffer.push(*transition(n + 1))
            assert rewards(buffer) == list(range(max(n - 8, 1), n + 2))


# -- damaged


@pytest.mark.parametrize("n", [0, 1, 7, 10, 11, 30])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_torn_end_is_cut(tmp_path, n, lost):
    with filled(tmp_path / "rows", n) as buffer:
        path = crashed(buffer, tmp_path / "torn")
    for number in range(max(n - lost + 1, 1), n + 1):
        flip(path, slot(number) + 30)
    kept = max(n - lost, 0)
    with MmapReplayBuffer.open(path) as buffer:
        assert rewards(buffer) == list(range(max(n - 10, 1), kept + 1))
        for i in range(kept + 1, kept + 20):
            buffer.push(*transition(i))
            again = MmapReplayBuffer.open(crashed(buffer, tmp_path / "again"))
            assert rewards(again) == rewards(buffer)
            assert again.pushed == i
            again.close()


@pytest.mark.parametrize("cut", [0, 7, 100, STATE, STATE + 100, ROWS, ROWS + 30, ROWS + 5 * STRIDE, -1])
def test_a_file_cut_short_is_refused_and_left_as_it_is(tmp_path, cut):
    path = tmp_path / "rows"
    filled(path, 15).close()
    os.truncate(path, cut if cut >= 0 else path.stat().st_size + cut)
    before = path.read_bytes()
    with pytest.raises(CodecError, match="rows"):
        MmapReplayBuffer.open(path)
    with pytest.raises((CodecError, ConfigError), match="rows"):
        MmapReplayBuffer(4, 10, 3, 2, path, mode="open_or_create")
    assert path.read_bytes() == before


def test_a_file_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / "rows"
    filled(path, 15).close()
    with path.open("ab") as file:
        file.write(b"x")
    for repair in (False, True):
        with pytest.raises(CodecError, match="bytes"):
            MmapReplayBuffer.open(path, repair=repair)


PLACES = {
    "magic": 3,
    "version": 8,
    "byte order": 12,
    "begin of the rows": 17,
    "stride": 24,
    "capacity": 33,
    "hot capacity": 40,
    "length of the text": 48,
    "checksum of the beginning": 56,
    "text": 64 + 20,
    "number of the state": STATE,
    "checksum of the state": STATE + 8,
    "base": STATE + 16,
    "promised": STATE + 24,
    "clean": STATE + 32,
    "rest of the state": STATE + 60,
    **{
        f"{what} of the {which} row": slot(number) + at
        for which, number in {"oldest": 6, "middle": 9, "newest": 15}.items()
        for what, at in {"number": 0, "checksum": 9, "first byte": 16, "last byte": STRIDE - 1}.items()
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_one_wrong_bit_in_a_closed_file_is_noticed_and_the_file_is_left_as_it_is(tmp_path, place):
    path = tmp_path / "rows"
    filled(path, 15).close()
    flip(path, PLACES[place])
    before = path.read_bytes()
    with pytest.raises((CodecError, ConfigError), match="rows"):
        MmapReplayBuffer.open(path)
    assert path.read_bytes() == before


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_row_that_is_given_out_is_always_whole(data):
    n, synced = data.draw(st.integers(0, 30)), data.draw(st.booleans())
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, filled(f"{folder}/rows", n) as buffer:
        if synced:
            buffer.sync()
        path = crashed(buffer, f"{folder}/torn")
        size = os.path.getsize(path)
        for _ in range(data.draw(st.integers(1, 4))):
            area = data.draw(st.sampled_from([(0, 200), (STATE, STATE + 1024), (ROWS, size), (ROWS, size)]))
            flip(path, data.draw(st.integers(area[0], area[1] - 1)), data.draw(st.integers(0, 7)))
        for repair in (False, True):
            try:
                opened = MmapReplayBuffer.open(path, repair=repair)
            except RfxError:
                continue
            with opened:
                last = int(opened.pushed)
                assert rewards(opened) == list(range(last - len(opened) + 1, last + 1))
                assert last <= n


def test_repair_keeps_the_longest_stretch(tmp_path):
    path = tmp_path / "rows"
    filled(path, 15).close()
    flip(path, slot(12) + 20)
    with pytest.raises(CodecError, match=r"13 to 15.*repair=True"):
        MmapReplayBuffer.open(path)
    with MmapReplayBuffer.open(path, repair=True) as buffer:
        assert rewards(buffer) == [6, 7, 8, 9, 10, 11]
        for i in range(12, 18):
            buffer.push(*transition(i))
        assert rewards(buffer) == list(range(8, 18))
        with MmapReplayBuffer.open(crashed(buffer, tmp_path / "copy")) as again:
            assert rewards(again) == list(range(8, 18))
            np.testing.assert_array_equal(again.sample(20, 3)["obs"], buffer.sample(20, 3)["obs"])


def test_repair_takes_a_file_cut_short(tmp_path):
    path = tmp_path / "rows"
    filled(path, 10).close()
    os.truncate(path, ROWS + 7 * STRIDE + 10)
    with pytest.raises(CodecError, match="repair=True"):
        MmapReplayBuffer.open(path)
    with MmapReplayBuffer.open(path, repair=True) as buffer:
        assert rewards(buffer) == [1, 2, 3, 4, 5, 6, 7]
        buffer.push(*transition(8))
        assert rewards(buffer) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_rows_that_sync_promised_are_missed(tmp_path):
    with filled(tmp_path / "rows", 5) as buffer:
        buffer.sync()
        path = crashed(buffer, tmp_path / "torn")
    flip(path, slot(5))
    with pytest.raises(CodecError, match="1 to 4"):
        MmapReplayBuffer.open(path)
    with MmapReplayBuffer.open(path, repair=True) as buffer:
        assert rewards(buffer) == [1, 2, 3, 4]


def test_verify_reads_every_row(tmp_path):
    buffer = filled(tmp_path / "rows", 15)
    assert buffer.verify() == 10
    flip(buffer.path, slot(7) + 40)
    with pytest.raises(CodecError, match="row 7 "):
        buffer.verify()


def test_without_a_check_only_the_hot_rows_are_read(tmp_path):
    path = tmp_path / "rows"
    filled(path, 15).close()
    flip(path, slot(8) + 40)
    with MmapReplayBuffer.open(path, check=False) as buffer:
        assert len(buffer) == 10
        copy = crashed(buffer, tmp_path / "copy")
    with pytest.raises(CodecError):
        MmapReplayBuffer.open(copy, check=False)  # not closed: all of it is read
    flip(path, slot(14) + 40)
    with pytest.raises(CodecError, match="newest"):
        MmapReplayBuffer.open(path, check=False)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 2**32 - 1))
def test_after_a_loss_of_power_what_sync_promised_is_there_or_its_loss_is_said(before, after, seed):
    """Any of the sectors written since the last sync may have come to the disk, the others are as they were."""
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, filled(f"{folder}/rows", before) as buffer:
        buffer.sync()
        old = Path(crashed(buffer, f"{folder}/old")).read_bytes()
        for i in range(before + 1, before + after + 1):
            buffer.push(*transition(i))
        new = Path(crashed(buffer, f"{folder}/new")).read_bytes()
        mixed = b"".join(choice.choice((old, new))[at : at + 512] for at in range(0, len(old), 512))
        path = Path(folder) / "mixed"
        path.write_bytes(mixed)
        try:
            opened = MmapReplayBuffer.open(path)
            assert opened.pushed >= before
        except CodecError:
            opened = MmapReplayBuffer.open(path, repair=True)
        with opened:
            last = opened.pushed
            assert rewards(opened) == list(range(last - len(opened) + 1, last + 1))
            opened.push(*transition(last + 1))
            with MmapReplayBuffer.open(crashed(opened, f"{folder}/again")) as again:
                assert rewards(again) == rewards(opened)


def test_a_lost_state_is_damage_and_can_be_repaired(tmp_path):
    with filled(tmp_path / "rows", 5) as buffer:
        path = crashed(buffer, tmp_path / "torn")
    content = bytearray(path.read_bytes())
    for state in (bytes(4096), b"x" * 4096):
        content[STATE:ROWS] = state
        path.write_bytes(content)
        with pytest.raises(CodecError, match="damaged"):
            MmapReplayBuffer.open(path)
        with MmapReplayBuffer.open(path, repair=True) as buffer:
            again = MmapReplayBuffer.open(crashed(buffer, tmp_path / "again"))
            assert rewards(buffer) == rewards(again) == [1, 2, 3, 4, 5]
            again.close()


# -- other files


@pytest.mark.parametrize("content", [b"", b"short", b"RFXMMAP\0", b"\0" * 20000, b"PK\3\4" * 5000, os.urandom(9000)])
def test_foreign_files_are_refused_and_left_as_they_are(tmp_path, content):
    path = tmp_path / "rows"
    path.write_bytes(content)
    for make in (
        lambda: MmapReplayBuffer.open(path),
        lambda: MmapReplayBuffer.open(path, repair=True),
        lambda: MmapReplayBuffer(4, 10, 3, 2, path, mode="open"),
        lambda: MmapReplayBuffer(4, 10, 3, 2, path, mode="open_or_create", repair=True),
    ):
        with pytest.raises(CodecError, match="rows"):
            make()
    with pytest.raises(FileExistsError):
        MmapReplayBuffer(4, 10, 3, 2, path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["rows"]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((CodecError, OSError)):
        MmapReplayBuffer.open(tmp_path / "pipe")
    with pytest.raises((CodecError, IsADirectoryError)):
        MmapReplayBuffer.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        MmapReplayBuffer.open(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        MmapReplayBuffer(4, 10, 3, 2, tmp_path / "none" / "rows")


def test_a_text_that_makes_no_columns_is_refused(tmp_path):
    path = tmp_path / "rows"
    filled(path, 3).close()
    content = bytearray(path.read_bytes())
    length = struct.unpack_from("=Q", content, 48)[0]
    text = json.loads(content[64 : 64 + length])
    for bad in ([], {"config": {}, "columns": []}, {"config": {**text["config"], "obs_shape": -3}, "columns": []}):
        new = json.dumps(bad).encode().ljust(length)
        content[64 : 64 + length] = new
        struct.pack_into("=Q", content, 56, zlib.crc32(bytes(content[:56]) + new))
        path.write_bytes(content)
        with pytest.raises(CodecError, match="damaged"):
            MmapReplayBuffer.open(path)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((4, 9, 3, 2), {}),
        ((4, 10, 4, 2), {}),
        ((4, 10, 3, 1), {}),
        ((4, 10, 3, ()), {}),
        ((4, 10, 3, 2), {"obs_dtype": np.int32}),
        ((4, 10, 3, 2), {"act_dtype": np.int32}),
        ((4, 10, 3, 2), {"extra": {"goal": (1, np.float32)}}),
        ((4, 10, {"a": 3}, 2), {}),
    ],
)
def test_other_columns_or_another_capacity_are_refused(tmp_path, arguments, options):
    path = tmp_path / "rows"
    filled(path, 5).close()
    before = path.read_bytes()
    for mode in ("open", "open_or_create"):
        with pytest.raises(ConfigError, match=r"10 of obs\(3\)"):
            MmapReplayBuffer(*arguments, path, mode=mode, **options)
    assert path.read_bytes() == before


def test_a_file_that_exists_is_never_overwritten(tmp_path):
    path = tmp_path / "rows"
    filled(path, 5).close()
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="mode='open'"):
        MmapReplayBuffer(4, 10, 3, 2, path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        MmapReplayBuffer(4, 10, 3, 2, tmp_path / "link")
    assert path.read_bytes() == before
    with MmapReplayBuffer(2, 10, 3, 2, path, mode="open_or_create") as buffer:
        assert rewards(buffer) == [1, 2, 3, 4, 5]


def test_one_buffer_at_a_time_has_the_file(tmp_path):
    path = tmp_path / "rows"
    buffer = filled(path, 5)
    for repair in (False, True):
        with pytest.raises(InvalidStateError, match="open already"):
            MmapReplayBuffer.open(path, repair=repair)
    script = f"from rfx.buffers import MmapReplayBuffer; MmapReplayBuffer.open({str(path)!r})"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert "InvalidStateError" in done.stderr
    buffer.push(*transition(6))
    buffer.close()
    with MmapReplayBuffer.open(path) as buffer:
        assert rewards(buffer) == [1, 2, 3, 4, 5, 6]


def test_a_forked_child_has_no_part_in_it(tmp_path):
    buffer = filled(tmp_path / "rows", 5)
    pid = os.fork()
    if pid == 0:
        good = buffer.closed and len(buffer) == 0
        try:
            buffer.push(*transition(6))
        except InvalidStateError:
            os._exit(0 if good else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    buffer.push(*transition(6))
    assert rewards(buffer) == [1, 2, 3, 4, 5, 6]


def test_no_space_is_an_error_at_once_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("posix_fallocate", "fsync", "pwrite", "link"):
        monkeypatch.setattr(os, function, full)
        with pytest.raises(OSError, match="No space"):
            MmapReplayBuffer(4, 10, 3, 2, tmp_path / "rows")
        assert not os.listdir(tmp_path)
        monkeypatch.undo()
    with MmapReplayBuffer(4, 1000, 3, 2, tmp_path / "rows") as buffer:
        assert os.stat(buffer.path).st_blocks * 512 >= 1001 * STRIDE


def test_a_file_that_somebody_shortens_is_noticed(tmp_path):
    buffer = filled(tmp_path / "rows", 15)
    os.truncate(buffer.path, 100)
    for use in (
        lambda: buffer.push(*transition(16)),
        lambda: buffer.push_batch(*block(16, 3)),
        lambda: buffer.sample(5, 1),
        lambda: buffer.gather([0]),
        lambda: buffer.clear(),
        lambda: buffer.sync(),
        lambda: buffer.flush(),
        lambda: buffer.verify(),
    ):
        with pytest.raises(InvalidStateError, match="shortened"):
            use()
    buffer.close()
    assert os.path.getsize(buffer.path) == 100


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


# -- the file, read by others


def turned(x):
    return (x << 29 | x >> 35) % 2**64


def checksum(row):
    """As docs/buffers.md says it, one word after the other."""
    words = list(struct.unpack(f"={len(row) // 8}Q", row))
    words[1] = 0
    m = 0x9FB21C651E98DF25
    sums = [(i + 1) * m % 2**64 for i in range(8)]
    for k, w in enumerate(words):
        sums[k % 8] = turned(sums[k % 8] ^ w) * m % 2**64
    h = len(row)
    for s in sums:
        h = turned(h ^ s) * m % 2**64
    return h ^ h >> 32


def test_the_file_can_be_read_with_numpy_alone(tmp_path):
    path = tmp_path / "rows"
    with MmapReplayBuffer(2, 8, 20, 2, path, extra={"goal": (3, np.float64)}) as buffer:
        for i in range(1, 13):
            buffer.push(*transition(i, 20), {"goal": np.full(3, i / 7)})
    start = path.read_bytes()[:4096]
    magic, version, order, rows_at, stride, capacity, hot, length, crc = struct.unpack_from("=8sIIQQQQQQ", start)
    assert (magic, version, order, capacity, hot) == (b"RFXMMAP\0", 1, 0x01020304, 8, 2)
    text = start[64 : 64 + length]
    assert crc == zlib.crc32(start[:56] + text)
    columns = json.loads(text)["columns"]
    names = ["number", "checksum", *(c["name"] for c in columns)]
    formats = ["=u8", "=u8", *((c["dtype"], tuple(c["shape"])) for c in columns)]
    offsets = [0, 8, *(c["offset"] for c in columns)]
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": stride})
    rows = np.memmap(path, dtype, "r", rows_at, capacity + 1)
    assert (rows["number"] == [10, 11, 12, 4, 5, 6, 7, 8, 9]).all()
    assert (rows["rewards"] == rows["number"]).all()
    assert (rows["goal"] == rows["number"][:, None] / 7).all()
    assert [int(c) for c in rows["checksum"]] == [checksum(row.tobytes()) for row in rows]
    states = [path.read_bytes()[rows_at - 4096 + at :][:64] for at in (0, 512)]
    numbers = [struct.unpack("=5Q", s[:40]) for s in states]
    newest = max(numbers)
    assert newest[2:] == (0, 12, 1)  # base, promised, clean
    assert all(n[1] == checksum(s) for n, s in zip(numbers, states, strict=True))
