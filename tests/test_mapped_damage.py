"""What rfx.buffers.mapped holds after kill -9, a loss of power, and damage of every kind."""

import os
import random
import signal
import struct
import tempfile
import time
from pathlib import Path

import mapped_rows
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_rows import MEMORY, POSIX, ROWS, STATE, STRIDE, crashed, filled, flip, rewards, slot
from producers import transition

from rfx.buffers import MmapReplayBuffer
from rfx.errors import CodecError, ConfigError, RfxError

pytestmark = POSIX
tmp_path = mapped_rows.tmp_path


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
    for seed in range(80):
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


@settings(max_examples=200, deadline=None)
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
