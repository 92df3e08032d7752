"""Plain values as bytes: what services, parameters and nodes say to each other. Nothing is ever unpickled.

A value is None, a bool, an int, a finite float, a str, bytes, a numpy array of numbers, or a list or a dict (with str keys)
of values. Without arrays and bytes in it, it travels as JSON text in UTF-8, which any program can write. Else, little endian::

    0      4 bytes   00 52 56 31
    4      uint32    n, the length of the JSON text
    8      n bytes   JSON text; {"$array": [dtype, [shape], offset]} and {"$bytes": [offset, length]} stand for blocks
    8 + n            zeros up to a multiple of 8; from here on offsets are counted, each a multiple of 8
           blocks    arrays in C order, bytes

``dtype`` is numpy's name for it with its byte order, such as ``<f4``: kinds b, i, u and f.
"""

import json
import math
import re
import struct
from functools import cache, lru_cache
from typing import Any

import numpy as np

from rfx.errors import CodecError, DTypeError, InvalidValueError

LIMIT = 16 * 2**20  # bytes of a whole value
DEEPEST = 32  # lists and dicts within each other
MAGIC = b"\0RV1"
_HEAD = struct.Struct("<4sI")
_RESERVED = ("$array", "$bytes")
_DTYPE = re.compile(r"[<|](?:b1|[iu][1248]|f[248])")
_MOST_AXES = 32
_MOST_BITS = 1024


def pack_value(value: Any, *, limit: int = LIMIT) -> bytes:
    """Return a value as bytes.

    Raises
    ------
    DTypeError
        Something in it is no value, such as an object, or a dict has a key that is no str.
    InvalidValueError
        NaN or infinity outside of an array, an int of more than 1024 bits, more than 32 levels, a dict with ``$array``
        or ``$bytes`` as its key, more than ``limit`` bytes.

    Examples
    --------
    >>> pack_value({"vx": 0.5})
    b'{"vx":0.5}'
    """
    blocks = _Blocks()
    tree = _plain(value, blocks, None, DEEPEST)
    text = _ENCODER.encode(tree).encode()
    if not blocks.parts:
        packed = text
    else:
        text += b" " * (-len(text) % 8)
        packed = b"".join((_HEAD.pack(MAGIC, len(text)), text, *blocks.parts))
    if len(packed) > limit:
        raise InvalidValueError(f"expected a value of at most {limit} bytes, got {len(packed)}")
    return packed


def unpack_value(payload: Any, *, limit: int = LIMIT) -> Any:
    """Return the value that these bytes hold; arrays in it are not copied, and read-only.

    Raises
    ------
    CodecError
        These bytes are no value, or more than ``limit``.

    Examples
    --------
    >>> unpack_value(b'{"vx": 0.5}')
    {'vx': 0.5}
    """
    try:
        view = memoryview(payload).cast("B").toreadonly()
    except (TypeError, ValueError) as error:
        raise CodecError(f"expected contiguous bytes, got {type(payload).__name__}: {error}") from error
    if len(view) > limit:
        raise CodecError(f"expected a value of at most {limit} bytes, got {len(view)}")
    if view[:4] != MAGIC:
        return _restored(_parsed(view), None, DEEPEST)
    if len(view) < _HEAD.size:
        raise CodecError(f"expected a value's head of {_HEAD.size} bytes, got {len(view)}")
    (_, length) = _HEAD.unpack_from(view)
    start = _HEAD.size + length + -length % 8
    if start > len(view):
        raise CodecError(f"expected {length} bytes of JSON in the value, {len(view) - _HEAD.size} are left")
    return _restored(_parsed(view[_HEAD.size : _HEAD.size + length]), view[start:], DEEPEST)


Path = tuple[Any, Any] | None


class _Blocks:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> int:
        offset = self.size
        self.parts += [data, bytes(-len(data) % 8)]
        self.size += len(data) + -len(data) % 8
        return offset


def _plain(value: Any, blocks: _Blocks, path: Path, depth: int) -> Any:
    """Return what JSON has for a value; ``path`` is where it stands: None, or the path of what it is in and its place there."""
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise InvalidValueError(f"expected {_named(path)} to be finite, got {value}")
        return value
    if kind is str or kind is bool or value is None:
        return value
    if kind is np.ndarray:
        return {"$array": _array(value, blocks, path)}
    if isinstance(value, (dict, list, tuple)):
        if depth == 0:
            raise InvalidValueError(f"expected at most {DEEPEST} levels of lists and dicts, got more")
        if not isinstance(value, dict):
            return [_plain(v, blocks, (path, i), depth - 1) for i, v in enumerate(value)]
        for key in value:
            if not isinstance(key, str):
                raise DTypeError(f"expected the keys of {_named(path)} to be str, got {type(key).__name__} {key!r}")
            if key in _RESERVED:
                raise InvalidValueError(f"expected no key {key!r} in {_named(path)}: it stands for a block of bytes")
        return {key: _plain(v, blocks, (path, key), depth - 1) for key, v in value.items()}
    return _uncommon(value, blocks, path, depth)


def _uncommon(value: Any, blocks: _Blocks, path: Path, depth: int) -> Any:
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            bits = value.bit_length()
            raise InvalidValueError(f"expected {_named(path)} to be an int of at most {_MOST_BITS} bits, got {bits}")
        return int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        return {"$bytes": [blocks.add(data), len(data)]}
    if isinstance(value, np.generic) and value.dtype.kind in "biufSU":
        return _plain(value.item(), blocks, path, depth)
    for plain in (float, str):
        if isinstance(value, plain):
            return _plain(plain(value), blocks, path, depth)
    if isinstance(value, np.ndarray):
        return {"$array": _array(value, blocks, path)}
    expected = "None, a bool, number, str, bytes, array of numbers, list or dict"
    raise DTypeError(f"expected {_named(path)} to be {expected}, got {type(value).__name__}")


def _named(path: Path) -> str:
    if path is None:
        return "the value"
    return f"{_named(path[0])}[{path[1]!r}]"


@cache
def _little(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the dtype in which an array of this one travels, None where it does not."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        return None
    return dtype.newbyteorder("<")


def _array(array: Any, blocks: _Blocks, path: Path) -> list[Any]:
    dtype = _little(array.dtype)
    if dtype is None:
        raise DTypeError(f"expected {_named(path)} to be an array of plain numbers, got dtype {array.dtype}")
    data = array.tobytes() if dtype == array.dtype else array.astype(dtype).tobytes()
    return [dtype.str, list(array.shape), blocks.add(data)]


def _parsed(view: memoryview) -> Any:
    try:
        return _DECODER.decode(bytes(view).decode())
    except (ValueError, RecursionError) as error:
        raise CodecError(f"expected a value as JSON text, got {bytes(view[:40])!r}: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _restored(tree: Any, blocks: memoryview | None, depth: int) -> Any:
    kind = type(tree)
    if kind is float:
        if not math.isfinite(tree):
            raise CodecError("expected finite numbers in the value, got one that is too large")
        return tree
    if kind is not list and kind is not dict:
        return tree
    if depth == 0:
        raise CodecError(f"expected at most {DEEPEST} levels of lists and dicts, got more")
    if kind is list:
        return [_restored(v, blocks, depth - 1) for v in tree]
    for name, make in _MAKERS:
        if name in tree:
            if len(tree) != 1 or blocks is None or not isinstance(tree[name], list):
                raise CodecError(f"expected {name} alone, in a value with blocks, got {str(tree)[:80]}")
            return make(blocks, tree[name])
    return {key: _restored(v, blocks, depth - 1) for key, v in tree.items()}


def _block(blocks: memoryview, offset: Any, size: int) -> memoryview:
    if type(offset) is not int or offset < 0 or offset % 8 or offset + size > len(blocks):
        raise CodecError(f"expected a block of {size} bytes at a multiple of 8 within {len(blocks)}, got {offset!r}")
    return blocks[offset : offset + size]


@lru_cache(64)
def _dtype(text: str) -> np.dtype[Any] | None:
    return np.dtype(text) if _DTYPE.fullmatch(text) else None


def _array_of(blocks: memoryview, about: list[Any]) -> Any:
    try:
        dtype, shape, offset = about
    except ValueError as error:
        raise CodecError(f"expected dtype, shape and offset of an array, got {len(about)} items") from error
    made = _dtype(dtype) if isinstance(dtype, str) else None
    if made is None:
        raise CodecError(f"expected a little-endian dtype of numbers, got {str(dtype)[:40]!r}")
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or any(type(n) is not int or n < 0 for n in shape):
        raise CodecError(f"expected a shape, got {str(shape)[:80]}")
    raw = _block(blocks, offset, math.prod(shape) * made.itemsize)
    try:
        array = np.frombuffer(raw, made)
        return array if len(shape) == 1 else array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise CodecError(f"expected a shape of numpy's, got {str(shape)[:80]}: {error}") from error


def _bytes_of(blocks: memoryview, about: list[Any]) -> bytes:
    if len(about) != 2 or type(about[1]) is not int or about[1] < 0:
        raise CodecError(f"expected offset and length of bytes, got {str(about)[:80]}")
    return bytes(_block(blocks, *about))


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_MAKERS = (("$array", _array_of), ("$bytes", _bytes_of))
