"""rfx.comm.values: plain values as bytes, there and back, and nothing else gets through."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfx.comm.values import MAGIC, pack_value, unpack_value
from rfx.errors import CodecError, DTypeError, InvalidValueError

dtypes = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 32, 64))
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(max_size=40),
    dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))),
)
keys = st.text(max_size=8).filter(lambda k: k not in ("$array", "$bytes"))
values = st.recursive(
    leaves, lambda v: st.one_of(st.lists(v, max_size=4), st.dictionaries(keys, v, max_size=4)), max_leaves=8
)


def same(a, b):
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        little = a.dtype.newbyteorder("<")
        return b.dtype == little and a.shape == b.shape and a.astype(little).tobytes() == b.tobytes()
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@settings(max_examples=50)
@given(values)
def test_a_value_comes_back_as_it_was(value):
    assert same(value, unpack_value(pack_value(value)))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_value_or_a_codec_error(data, head):
    try:
        unpack_value(MAGIC + data if head else data)
    except CodecError:
        return


@settings(max_examples=50)
@given(values, st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_gives_a_value_or_a_codec_error(value, at, byte):
    packed = bytearray(pack_value([value, np.arange(3.0)]))
    packed[at % len(packed)] = byte
    try:
        unpack_value(bytes(packed))
    except CodecError:
        return


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_truncated_values_are_refused(cut):
    packed = pack_value({"q": np.arange(12, dtype=np.float32)})
    with pytest.raises(CodecError):
        unpack_value(packed[:-cut])


def test_what_holds_no_arrays_is_json_text():
    value = {"a": [1, 2.5, "x", None, True]}
    assert json.loads(pack_value(value)) == value


def test_arrays_are_views_of_the_payload_that_nobody_can_write():
    packed = pack_value({"q": np.arange(12, dtype=np.float32)})
    q = unpack_value(packed)["q"]
    assert np.shares_memory(q, np.frombuffer(packed, np.uint8))
    assert not q.flags.writeable


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (math.nan, InvalidValueError),
        ({"a": [math.inf]}, InvalidValueError),
        ({1: 2}, DTypeError),
        ([1 << 5000], InvalidValueError),
        ({"$array": 1}, InvalidValueError),
        (object(), DTypeError),
        ({1, 2}, DTypeError),
        (1j, DTypeError),
        (np.array(["a"]), DTypeError),
        (np.array([object()]), DTypeError),
    ],
)
def test_what_is_no_value_is_refused(value, error):
    with pytest.raises(error):
        pack_value(value)


def test_a_value_within_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(InvalidValueError, match="levels"):
        pack_value(value)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b"1e999", b"[" * 40 + b"]" * 40, b"[" * 100_000, b"9" * 5000])
def test_json_that_is_no_value_is_refused(text):
    with pytest.raises(CodecError):
        unpack_value(text)


def test_too_many_bytes_are_refused_on_both_sides():
    with pytest.raises(InvalidValueError, match="at most 10 bytes, got 12"):
        pack_value("x" * 10, limit=10)
    with pytest.raises(CodecError, match="at most 10"):
        unpack_value(b'"xxxxxxxxxx"', limit=10)


def test_an_array_that_says_it_is_larger_than_its_bytes_is_refused():
    for about in (
        ["<f8", [2**40, 2**40], 0],
        ["<f8", [-1], 0],
        ["|O", [1], 0],
        ["<f8", [1], 4],
        ["<f8", "1", 0],
        ["<f8"],
    ):
        text = json.dumps({"$array": about}).encode()
        text += b" " * (-len(text) % 8)
        with pytest.raises(CodecError):
            unpack_value(MAGIC + len(text).to_bytes(4, "little") + text + bytes(64))
