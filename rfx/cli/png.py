"""A PNG writer for RGB arrays, so that pictures need no plotting library."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from rfx.errors import DTypeError, ShapeError


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Return an RGB picture, shape (height, width, 3), uint8, as the bytes of a PNG file (RFC 2083)."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        raise DTypeError(
            f"expected picture to be a uint8 array, got {getattr(picture, 'dtype', type(picture).__name__)}"
        )
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ShapeError(f"expected picture of shape (height, width, 3), got {picture.shape}")
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter type, 0 for none
    rows[:, 1:] = picture.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def strip(pictures: list[NDArray[np.uint8]], gap: int = 6) -> NDArray[np.uint8]:
    """Return pictures of one height side by side, with a white gap between them."""
    if not pictures:
        raise ShapeError("expected at least one picture, got none")
    height = pictures[0].shape[0]
    space = np.full((height, gap, 3), 255, np.uint8)
    parts: list[NDArray[np.uint8]] = []
    for picture in pictures:
        if picture.shape[0] != height:
            raise ShapeError(f"expected pictures of height {height}, got {picture.shape[0]}")
        parts += [space, picture]
    return np.concatenate(parts[1:], axis=1)
