"""How an envelope travels: the payload as it is, all else in an attachment of its own, version 1.

==========  ==========================================================================================
bytes       content, little-endian
==========  ==========================================================================================
0 to 1      0xF7, 1: what it is, and its version
2           kind of payload: 0 bytes, 1 array
3           number of dimensions, at most 32; 0 for bytes
4 to 5      length of the dtype's text
6 to 7      0
8 to 15     the source: a random number of who sends under this key
16 to 23    sequence, from 1
24 to 31    nanoseconds of the wall clock, since 1970
32 to 39    the how manieth of this source, from 1
then        the shape, 8 bytes each; the dtype's text (ASCII); metadata as JSON (UTF-8), or nothing
==========  ==========================================================================================

What an attachment says is checked before it is believed: it may come from anybody.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

import json
import re
from functools import lru_cache

import numpy as np

from rfx.errors import CodecError, DTypeError, InvalidValueError

MOST_METADATA = 65536    # bytes of JSON
cdef enum:
    MAGIC = 0xF7
    VERSION = 1
    MOST_DIMENSIONS = 32


cdef object NDARRAY = np.ndarray
cdef object DTYPE = re.compile(r"[<>|=](?:[biufcSU]\d{1,9}|[mM]8(?:\[\d{0,9}[a-zA-Z]{1,2}\])?)", re.ASCII).fullmatch


def no_constant(text):
    """Refuse what JSON does not have: NaN and Infinity."""
    raise InvalidValueError(f"expected metadata of finite numbers, got {text}")


cdef object TO_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
cdef object FROM_JSON = json.JSONDecoder(parse_constant=no_constant).decode


def pack(source, sequence, timestamp_ns, nth, bytes more not None, payload):
    """Return the attachment of a message.

    Parameters
    ----------
    source, sequence, timestamp_ns, nth : int
        As in the table above.
    more : bytes
        What :func:`metadata_bytes` makes.
    payload : bytes, ndarray or another buffer
        An array has a dtype that :func:`dtype_bytes` takes.
    """
    return packed_of(source, sequence, timestamp_ns, nth, more, payload)


cdef bytes packed_of(uint64_t source, int64_t sequence, int64_t timestamp_ns, int64_t nth, bytes more, payload):
    cdef Header head
    cdef bytes text = b"", made
    cdef char* at
    cdef int64_t extent
    memset(&head, 0, sizeof(Header))
    head.magic, head.version = MAGIC, VERSION
    head.source, head.sequence, head.timestamp_ns, head.nth = source, sequence, timestamp_ns, nth
    if type(payload) is bytes and not more:
        return PyBytes_FromStringAndSize(<char*>&head, sizeof(Header))
    shape = ()
    if isinstance(payload, NDARRAY):
        text, shape = dtype_bytes(payload.dtype), payload.shape
        head.kind, head.dimensions, head.text = 1, <unsigned char>len(shape), <uint16_t>len(text)
    made = PyBytes_FromStringAndSize(NULL, sizeof(Header) + 8 * head.dimensions + len(text) + len(more))
    at = PyBytes_AS_STRING(made)
    memcpy(at, &head, sizeof(Header))
    at += sizeof(Header)
    for extent in shape:
        memcpy(at, &extent, 8)
        at += 8
    memcpy(at, PyBytes_AS_STRING(text), len(text))
    memcpy(at + len(text), PyBytes_AS_STRING(more), len(more))
    return made


def unpack(bytes attachment not None, Py_ssize_t size):
    """Return (source, sequence, timestamp_ns, nth, metadata or None, dtype or None, shape) of a payload of ``size`` bytes.

    Raises
    ------
    CodecError
        It is no attachment of ours, of another version, cut off, or does not fit the payload.
    """
    cdef Header head
    metadata, dtype, shape = read_into(&head, attachment, size) or (None, None, ())
    return head.source, head.sequence, head.timestamp_ns, head.nth, metadata, dtype, shape


cdef tuple read_into(Header* head, bytes attachment, Py_ssize_t size):
    # (metadata, dtype, shape); None for bytes without metadata
    cdef const char* at = PyBytes_AS_STRING(attachment)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(attachment)
    cdef int64_t extent
    cdef int k
    if left < <Py_ssize_t>sizeof(Header):
        raise CodecError(f"expected an attachment of at least {sizeof(Header)} bytes, got {left}")
    memcpy(head, at, sizeof(Header))
    at, left = at + sizeof(Header), left - <Py_ssize_t>sizeof(Header)
    if head.magic != MAGIC or head.version != VERSION or head.nothing or head.kind > 1:
        raise CodecError(f"expected an attachment of version {VERSION}, got one that begins with {attachment[:8]!r}")
    if head.sequence < 1 or head.nth < 1 or head.timestamp_ns < 0:
        raise CodecError(f"expected numbers from 1, got sequence {head.sequence}, nth {head.nth}, time {head.timestamp_ns}")
    if head.dimensions > MOST_DIMENSIONS or (head.kind == 0 and (head.dimensions or head.text)):
        raise CodecError(f"expected at most {MOST_DIMENSIONS} dimensions, none for bytes, got {head.dimensions}")
    if left < 8 * head.dimensions + head.text or left - 8 * head.dimensions - head.text > MOST_METADATA:
        raise CodecError(f"expected the shape, the dtype and at most {MOST_METADATA} bytes of metadata, got {left} bytes")
    if not head.kind and not left:
        return None
    dtype, shape = None, ()
    if head.kind:
        extents = []
        for k in range(head.dimensions):
            memcpy(&extent, at + 8 * k, 8)
            extents.append(extent)
        at, left = at + 8 * head.dimensions, left - 8 * head.dimensions
        dtype, shape = dtype_of(at[:head.text]), tuple(extents)
        at, left = at + head.text, left - head.text
        fits(shape, dtype.itemsize, size)
    metadata = metadata_of(at[:left]) if left else None
    return metadata, dtype, shape


def metadata_bytes(metadata):
    """Return metadata as JSON, b"" for None.

    Raises
    ------
    DTypeError, InvalidValueError
        Keys other than str; values that JSON does not have (NaN too); more than 65536 bytes.
    """
    cdef bytes made
    if metadata is None:
        return b""
    for key in metadata:
        if type(key) is not str:
            raise DTypeError(f"expected the keys of metadata to be str, got {type(key).__name__}")
    try:
        made = TO_JSON(metadata).encode()
    except TypeError as error:
        raise DTypeError(f"expected metadata that JSON can say, got {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"expected metadata that JSON can say, got {error}") from error
    if len(made) > MOST_METADATA:
        raise InvalidValueError(f"expected at most {MOST_METADATA} bytes of metadata, got {len(made)}")
    return made


def metadata_of(bytes text not None):
    """Return what :func:`metadata_bytes` was given. CodecError for anything but an object of JSON."""
    try:
        made = FROM_JSON(text.decode())
    except (ValueError, RecursionError) as error:
        raise CodecError(f"expected metadata to be JSON, got {text[:40]!r}") from error
    if type(made) is not dict:
        raise CodecError(f"expected metadata to be an object of JSON, got {type(made).__name__}")
    return made


cdef int fits(tuple shape, itemsize, Py_ssize_t size) except -1:
    count = itemsize
    for extent in shape:
        if extent < 0:
            raise CodecError(f"expected a shape, got {shape}")
        count *= extent    # Python's integers do not overflow
    if count != size:
        raise CodecError(f"expected a payload of {count} bytes for shape {shape}, got {size}")
    return 0


@lru_cache(256)
def dtype_bytes(dtype):
    """Return a dtype's text. DTypeError for structures, objects and what else is no plain number, text or time."""
    if dtype.names is not None or not DTYPE(dtype.str):
        raise DTypeError(f"expected payload to be an array of plain numbers, got dtype {dtype}")
    return dtype.str.encode()


@lru_cache(256)
def dtype_of(text):
    """Return the dtype of such a text. CodecError for any other."""
    try:
        plain = text.decode("ascii")
        if not DTYPE(plain):
            raise TypeError(plain)
        return np.dtype(plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise CodecError(f"expected the dtype of an array, got {text[:40]!r}") from error
