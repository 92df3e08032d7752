"""The codec against cyclonedds' own serializer, and against bytes that are not messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import CodecError, DTypeError
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState, WirelessController
from rfx.go2.rpc import Envelope

idl = pytest.importorskip("rfx.go2.backends.idl", exc_type=ImportError)

FIXED = [LowCmd, LowState, SportModeState, WirelessController]
ALL = [*FIXED, Request, Response]


def random_message(cls, rng):
    """Every field random: any bit pattern of every number, NaN left out (it is not equal to itself)."""
    if issubclass(cls, Envelope):
        header = random_message(cls.HEADER, rng)
        text = "".join(chr(c) for c in rng.choice([65, 0xE4, 0x4E2D, 0x1F600], rng.integers(0, 40)))
        return cls(header, text, rng.bytes(rng.integers(0, 50)))
    message = cls()
    for name, field in cls.LAYOUT.fields.items():
        if isinstance(field.kind, type):
            if field.count:
                for i in range(field.count):
                    getattr(message, name)[i] = random_message(field.kind, rng)
            else:
                setattr(message, name, random_message(field.kind, rng))
        else:
            values = [random_number(field.kind, rng) for _ in range(max(1, field.count))]
            setattr(message, name, values if field.count else values[0])
    return message


def random_number(kind, rng):
    if kind == "f32":
        return float(np.nan_to_num(np.frombuffer(rng.bytes(4), np.float32)[0]))
    if kind == "bool":
        return bool(rng.integers(2))
    dtype = np.dtype({"u": "uint", "i": "int"}[kind[0]] + kind[1:])
    return int(np.frombuffer(rng.bytes(dtype.itemsize), dtype)[0])


def unsealed(message):
    return message.to_cdr(seal=False) if hasattr(message, "seal") else message.to_cdr()


@pytest.mark.parametrize("cls", ALL)
def test_our_bytes_are_cyclonedds_bytes(cls):
    rng = np.random.default_rng(7)
    for _ in range(300 if cls in (LowCmd, LowState) else 1000):
        message = random_message(cls, rng)
        assert unsealed(message) == idl.to_idl(message).serialize(use_version_2=False)


@pytest.mark.parametrize("cls", ALL)
def test_we_read_what_cyclonedds_wrote_and_the_other_way_round(cls):
    rng = np.random.default_rng(8)
    for _ in range(100):
        message = random_message(cls, rng)
        assert idl.from_idl(cls, idl.to_idl(message)) == message
        assert idl.to_idl(message) == idl.idl_class(cls).deserialize(unsealed(message))


@pytest.mark.parametrize("cls", ALL)
def test_type_names_are_unitrees(cls):
    assert idl.idl_class(cls).__idl__.idl_transformed_typename == cls.TYPE_NAME


def test_octets_are_announced_as_bytes():
    """An announced uint8 ends every cyclonedds 0.10 peer."""
    from cyclonedds.idl import types

    hints = idl.idl_class(LowCmd).__annotations__
    assert hints["gpio"] is types.byte
    assert hints["head"] == types.array[types.byte, 2]
    assert "uint8" not in repr([idl.idl_class(c).__annotations__ for c in ALL])


def big_endian(cls, message):
    """The same message from a big-endian sender, written from the field list, a number at a time."""
    out = bytearray()

    def put(kind, value):
        dtype = np.dtype({"f32": ">f4", "bool": "u1"}.get(kind, {"u": ">u", "i": ">i"}[kind[0]] + kind[1:].lstrip("0")
                         if kind not in ("f32", "bool") else "u1"))  # fmt: skip
        return np.array([value], dtype).tobytes()

    def write(struct):
        for name, field in type(struct).LAYOUT.fields.items():
            value = getattr(struct, name)
            for item in value if field.count else [value]:
                if isinstance(field.kind, type):
                    write(item)
                else:
                    raw = put(SIZED.get(field.kind, field.kind), item)
                    out.extend(bytes(-len(out) % len(raw)) + raw)

    write(message)
    return b"\x00\x00\x00\x00" + bytes(out)


SIZED = {"u8": "u1", "u16": "u2", "u32": "u4", "i16": "i2", "i32": "i4", "i64": "i8"}


@pytest.mark.parametrize("cls", FIXED)
def test_big_endian_bytes_are_read(cls):
    rng = np.random.default_rng(9)
    for _ in range(20):
        message = random_message(cls, rng)
        assert cls.from_cdr(big_endian(cls, message)) == message


@pytest.mark.parametrize("cls", FIXED)
def test_every_other_length_is_refused(cls):
    data = unsealed(cls())
    padded = (len(data) + 3) // 4 * 4
    for n in [*range(len(data)), *range(len(data) + 1, len(data) + 20)]:
        if n == padded:
            continue
        with pytest.raises(CodecError, match=f"expected {cls.__name__}"):
            cls.from_cdr((data + bytes(20))[:n])


@pytest.mark.parametrize("cls", [Request, Response])
def test_every_truncation_of_a_call_is_refused(cls):
    data = cls(None, "hello", b"world").to_cdr()
    for n in range(len(data)):
        with pytest.raises(CodecError, match=cls.__name__):
            cls.from_cdr(data[:n])
    with pytest.raises(CodecError):
        cls.from_cdr(data + bytes(4))


@pytest.mark.parametrize("header", [b"\x00\x02\x00\x00", b"\x01\x01\x00\x00", b"\x00\x0b\x00\x00", b"\xff\xff\xff\xff"])
def test_other_encodings_are_refused(header):
    with pytest.raises(CodecError, match="header"):
        LowState.from_cdr(header + bytes(1176))


@pytest.mark.parametrize("bad", ["text", None, 5, [1, 2]])
def test_what_is_not_bytes_is_refused(bad):
    with pytest.raises(DTypeError, match="bytes"):
        LowState.from_cdr(bad)


def test_a_refused_update_leaves_the_message_as_it_was():
    state = LowState(tick=77)
    with pytest.raises(CodecError):
        state.update_from_cdr(bytes(1179))
    assert state.tick == 77


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)])
def test_any_kind_of_buffer_is_read(kind):
    state = LowState(tick=5)
    assert LowState.from_cdr(kind(state.to_cdr())).tick == 5


def test_a_bool_must_be_0_or_1():
    data = bytearray(Request(parameter="x").to_cdr())
    data[4 + 28] = 2
    with pytest.raises(CodecError, match="bool"):
        Request.from_cdr(data)


@pytest.mark.parametrize(
    ("text", "word"),
    [(b"abc", "NUL"), (b"a\0c\0", "NUL"), (b"\xff\xfe\0", "UTF-8"), (b"", "NUL")],
)
def test_a_malformed_string_is_refused(text, word):
    data = Request().header.to_cdr() + bytes(3) + len(text).to_bytes(4, "little") + text
    data += bytes(-len(data) % 4) + bytes(4)
    with pytest.raises(CodecError, match=word):
        Request.from_cdr(data)


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF, 1000])
def test_a_length_beyond_the_end_is_refused(claim):
    data = bytearray(Request(parameter="abc", binary=b"12345678").to_cdr())
    at = data.index(b"abc") - 4
    data[at : at + 4] = claim.to_bytes(4, "little")
    with pytest.raises(CodecError, match="octets"):
        Request.from_cdr(data)


@settings(max_examples=300)
@given(st.sampled_from(ALL), st.binary(max_size=1300))
def test_arbitrary_bytes_give_a_message_or_a_codec_error(cls, data):
    try:
        message = cls.from_cdr(data)
    except CodecError:
        return
    cls.from_cdr(unsealed(message))


def test_twenty_thousand_corrupted_messages_do_no_harm():
    rng = np.random.default_rng(10)
    seeds = [(cls, unsealed(random_message(cls, rng))) for cls in ALL for _ in range(5)]
    read = 0
    for i in range(20_000):
        cls, good = seeds[i % len(seeds)]
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.integers(4) == 0:
            del data[rng.integers(len(data)) :]
        try:
            cls.from_cdr(data)
            read += 1
        except CodecError:
            pass
    assert 1000 < read < 19_000
