"""The safetensors reader and writer, against the safetensors package and against damage."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfx.errors import CodecError, DTypeError, InvalidValueError, RfxError
from rfx.nn.tensor_file import DTYPES, decode_tensors, encode_tensors

ARRAYS = st.sampled_from(list(DTYPES.values())).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
TENSORS = st.dictionaries(
    st.text("abcxyz.0", min_size=1, max_size=8).filter(lambda n: ".." not in n), ARRAYS, max_size=4
)


def build(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype="F32", shape=(1,), span=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}


@given(TENSORS)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_again_bit_for_bit(tensors):
    found, metadata = decode_tensors(encode_tensors(tensors, {"a": "é"}))
    assert metadata == {"a": "é"}
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes()
        assert found[name].flags.writeable
        assert found[name].flags.owndata


@given(TENSORS)
@settings(max_examples=25, deadline=None)
def test_the_safetensors_package_agrees_in_both_directions(tensors):
    peer = pytest.importorskip("safetensors.numpy")
    theirs = peer.load(encode_tensors(tensors))
    ours, _ = decode_tensors(peer.save({name: np.ascontiguousarray(v).reshape(v.shape) for name, v in tensors.items()}))
    for found in (theirs, ours):
        assert set(found) == set(tensors)
        assert all(found[n].tobytes() == v.tobytes() and found[n].shape == v.shape for n, v in tensors.items())


def test_strided_and_big_endian_arrays_are_stored_by_value():
    grid = np.arange(12.0).reshape(3, 4)
    found, _ = decode_tensors(encode_tensors({"t": grid.T, "b": grid.astype(">f4")}))
    np.testing.assert_array_equal(found["t"], grid.T)
    np.testing.assert_array_equal(found["b"], grid)


def test_the_same_tensors_give_the_same_bytes_in_any_order():
    a, b = np.ones(3, np.float32), np.zeros(2)
    assert encode_tensors({"a": a, "b": b}) == encode_tensors({"b": b, "a": a})


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_truncation_is_refused(data):
    whole = encode_tensors({"w": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.int8)})
    with pytest.raises(CodecError):
        decode_tensors(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_gives_tensors_or_an_error_of_ours(data):
    whole = bytearray(encode_tensors({"w": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.int8)}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        tensors, _ = decode_tensors(bytes(whole))
    except RfxError:
        return
    assert sum(value.nbytes for value in tensors.values()) < len(whole)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "at least 8 bytes"),
        (struct.pack("<Q", 1 << 63), "header of at most"),
        (struct.pack("<Q", 100) + b"{}", "truncated"),
        (build(b"\xff\xfe"), "UTF-8"),
        (build(b"[1]"), "JSON object"),
        (build(b"{" * 100_000), "expected JSON"),
        (build(b'{"a":' * 100_000), "expected JSON"),
        (build(b'{"a": NaN}'), "finite"),
        (build(b'{"a": 1e999}'), "finite"),
        (build(b'{"a": ' + b"9" * 5000 + b"}"), "expected JSON"),
        (build(b'{"a": {}, "a": {}}'), "comes twice"),
        (build({"a": entry()}, b"abc"), "truncated"),
        (build({"a": entry()}, b"abcde"), "trailing"),
        (build({"a": entry(), "b": entry()}, b"abcd"), "starts at byte 0"),
        (build({"a": entry(), "b": entry(span=(2, 6))}, b"abcdef"), "starts at byte 2"),
        (build({"a": entry(span=(4, 8))}, b"abcdefgh"), "starts at byte 4"),
        (build({"a": entry(span=(-4, 0))}, b""), "begin, end"),
        (build({"a": entry(span=(4, 0))}, b"abcd"), "needs 4 bytes"),
        (build({"a": entry(span=(0, 1 << 63))}, b"abcd"), "begin, end"),
        (build({"a": entry(shape=(1 << 40, 1 << 40))}, b"abcd"), "needs"),
        (build({"a": entry(shape=(0, 1 << 40, 1 << 40), span=(0, 0))}), "too large"),
        (build({"a": entry(shape=(1.0,))}, b"abcd"), "shape"),
        (build({"a": entry(shape=(True,))}, b"abcd"), "shape"),
        (build({"a": entry(shape=[1] * 33)}, b"abcd"), "at most 32"),
        (build({"a": entry("BF16", (2,))}, b"abcd"), "BF16"),
        (build({"a": entry(["F32"])}, b"abcd"), "dtype"),
        (build({"a": entry("BOOL", (4,))}, b"abcd"), "booleans"),
        (build({"a": [1]}), "dtype, shape and data_offsets"),
        (build({"a": entry() | {"code": "x"}}, b"abcd"), "dtype, shape and data_offsets"),
        (build({"__metadata__": {"a": 1}}), "strings"),
        (build({"../a": entry()}, b"abcd"), "not a path"),
        (build({"/etc/a": entry()}, b"abcd"), "not a path"),
        (build({"a\\..\\b": entry()}, b"abcd"), "not a path"),
        (build({"": entry()}, b"abcd"), "name of a tensor"),
        (build({"a" * 600: entry()}, b"abcd"), "name of a tensor"),
    ],
)
def test_hostile_bytes_are_refused_in_a_sentence(data, message):
    with pytest.raises(CodecError, match=message):
        decode_tensors(data, "walk/model.safetensors")


@pytest.mark.parametrize(
    "value", [np.zeros(2, complex), np.array(["a"]), np.array([None]), [1.0], np.zeros(2, "M8[s]")]
)
def test_what_the_format_cannot_hold_is_not_written(value):
    with pytest.raises(DTypeError):
        encode_tensors({"a": value})


@pytest.mark.parametrize("name", ["", "/a", "a/../b", "__metadata__", "a\n"])
def test_a_bad_name_is_not_written(name):
    with pytest.raises(InvalidValueError):
        encode_tensors({name: np.zeros(1)})
