"""Writing and reading a flight log (low-level states, uncompressed chunks with CRC) against the mcap package."""

import io
import time

import pytest

from rfx.go2 import topics
from rfx.go2.flight_log import FlightLog
from rfx.go2.mcap_file import McapWriter
from rfx.go2.mcap_reader import McapReader
from rfx.go2.messages import LowState

N = 5_000  # ten seconds of a robot
DATA = [LowState(tick=2 * i).to_cdr() for i in range(N)]
PER_CHUNK = 20


def write_ours(path):
    path.unlink(missing_ok=True)
    with McapWriter(path) as writer:
        channel = writer.add_channel("a", message_encoding="cdr", schema_name="s", schema_encoding="omgidl")
        for i, data in enumerate(DATA):
            writer.add(channel, 2_000_000 * i, data)
            if i % PER_CHUNK == PER_CHUNK - 1:
                writer.flush()


def write_theirs(path):
    theirs = pytest.importorskip("mcap.writer")
    with path.open("wb") as file:
        size = PER_CHUNK * (len(DATA[0]) + 31)
        writer = theirs.Writer(file, chunk_size=size, compression=theirs.CompressionType.NONE)
        writer.start()
        channel = writer.register_channel("a", "cdr", writer.register_schema("s", "omgidl", b""))
        for i, data in enumerate(DATA):
            writer.add_message(channel, 2_000_000 * i, data, 2_000_000 * i)
        writer.finish()


def read_ours(raw):
    return [data for _, _, data in McapReader(raw)]


def read_theirs(raw):
    theirs = pytest.importorskip("mcap.reader")
    reader = theirs.make_reader(io.BytesIO(raw), validate_crcs=True)
    return [message.data for _, _, message in reader.iter_messages(log_time_order=False)]


@pytest.mark.parametrize("write", [write_ours, write_theirs])
@pytest.mark.benchmark(group="mcap write")
def test_write(benchmark, tmp_path, write):
    path = tmp_path / "a.mcap"
    write(path)
    assert read_theirs(path.read_bytes()) == DATA
    benchmark.pedantic(write, (path,), rounds=30, warmup_rounds=2)


@pytest.mark.parametrize("read", [read_ours, read_theirs])
@pytest.mark.benchmark(group="mcap read")
def test_read(benchmark, tmp_path, read):
    write_ours(tmp_path / "a.mcap")
    raw = (tmp_path / "a.mcap").read_bytes()
    assert read(raw) == DATA
    benchmark.pedantic(read, (raw,), rounds=30, warmup_rounds=2)


@pytest.mark.benchmark(group="flight log: what recording one message costs its caller")
def test_record(benchmark, tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        log.record(topics.LOW_STATE, 0, DATA[0])

        def rest():  # let the thread empty the queue
            time.sleep(0.03)
            return (topics.LOW_STATE, time.time_ns(), DATA[0]), {}

        benchmark.pedantic(log.record, setup=rest, rounds=50)
