"""rfx.go2.mcap_file and mcap_reader: our files, and the official reader and writer as the other side."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.go2.mcap_file import MAGIC, McapWriter
from rfx.go2.mcap_reader import McapReader

MESSAGES = [("a", 10, b"one"), ("b", 20, b""), ("a", 30, b"three" * 4), ("b", 25, b"\0" * 7)]


def write(path, messages, every=2):
    channels = {}
    with McapWriter(path, profile="test") as writer:
        for i, (topic, time_ns, data) in enumerate(messages):
            if topic not in channels:
                channels[topic] = writer.add_channel(
                    topic,
                    message_encoding="cdr",
                    schema_name=f"type::{topic}",
                    schema_encoding="omgidl",
                    schema=b"struct",
                    metadata={"k": "v"},
                )
            writer.add(channels[topic], time_ns, data)
            if i % every == every - 1:
                writer.flush()
        writer.add_metadata("flight", {"robot": "Go2", "where": "Zürich"})
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.mcap", MESSAGES)


def test_what_was_written_is_read(path):
    with McapReader(path) as reader:
        assert (reader.complete, reader.indexed, reader.message_count) == (True, True, 4)
        assert list(reader) == MESSAGES
        assert [m.sequence for m in reader.messages()] == [0, 0, 1, 1]
        assert reader.channels[0].schema.name == "type::a"
        assert reader.channels[0].metadata == {"k": "v"}
        assert reader.damage == []
        assert reader.profile == "test"


def test_times_and_topics_are_chosen(path):
    with McapReader(path) as reader:
        assert [m.time_ns for m in reader.messages(["a"])] == [10, 30]
        assert [m.time_ns for m in reader.messages("b", first_ns=21)] == [25]
        assert [m.time_ns for m in reader.messages(first_ns=20, last_ns=25)] == [20, 25]
        assert list(reader.messages(["none"])) == []


def test_an_index_spares_reading_the_other_chunks(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mcap", [("a", i, b"x" * 1000) for i in range(100)], every=10)
    with McapReader(path) as reader:
        read = []
        whole = reader._at
        monkeypatch.setattr(reader, "_at", lambda at, n: read.append(n) or whole(at, n))
        assert len(list(reader.messages(first_ns=95))) == 5
        assert sum(read) < 12_000


def test_a_file_without_messages_is_complete(tmp_path):
    with McapReader(write(tmp_path / "a.mcap", [])) as reader:
        assert reader.complete
        assert list(reader) == []
        assert reader.metadata == {"flight": {"robot": "Go2", "where": "Zürich"}}


def test_a_file_that_is_there_is_not_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="not overwritten"):
        McapWriter(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        McapWriter(tmp_path / "none" / "a.mcap")
    with pytest.raises(ConfigError, match="cannot be read"):
        McapReader(tmp_path / "none")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1, 0, b""), ConfigError),
        ((0, -1, b""), InvalidValueError),
        ((0, 2**64, b""), InvalidValueError),
        ((0, 0, "text"), DTypeError),
    ],
)
def test_a_bad_message_is_refused_and_leaves_the_file_as_it_was(tmp_path, arguments, error):
    with McapWriter(tmp_path / "a.mcap") as writer:
        writer.add_channel("a", message_encoding="cdr")
        with pytest.raises(error):
            writer.add(*arguments)
        assert (writer.messages, writer.pending) == (0, 0)


def test_a_closed_writer_takes_no_more(tmp_path):
    writer = McapWriter(tmp_path / "a.mcap")
    channel = writer.add_channel("a", message_encoding="cdr")
    writer.close()
    writer.close()
    writer.add(channel, 0, b"x")
    with pytest.raises(InvalidStateError):
        writer.flush()


def test_every_cut_leaves_a_prefix_of_the_messages(path):
    whole = path.read_bytes()
    longest = 0
    for n in range(len(whole)):
        try:
            reader = McapReader(whole[:n])
        except CodecError:
            assert n < 60
            continue
        got = list(reader)
        assert got == MESSAGES[: len(got)]
        assert not reader.complete
        assert reader.torn
        assert reader.damage == []
        assert len(got) >= longest
        longest = len(got)
    assert longest == len(MESSAGES)


def test_every_flipped_bit_is_survived_and_never_changes_a_message(path):
    whole = bytearray(path.read_bytes())
    octets = {data for _, _, data in MESSAGES}
    for i in range(len(whole)):
        for bit in range(8):
            whole[i] ^= 1 << bit
            try:
                got = list(McapReader(bytes(whole)))
            except CodecError:
                assert i < 60
            else:
                assert {data for _, _, data in got} <= octets
            whole[i] ^= 1 << bit


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(junk, ends):
    whole = MAGIC + b"\x01" + struct.pack("<Q", 8) + bytes(8) + junk + (MAGIC if ends else b"")
    assert all(isinstance(data, bytes) for _, _, data in McapReader(whole))


def test_a_forged_length_is_named_and_not_believed(path):
    whole = path.read_bytes()
    forged = whole[:40] + b"\x06" + struct.pack("<Q", 2**63)
    at = MAGIC + b"\x01" + struct.pack("<Q", 8) + bytes(8)
    reader = McapReader(at + forged[40:])
    assert list(reader) == []
    assert "9223372036854775808 octets said, 0 left" in reader.torn


def test_a_closed_reader_gives_nothing(path):
    reader = McapReader(path)
    reader.close()
    reader.close()
    with pytest.raises(InvalidStateError):
        list(reader)


def test_two_iterations_at_once_do_not_disturb_each_other(path):
    with McapReader(path) as reader:
        assert list(zip(reader, reader, strict=True)) == [(m, m) for m in MESSAGES]


def test_a_damaged_chunk_is_left_out_and_named(path):
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"one")] ^= 1
    reader = McapReader(bytes(whole))
    assert list(reader) == MESSAGES[2:]
    assert "wrong CRC" in reader.damage[0]


def test_a_wrong_summary_is_not_used(path):
    whole = bytearray(path.read_bytes())
    whole[-60] ^= 1
    reader = McapReader(bytes(whole))
    assert not reader.indexed
    assert "summary" in reader.damage[0]
    assert list(reader) == MESSAGES


def test_the_official_reader_reads_ours(path):
    official = pytest.importorskip("mcap.reader")
    with path.open("rb") as file:
        reader = official.make_reader(file, validate_crcs=True)
        assert [(c.topic, m.log_time, m.data) for _, c, m in reader.iter_messages(log_time_order=False)] == MESSAGES
        assert [m.log_time for _, _, m in reader.iter_messages()] == [10, 20, 25, 30]
        summary = reader.get_summary()
        assert summary.statistics.message_count == 4
        assert summary.statistics.channel_message_counts == {0: 2, 1: 2}
        assert (summary.statistics.message_start_time, summary.statistics.message_end_time) == (10, 30)
        assert len(summary.chunk_indexes) == summary.statistics.chunk_count == 2
        assert {s.encoding for s in summary.schemas.values()} == {"omgidl"}
        assert [m.metadata for m in reader.iter_metadata()] == [{"robot": "Go2", "where": "Zürich"}]


def test_the_official_reader_from_the_front_checks_every_crc(path):
    official = pytest.importorskip("mcap.stream_reader")
    with path.open("rb") as file:
        records = list(official.StreamReader(file, validate_crcs=True).records)
    assert [r.data for r in records if type(r).__name__ == "Message"] == [data for _, _, data in MESSAGES]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_file_of_the_official_writer_is_read(chunked):
    official = pytest.importorskip("mcap.writer")
    out = io.BytesIO()
    writer = official.Writer(out, compression=official.CompressionType.NONE, use_chunking=chunked)
    writer.start(profile="x")
    schema = writer.register_schema("s", "omgidl", b"struct")
    channels = {t: writer.register_channel(t, "cdr", schema) for t in "ab"}
    for topic, time_ns, data in MESSAGES:
        writer.add_message(channels[topic], time_ns, data, time_ns + 1)
    writer.finish()
    reader = McapReader(out.getvalue())
    assert list(reader) == MESSAGES
    assert [m.publish_ns for m in reader.messages()] == [11, 21, 31, 26]
    assert reader.indexed is chunked
    assert reader.damage == []


def test_a_compressed_chunk_is_named(path):
    official = pytest.importorskip("mcap.writer")
    pytest.importorskip("zstandard")
    out = io.BytesIO()
    writer = official.Writer(out, compression=official.CompressionType.ZSTD)
    writer.start()
    writer.add_message(writer.register_channel("a", "cdr", 0), 1, b"x", 1)
    writer.finish()
    reader = McapReader(out.getvalue())
    assert list(reader) == []
    assert "'zstd'" in reader.damage[0]
