"""The file of a VarLenStore. Little endian throughout, no pickle:

======  ======================================================
bytes   what
======  ======================================================
0..7    ``RFXVLS1`` and a newline
8..15   dtype as numpy writes it (``<u4``), then zero bytes
16..23  number of sequences n, uint64
24..31  number of elements m, uint64
32..35  CRC-32 of all that follows the header
36..39  CRC-32 of bytes 0..35
40..    n + 1 offsets, int64; then m elements
======  ======================================================
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import CodecError

MAGIC = b"RFXVLS1\n"
HEADER = struct.Struct("<8s8sQQI")
KINDS = {
    f"<{k}{n}": np.dtype(f"<{k}{n}")
    for k, sizes in {"i": (2, 4, 8), "u": (2, 4, 8), "f": (4, 8)}.items()
    for n in sizes
}
KINDS |= {s: np.dtype(s) for s in ("|i1", "|u1", "|b1")}


def checksum(starts: NDArray[Any], values: NDArray[Any]) -> int:
    return zlib.crc32(values.view(np.uint8).data, zlib.crc32(starts.view(np.uint8).data))


def write(path: Any, offsets: NDArray[Any], values: NDArray[Any]) -> None:
    """Write a file beside ``path`` and move it there when it is whole."""
    target = Path(path)
    dtype = values.dtype.newbyteorder("<")
    starts, data = offsets.astype("<i8"), values.astype(dtype, copy=False)
    body = checksum(starts, data)
    header = HEADER.pack(MAGIC, dtype.str.encode(), len(starts) - 1, data.size, body)
    draft = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(header + struct.pack("<I", zlib.crc32(header)))
            starts.tofile(file)
            data.tofile(file)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return offsets and values; CodecError where the file is not what was written."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(HEADER.size + 4)
        if len(head) < HEADER.size + 4 or not head.startswith(MAGIC):
            raise CodecError(f"expected a file that starts with {MAGIC!r} and 40 bytes of header, got {head[:8]!r}")
        _, code, n, m, body = HEADER.unpack(head[: HEADER.size])
        if zlib.crc32(head[: HEADER.size]) != struct.unpack("<I", head[HEADER.size :])[0]:
            raise CodecError("expected a header that fits its checksum, got another: the file is damaged")
        dtype = KINDS.get(code.rstrip(b"\0").decode("ascii", "replace"))
        if dtype is None:
            raise CodecError(f"expected a dtype of numbers or bool, got {code!r}")
        whole = len(head) + (n + 1) * 8 + m * dtype.itemsize
        if size != whole:
            raise CodecError(f"expected {whole} bytes, got {size}: the file is cut off or has something behind it")
        starts = np.fromfile(file, "<i8", n + 1)
        values = np.fromfile(file, dtype, m)
    if checksum(starts, values) != body:
        raise CodecError("expected contents that fit their checksum, got others: the file is damaged")
    return starts.astype(np.int64), values.astype(dtype.newbyteorder("="), copy=False)
