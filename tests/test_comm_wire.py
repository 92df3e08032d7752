"""rfx.comm.wire: what is packed comes out again; anything else is refused by a CodecError, never by a crash."""

import json
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfx.comm.wire import dtype_bytes, metadata_bytes, pack, unpack
from rfx.errors import CodecError, DTypeError, InvalidValueError

HEADER = struct.Struct("<BBBBHHQqqq")
PLAIN = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
)
NUMBERS = st.integers(1, 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)
METADATA = st.none() | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), JSON, max_size=4)


@given(st.integers(0, 2**64 - 1), NUMBERS, NUMBERS, NUMBERS, METADATA, hnp.arrays(PLAIN, hnp.array_shapes(min_side=0)))
def test_what_is_packed_comes_out(source, sequence, time_ns, nth, metadata, array):
    packed = pack(source, sequence, time_ns, nth, metadata_bytes(metadata), array)
    assert unpack(packed, array.nbytes) == (source, sequence, time_ns, nth, metadata, array.dtype, array.shape)
    packed = pack(source, sequence, time_ns, nth, metadata_bytes(metadata), b"bytes")
    assert unpack(packed, 5) == (source, sequence, time_ns, nth, metadata, None, ())


def test_the_layout_is_the_one_of_the_table():
    packed = pack(7, 1, 2, 3, metadata_bytes({"a": [1]}), np.zeros((2, 5), "<f4"))
    assert packed == HEADER.pack(0xF7, 1, 1, 2, 3, 0, 7, 1, 2, 3) + struct.pack("<2q", 2, 5) + b'<f4{"a":[1]}'
    assert pack(7, 1, 2, 3, b"", b"x") == HEADER.pack(0xF7, 1, 0, 0, 0, 0, 7, 1, 2, 3)


GOOD = pack(7, 1, 2, 3, metadata_bytes({"a": [1]}), np.zeros((2, 5), "<f4"))


@given(st.binary(max_size=120), st.integers(0, 2**40))
@example(GOOD, 40)
def test_any_bytes_are_read_or_refused(attachment, size):
    try:
        unpack(attachment, size)
    except CodecError:
        return


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_damaged_ones_are_read_or_refused(at, value, cut):
    damaged = bytearray(GOOD)
    damaged[at] = value
    for attachment in (bytes(damaged), GOOD[:cut]):
        try:
            *_, dtype, shape = unpack(attachment, 40)
        except CodecError:
            continue
        if dtype is not None:
            assert dtype.itemsize * int(np.prod(shape)) == 40


def made(shape=(2, 5), dtype=b"<f4", more=b"", **changes):
    fields = {"magic": 0xF7, "version": 1, "kind": 1, "dimensions": len(shape), "text": len(dtype), "nothing": 0}
    fields = {**fields, "source": 7, "sequence": 1, "time_ns": 2, "nth": 3, **changes}
    return HEADER.pack(*fields.values()) + struct.pack(f"<{len(shape)}q", *shape) + dtype + more


@pytest.mark.parametrize(
    "attachment",
    [
        made(magic=0),
        made(version=2),
        made(kind=2),
        made(nothing=1),
        made(sequence=0),
        made(nth=-1),
        made(time_ns=-1),
        made(kind=0),
        made(dimensions=33),
        made(text=4),
        made((2, 4)),
        made((-2, -5)),
        made((2**62, 4, 4)),
        made(dtype=b"O"),
        made(dtype=b"|O8"),
        made(dtype=b"<f3"),
        made(dtype=b"f4,f4"),
        made(dtype=b"<U999999999"),
        made(dtype=b"\xff"),
        made(more=b"{"),
        made(more=b"[1]"),
        made(more=b'{"a":NaN}'),
        made(more=b"\xff"),
        made(more=b"[" * 60_000),
        made(more=b'{"a":' + b"1" * 5000 + b"}"),
        made(more=b'{"a":"' + b"x" * 65536 + b'"}'),
    ],
    ids=lambda a: repr(a[:4] + a[40:70])[:60],
)
def test_what_is_wrong_is_refused(attachment):
    assert unpack(made(), 40)[-1] == (2, 5)
    with pytest.raises(CodecError):
        unpack(attachment, 40)


def test_a_payload_of_another_length_is_refused():
    for size in (0, 39, 41):
        with pytest.raises(CodecError, match="40 bytes"):
            unpack(GOOD, size)


def test_what_json_cannot_say_is_refused():
    for metadata in ({1: 2}, {"a": b""}, {"a": {2}}, {"a": np.float64}):
        with pytest.raises(DTypeError):
            metadata_bytes(metadata)
    loop: list = []
    loop.append(loop)
    for metadata in ({"a": float("inf")}, {"a": float("nan")}, {"a": loop}, {"a": "x" * 65536}):
        with pytest.raises(InvalidValueError):
            metadata_bytes(metadata)
    assert json.loads(metadata_bytes({"a": (1, 2)})) == {"a": [1, 2]}
    assert metadata_bytes(None) == b""


def test_dtypes_that_are_no_plain_numbers_are_refused():
    for dtype in (np.dtype(object), np.dtype([("a", float)]), np.dtype("V4")):
        with pytest.raises(DTypeError):
            dtype_bytes(dtype)
