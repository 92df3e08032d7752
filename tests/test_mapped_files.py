"""Which files rfx.buffers.mapped refuses, and how others read those that it makes."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import mapped_rows
import numpy as np
import pytest
from mapped_rows import POSIX, STRIDE, block, filled, rewards
from producers import transition

from rfx.buffers import MmapReplayBuffer
from rfx.errors import CodecError, ConfigError, InvalidStateError

pytestmark = POSIX
tmp_path = mapped_rows.tmp_path


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
