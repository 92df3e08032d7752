"""rfx.go2.flight_log: what is recorded is there, in whatever way the recorder ends, and what is not is counted."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from idl_reader import Decoder

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.go2 import topics
from rfx.go2.flight_log import DROPPED, TOPICS, FlightLog, message_of
from rfx.go2.idl_text import idl_text
from rfx.go2.mcap_file import McapWriter
from rfx.go2.mcap_reader import McapReader
from rfx.go2.messages import LowCmd, LowState, Request, Response

WRITER = """
import sys, time
from rfx.go2 import topics
from rfx.go2.flight_log import FlightLog
from rfx.go2.messages import LowState
log = FlightLog(sys.argv[1])
state = LowState()
tick = 0
while True:
    state.tick = tick
    stamp = time.time_ns()
    assert log.record(topics.LOW_STATE, stamp, state.to_cdr())
    sys.stdout.write(f"{stamp}\\n")
    sys.stdout.flush()
    tick += 2
    time.sleep(0.002)
"""


def test_what_is_recorded_is_read_back(tmp_path):
    state, request = LowState(tick=7), Request(parameter="{}")
    with FlightLog(tmp_path / "a.mcap", metadata={"robot": "a"}) as log:
        assert log.record(topics.LOW_STATE, 1, state.to_cdr())
        assert log.record("rt/api/vui/request", 2, request.to_cdr())
    assert log.counts.written == {topics.LOW_STATE: 1, "rt/api/vui/request": 1}
    with McapReader(log.path) as reader:
        assert list(reader) == [(topics.LOW_STATE, 1, state.to_cdr()), ("rt/api/vui/request", 2, request.to_cdr())]
        assert {c.message_encoding for c in reader.channels.values()} == {"cdr"}
        assert reader.channels[0].schema.name == LowState.TYPE_NAME
        assert reader.metadata == {"rfx.flight": {"robot": "a"}}


def test_after_a_kill_the_file_opens_and_misses_at_most_50_ms(tmp_path):
    # A machine that gives the thread no turn for so long loses more: one of three recorders had its turns.
    assert any(missed_ns_after_a_kill(tmp_path / f"{i}.mcap") < 50_000_000 for i in range(3))


def missed_ns_after_a_kill(path):
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    lines = [child.stdout.readline() for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    recorded = [int(line) for line in [*lines, *child.communicate()[0].split()]]
    with McapReader(path) as reader:
        got = list(reader)
        assert not reader.complete
    assert len(got) > 100
    assert [LowState.from_cdr(d).tick for _, _, d in got] == list(range(0, 2 * len(got), 2))
    assert all(LowState.from_cdr(d).crc_ok for _, _, d in got)
    official = pytest.importorskip("mcap.stream_reader")
    exceptions = pytest.importorskip("mcap.exceptions")
    read = []
    with path.open("rb") as file:
        records = official.StreamReader(file, validate_crcs=True).records
        with pytest.raises(exceptions.EndOfFile):
            read.extend(records)
    assert [r.data for r in read if type(r).__name__ == "Message"] == [d for _, _, d in got]
    return max(0, recorded[-1] - got[-1][1])


class SlowDisk(McapWriter):
    """A disk that stands still until it is told to go on."""

    go_on = threading.Event()

    def flush(self, sync=False):
        if self.pending:
            self.go_on.wait(10)
        super().flush(sync)


@pytest.fixture
def slow_disk(monkeypatch):
    SlowDisk.go_on = threading.Event()
    monkeypatch.setattr("rfx.go2.flight_log.McapWriter", SlowDisk)
    yield SlowDisk.go_on
    SlowDisk.go_on.set()


def test_recording_does_not_wait_for_the_disk_and_counts_what_does_not_fit(tmp_path, slow_disk):
    log = FlightLog(tmp_path / "a.mcap", capacity=100)
    data = LowState().to_cdr()
    log.record(topics.LOW_STATE, 0, data)
    while log._waiting:  # until the thread has it, and waits for the disk
        time.sleep(0.001)
    kept = [log.record(topics.LOW_STATE, 1 + i, data) for i in range(150)]
    assert kept == [True] * 100 + [False] * 50
    slow_disk.set()
    counts = log.close()
    assert counts.written == {topics.LOW_STATE: 101}
    assert counts.dropped == {topics.LOW_STATE: 50}
    with McapReader(log.path) as reader:
        assert len(list(reader)) == 101
        assert reader.metadata[DROPPED] == {topics.LOW_STATE: "50"}


class FullDisk(McapWriter):
    """A disk on which nothing is left after the first chunk."""

    def flush(self, sync=False):
        if self.pending and self.messages > 1:
            raise OSError(28, "No space left on device")
        super().flush(sync)


def test_a_full_disk_is_said_and_what_came_before_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("rfx.go2.flight_log.McapWriter", FullDisk)
    log = FlightLog(tmp_path / "a.mcap")
    data = LowState().to_cdr()
    log.record(topics.LOW_STATE, 1, data)
    while not log.counts.written:
        time.sleep(0.001)
    log.record(topics.LOW_STATE, 2, data)
    while log.error is None:
        time.sleep(0.001)
    assert not log.record(topics.LOW_STATE, 3, data)
    with pytest.raises(InvalidStateError, match=r"after 1 messages, 2 are lost: .*No space left"):
        log.close()
    assert list(McapReader(log.path)) == [(topics.LOW_STATE, 1, data)]


def test_racing_threads_lose_nothing(tmp_path):
    data = LowCmd().to_cdr()
    with FlightLog(tmp_path / "a.mcap") as log:

        def work(thread):
            for i in range(500):
                assert log.record(topics.LOW_CMD, thread * 1000 + i, data)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    times = {time_ns for _, time_ns, _ in McapReader(log.path)}
    assert times == {n * 1000 + i for n in range(4) for i in range(500)}


def test_what_cannot_be_recorded_is_refused(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        with pytest.raises(ConfigError, match="rt/other"):
            log.record("rt/other", 0, b"")
        with pytest.raises(DTypeError):
            log.record(topics.LOW_STATE, 0, "text")
        with pytest.raises(InvalidValueError):
            log.record(topics.LOW_STATE, -1, b"")
    with pytest.raises(InvalidStateError):
        log.record(topics.LOW_STATE, 0, b"")
    assert log.close().written.total() == 0


def test_an_error_in_the_block_still_closes_the_file(tmp_path):
    def fly():
        with FlightLog(tmp_path / "a.mcap") as log:
            log.record(topics.LOW_STATE, 0, b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fly()
    assert McapReader(tmp_path / "a.mcap").complete


def test_a_flush_later_than_the_promise_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match="flush_s"):
        FlightLog(tmp_path / "a.mcap", flush_s=0.1)
    assert not (tmp_path / "a.mcap").exists()


def test_every_service_has_a_message_and_nothing_else_does():
    assert message_of("rt/api/obstacles_avoid/response") is Response
    for topic in ("rt/api/sport/other", "lowstate", "api/x/request", ""):
        with pytest.raises(ConfigError):
            message_of(topic)


def plain(value):
    """Return one of our messages as dictionaries and lists."""
    if isinstance(value, Request | Response):
        return {"header": plain(value.header), value.TEXT: getattr(value, value.TEXT), "binary": list(value.binary)}
    if hasattr(value, "LAYOUT"):
        return {name: plain(getattr(value, name)) for name in value.LAYOUT.fields}
    return value if isinstance(value, int | float | bool) else [plain(v) for v in value]


@pytest.mark.parametrize("message", sorted(set(TOPICS.values()), key=lambda m: m.TYPE_NAME))
def test_the_definition_alone_is_enough_to_decode(message):
    if issubclass(message, Request | Response):
        made = message(text_header(message), '{"x": 1}', b"\x01\x02\x03")
    else:
        made = message.from_cdr(b"\x00\x01\x00\x00" + bytes(i % 63 for i in range(message.CDR_SIZE - 4)))
    decoder = Decoder(idl_text(message), made.to_cdr())
    assert decoder.value(message.TYPE_NAME) == plain(made)
    assert len(decoder.data) - decoder.at < 4


def text_header(message):
    header = message.HEADER()
    header.identity.id, header.identity.api_id = -5, 1004
    return header
