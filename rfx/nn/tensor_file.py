"""Named arrays in the safetensors format: eight bytes of header length, a JSON header, then the numbers.

The reader trusts nothing: every length and offset is compared with what is there before it is used, and the tensors
have to fill the data exactly, in one piece, without overlap. Nothing in a file is ever executed.

Source: the format description of the safetensors project (header at the front, little endian, row-major).
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import CodecError, DTypeError, InvalidValueError

LONGEST_HEADER = 16 << 20
LONGEST_NAME = 512
MOST_DIMENSIONS = 32

# the name in the file -> the dtype of the numbers as they are stored
DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Tensors = dict[str, NDArray[Any]]


def check_name(name: Any) -> str:
    """Return the name of a tensor if it is one; a path that leaves its folder is none."""
    if not isinstance(name, str):
        raise DTypeError(f"expected the name of a tensor to be a string, got {type(name).__name__}")
    if not name or len(name) > LONGEST_NAME or name == "__metadata__" or not name.isprintable():
        raise InvalidValueError(f"expected the name of a tensor, 1 to {LONGEST_NAME} characters, got {name[:80]!r}")
    if name[0] in "/\\" or ".." in name.replace("\\", "/").split("/"):
        raise InvalidValueError(f"expected the name of a tensor, not a path, got {name[:80]!r}")
    return name


def encode_tensors(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a safetensors file; the same tensors give the same bytes.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Booleans, integers of 8 to 64 bits, floats of 16 to 64 bits; any shape.
    metadata : mapping of str to str, optional

    Raises
    ------
    DTypeError, InvalidValueError
        A value that is no array of such numbers; a name that is none.
    """
    ordered = []
    for name, value in tensors.items():
        check_name(name)
        if not isinstance(value, np.ndarray):
            raise DTypeError(f"expected tensor {name!r} to be a numpy array, got {type(value).__name__}")
        dtype = value.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise DTypeError(f"expected tensor {name!r} to hold one of {sorted(DTYPES)}, got dtype {value.dtype}")
        ordered.append((-dtype.itemsize, name, np.ascontiguousarray(value, dtype).reshape(value.shape)))
    ordered.sort(key=lambda entry: entry[:2])  # the largest items first, so that all are aligned
    header: dict[str, Any] = {}
    if metadata is not None:
        for key, text in metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise DTypeError(f"expected the metadata to be strings, got {key!r}: {type(text).__name__}")
        header["__metadata__"] = dict(metadata)
    end = 0
    for _, name, value in ordered:
        span = [end, end + value.nbytes]
        header[name] = {"dtype": _NAMES[value.dtype], "shape": list(value.shape), "data_offsets": span}
        end += value.nbytes
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > LONGEST_HEADER:
        raise InvalidValueError(f"expected names that fill at most {LONGEST_HEADER} bytes, got {len(head)}")
    return b"".join([struct.pack("<Q", len(head)), head, *(value.tobytes() for _, _, value in ordered)])


def decode_tensors(data: bytes, what: str = "data") -> tuple[Tensors, dict[str, str]]:
    """Return the tensors of a safetensors file, each an array of its own, and its metadata.

    Parameters
    ----------
    data : bytes
        The whole file.
    what : str
        What to call it in an error.

    Raises
    ------
    CodecError
        Truncated, with bytes left over, overlapping or out of order, an unknown dtype, a header that is not what the
        format says.
    """
    if len(data) < 8:
        raise CodecError(f"{what}: expected a safetensors file of at least 8 bytes, got {len(data)}")
    (length,) = struct.unpack_from("<Q", data)
    if length > LONGEST_HEADER:
        raise CodecError(f"{what}: expected a header of at most {LONGEST_HEADER} bytes, it says {length}")
    if length > len(data) - 8:
        raise CodecError(f"{what}: truncated: the header says {length} bytes, {len(data) - 8} follow")
    header = parse_json(data[8 : 8 + length], f"{what}: header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise CodecError(f"{what}: expected __metadata__ to map strings to strings")
    body = memoryview(data)[8 + length :]
    entries = [(*_entry(what, name, entry), name) for name, entry in header.items()]
    end = 0
    for begin, stop, _, _, name in sorted(entries, key=lambda entry: entry[:2]):
        if begin != end:
            raise CodecError(f"{what}: tensor {name!r} starts at byte {begin} of the data, expected {end}")
        end = stop
    if end != len(body):
        kind = "truncated" if end > len(body) else "trailing bytes"
        raise CodecError(f"{what}: {kind}: the tensors fill {end} bytes, the data has {len(body)}")
    tensors = {}
    for begin, stop, dtype, shape, name in entries:
        stored = np.frombuffer(body[begin:stop], dtype).reshape(shape)
        if dtype.kind == "b" and stored.view(np.uint8).max(initial=0) > 1:
            raise CodecError(f"{what}: expected tensor {name!r} to hold booleans, bytes 0 and 1")
        tensors[name] = stored.astype(dtype.newbyteorder("="))
    return tensors, metadata


def _entry(what: str, name: str, entry: Any) -> tuple[int, int, np.dtype[Any], tuple[int, ...]]:
    """Return begin, end, dtype and shape of one tensor whose numbers agree with each other."""
    try:
        check_name(name)
    except InvalidValueError as error:
        raise CodecError(f"{what}: {error}") from None
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CodecError(f"{what}: expected dtype, shape and data_offsets of tensor {name!r}")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        known = ", ".join(DTYPES)
        raise CodecError(f"{what}: expected the dtype of tensor {name!r} to be one of {known}, got {entry['dtype']!r}")
    dtype, shape, span = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not _counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise CodecError(f"{what}: expected the shape of tensor {name!r} as at most {MOST_DIMENSIONS} lengths")
    if not _counts(span) or len(span) != 2:
        raise CodecError(f"{what}: expected data_offsets of tensor {name!r} as [begin, end]")
    size = math.prod(shape) * dtype.itemsize
    if span[1] - span[0] != size:
        raise CodecError(f"{what}: tensor {name!r} of shape {tuple(shape)} needs {size} bytes, its offsets are {span}")
    if math.prod(n for n in shape if n) > 1 << 48:  # of no elements, but beyond what numpy can address
        raise CodecError(f"{what}: the shape of tensor {name!r} is too large: {tuple(shape)}")
    return span[0], span[1], dtype, tuple(shape)


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in values)


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Return a JSON object; NaN, infinities, numbers too large, keys that come twice and bad text are refused."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise CodecError(f"{what}: the key {twice[:80]!r} comes twice")
        return found

    def constant(text: str) -> Any:
        raise CodecError(f"{what}: expected finite numbers, got {text}")

    def real(text: str) -> float:
        return value if math.isfinite(value := float(text)) else constant(text)

    try:
        value = json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=constant, parse_float=real)
    except CodecError:
        raise
    except UnicodeDecodeError as error:
        raise CodecError(f"{what}: expected UTF-8 text: {error}") from None
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{what}: expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise CodecError(f"{what}: expected a JSON object, got {type(value).__name__}")
    return value
