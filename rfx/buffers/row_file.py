"""The file behind a memory-mapped buffer: how it is made, found again, and refused. docs/buffers.md describes it.

Not for users. A file is made under another name, reserved on the disk and given its name last, so that there is never
half a file under the name, and none is ever replaced.
"""

import errno
import json
import os
import secrets
import stat
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfx.buffers.columns import Column
from rfx.buffers.files import plain
from rfx.errors import CodecError, ConfigError, InvalidStateError

MAGIC, VERSION, ORDER = b"RFXMMAP\0", 1, 0x01020304
# magic, version, byte order, bytes before the first row, bytes of a row, capacity, hot capacity, length of the JSON text
FIXED = struct.Struct("=8sIIQQQQQ")
CHECKSUM = struct.Struct("=Q")  # CRC-32 of the bytes above and of the text
TEXT = FIXED.size + CHECKSUM.size
PAGE = 4096
LONGEST_TEXT = 1 << 20
MOST_BYTES = 1 << 62


@dataclass(frozen=True)
class Head:
    """What a file says of itself."""

    rows_at: int  # bytes before the first row; the last page of them holds the state
    stride: int
    capacity: int
    hot_capacity: int
    text: dict[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file: one slot more than rows, which is the one being written."""
        return self.rows_at + (self.capacity + 1) * self.stride


def columns_of(schema: tuple[Column, ...], offsets: list[int]) -> list[dict[str, Any]]:
    """Return the columns as the file lists them."""
    return [
        {"name": c.name, "dtype": c.dtype.str, "shape": list(c.shape), "offset": at}
        for c, at in zip(schema, offsets, strict=True)
    ]


def packed(capacity: int, hot_capacity: int, stride: int, config: dict[str, Any], columns: list[Any]) -> bytes:
    """Return the bytes before the first row, the state still empty."""
    text = json.dumps({"config": plain(config), "columns": columns}).encode()
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"expected a description of at most {LONGEST_TEXT} bytes, the columns need {len(text)}")
    rows_at = (TEXT + len(text) + PAGE - 1) // PAGE * PAGE + PAGE
    fixed = FIXED.pack(MAGIC, VERSION, ORDER, rows_at, stride, capacity, hot_capacity, len(text))
    if rows_at + (capacity + 1) * stride > MOST_BYTES:
        raise ConfigError(f"{capacity} rows of {stride} bytes do not fit a file")
    return (fixed + CHECKSUM.pack(zlib.crc32(fixed + text)) + text).ljust(rows_at, b"\0")


def unpacked(start: bytes, path: str) -> Head:
    """Read the beginning of a file.

    Raises
    ------
    CodecError
        Another kind of file, or a damaged one.
    ConfigError
        A version or a byte order that this machine does not read.
    """
    if len(start) < TEXT or start[:8] != MAGIC:
        raise CodecError(f"expected the file of a MmapReplayBuffer, {path} is none")
    _, version, order, rows_at, stride, capacity, hot_capacity, length = FIXED.unpack_from(start)
    if order != ORDER:
        raise ConfigError(f"expected a file of this machine's byte order ({sys.byteorder}), {path} has another")
    if version != VERSION:
        raise ConfigError(f"expected version {VERSION}, {path} has {version}")
    text = start[TEXT : TEXT + length]
    if len(text) != length or CHECKSUM.unpack_from(start, FIXED.size)[0] != zlib.crc32(start[: FIXED.size] + text):
        raise CodecError(f"the beginning of {path} is damaged: its checksum does not match")
    try:
        head = Head(rows_at, stride, capacity, hot_capacity, json.loads(text))
        if not {"config", "columns"} <= head.text.keys():
            raise ValueError("config or columns are missing")
    except (ValueError, AttributeError) as error:
        raise CodecError(f"the beginning of {path} is damaged: {error}") from error
    whole = rows_at % PAGE == 0 and rows_at >= TEXT + length + PAGE and stride % 64 == 0 and stride > 0
    if not whole or capacity < 1 or not 1 <= hot_capacity <= capacity or head.nbytes > MOST_BYTES:
        raise CodecError(f"the beginning of {path} is damaged: its sizes contradict each other")
    return head


def read_head(handle: int, path: str) -> Head:
    """Read the beginning of an open file; see :func:`unpacked`."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise CodecError(f"expected the file of a MmapReplayBuffer, {path} is no file")
    return unpacked(os.pread(handle, TEXT + LONGEST_TEXT, 0), path)


def peek(path: str) -> Head:
    """Read the beginning of the file of this name."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return read_head(handle, path)
    finally:
        os.close(handle)


def claim(handle: int, path: str) -> None:
    """Take the file for this buffer alone until it is closed; InvalidStateError where somebody has it."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InvalidStateError(f"{path} is open already, in this process or in another one") from error


def reserve(handle: int, nbytes: int, path: str) -> None:
    """Make the file as long as this and take the disk space for it; OSError where there is not enough."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, nbytes)
            return
        zeros = bytes(1 << 20)
        for at in range(os.fstat(handle).st_size, nbytes, len(zeros)):
            os.pwrite(handle, zeros[: nbytes - at], at)
    except OSError as error:
        raise OSError(error.errno, f"cannot reserve {nbytes} bytes: {error.strerror}", path) from error


def create(path: str, start: bytes, nbytes: int) -> int:
    """Make a new file and return its handle, claimed; FileExistsError if there is one of this name."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        raise FileExistsError(errno.EEXIST, "there is a file already; mode='open' goes on with it", path)
    draft = str(target.parent / f".{target.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        claim(handle, path)
        reserve(handle, nbytes, path)
        os.pwrite(handle, start, 0)
        os.fsync(handle)
        os.link(draft, path)
        try:
            settle_name(target)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        os.close(handle)
        raise
    finally:
        os.unlink(draft)
    return handle


def settle_name(target: Path) -> None:
    """Wait until the file's name is on the disk."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def reopen(path: str) -> int:
    """Return the handle of a file that exists, claimed."""
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        claim(handle, path)
    except BaseException:
        os.close(handle)
        raise
    return handle
