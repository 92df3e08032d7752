"""Writing MCAP, the container that Foxglove and the robot tools open.

A file is magic, header, data, summary, footer, magic; everything between the magics is a record: one octet of opcode, a
u64 length, the content; all numbers are little-endian (source: the MCAP specification, version 0). Messages stand in
uncompressed chunks with a CRC-32 each, so that whatever was written before the process died can be read and is known
to be right.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rfx import arrays
from rfx._version import __version__
from rfx.errors import ConfigError, DTypeError, InvalidStateError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
RECORD = struct.Struct("<BQ")
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
CHUNK_HEAD = struct.Struct("<QQQI")  # first and last time, size and CRC of the uncompressed records
PAIR = struct.Struct("<QQ")
FOOTER_BODY = struct.Struct("<QQI")
FOOTER_SIZE = RECORD.size + FOOTER_BODY.size
MOST_TIME = 2**64 - 1
MOST_CHUNK = 1 << 20  # octets after which a chunk is closed


def record(opcode: int, content: bytes) -> bytes:
    """Return a record's bytes."""
    return RECORD.pack(opcode, len(content)) + content


def text(value: str) -> bytes:
    """Return a string as MCAP has it: its length, its UTF-8."""
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def blob(raw: bytes) -> bytes:
    """Return octets with their u32 length."""
    return struct.pack("<I", len(raw)) + raw


def table(pairs: Mapping[str, str]) -> bytes:
    """Return a map from text to text."""
    return blob(b"".join(text(k) + text(v) for k, v in pairs.items()))


class McapWriter:
    """Write one MCAP file; not safe from several threads.

    Messages are gathered in memory until :meth:`flush`, which gives a whole chunk to the operating system in one call.

    Parameters
    ----------
    path : str or os.PathLike
        The file; one that is there already is never overwritten.
    profile : str
        Name of the conventions that the file follows, or nothing.

    Raises
    ------
    ConfigError
        The file exists, or cannot be made there.
    """

    def __init__(self, path: str | os.PathLike[str], profile: str = "") -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 - closed by close()
        except FileExistsError as error:
            raise ConfigError(f"{self.path} is there already and is not overwritten") from error
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}") from error
        self.messages = 0
        self._size = 0
        self._crc = 0
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: list[bytes] = []
        self._schema_records: list[bytes] = []
        self._counts: list[int] = []
        self._span = (MOST_TIME, 0)
        self._chunks = 0
        self._chunk_index = bytearray()
        self._metadata = 0
        self._metadata_index = bytearray()
        self._buffer = bytearray()
        self._places: dict[int, bytearray] = {}
        self._chunk_span = (MOST_TIME, 0)
        self._write(MAGIC + record(HEADER, text(profile) + text(f"rfx {__version__}")))

    def __repr__(self) -> str:
        state = "closed" if self._file.closed else f"{self._size} octets"
        return f"McapWriter({str(self.path)!r}, messages={self.messages}, {state})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Octets that :meth:`flush` would write."""
        return len(self._buffer)

    def _write(self, data: bytes) -> None:
        if self._file.closed:
            raise InvalidStateError(f"{self!r} takes no more")
        view = memoryview(data)
        while view:
            n = self._file.write(view)
            self._size += n
            self._crc = zlib.crc32(view[:n], self._crc)
            view = view[n:]

    def add_channel(
        self,
        topic: str,
        *,
        message_encoding: str,
        schema_name: str = "",
        schema_encoding: str = "",
        schema: bytes = b"",
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Announce a topic, and its schema if it has a name; returns the number for :meth:`add`."""
        schema_id = 0
        key = (schema_name, schema_encoding, bytes(schema))
        if schema_name:
            schema_id = self._schemas.setdefault(key, len(self._schemas) + 1)
            if schema_id > len(self._schema_records):
                body = struct.pack("<H", schema_id) + text(schema_name) + text(schema_encoding) + blob(key[2])
                self._schema_records.append(record(SCHEMA, body))
                self._write(self._schema_records[-1])
        channel = len(self._channels)
        if channel > 0xFFFF:
            raise ConfigError("expected at most 65536 channels in a file")
        body = struct.pack("<HH", channel, schema_id) + text(topic) + text(message_encoding) + table(metadata or {})
        self._channels.append(record(CHANNEL, body))
        self._counts.append(0)
        self._write(self._channels[-1])
        return channel

    def add(self, channel: int, time_ns: int, data: bytes, publish_ns: int | None = None) -> None:
        """Put a message into the present chunk; times are nanoseconds of any one clock."""
        if not 0 <= channel < len(self._channels):
            raise ConfigError(f"expected a channel below {len(self._channels)}, got {channel}")
        time_ns = _time(time_ns, "time_ns")
        published = time_ns if publish_ns is None else _time(publish_ns, "publish_ns")
        if not isinstance(data, bytes):
            raise DTypeError(f"expected data to be bytes, got {type(data).__name__}")
        sequence = self._counts[channel] & 0xFFFFFFFF
        self._places.setdefault(channel, bytearray()).extend(PAIR.pack(time_ns, len(self._buffer)))
        self._buffer += RECORD.pack(MESSAGE, MESSAGE_HEAD.size + len(data))
        self._buffer += MESSAGE_HEAD.pack(channel, sequence, time_ns, published) + data
        self._chunk_span = (min(self._chunk_span[0], time_ns), max(self._chunk_span[1], time_ns))
        self._counts[channel] += 1
        self.messages += 1
        if len(self._buffer) >= MOST_CHUNK:
            self.flush()

    def flush(self, sync: bool = False) -> None:
        """Give the present chunk to the operating system; with ``sync`` to the disk as well."""
        if self._buffer:
            body, span, places = bytes(self._buffer), self._chunk_span, self._places
            self._buffer, self._chunk_span, self._places = bytearray(), (MOST_TIME, 0), {}
            head = CHUNK_HEAD.pack(*span, len(body), zlib.crc32(body)) + text("") + struct.pack("<Q", len(body))
            chunk = record(CHUNK, head + body)
            start, at, offsets, indexes = self._size, self._size + len(chunk), bytearray(), bytearray()
            for channel, pairs in places.items():
                offsets += struct.pack("<HQ", channel, at + len(indexes))
                indexes += record(MESSAGE_INDEX, struct.pack("<H", channel) + blob(bytes(pairs)))
            self._write(chunk + bytes(indexes))
            where = struct.pack("<QQQQ", *span, start, len(chunk)) + blob(bytes(offsets))
            sizes = struct.pack("<Q", len(indexes)) + text("") + PAIR.pack(len(body), len(body))
            self._chunk_index += record(CHUNK_INDEX, where + sizes)
            self._chunks += 1
            self._span = (min(self._span[0], span[0]), max(self._span[1], span[1]))
        if sync:
            os.fsync(self._file.fileno())

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Write a named table of text."""
        self.flush()
        made = record(METADATA, text(name) + table(pairs))
        self._metadata_index += record(METADATA_INDEX, PAIR.pack(self._size, len(made)) + text(name))
        self._metadata += 1
        self._write(made)

    def close(self) -> None:
        """Write what is pending, the summary and the footer; calling it again does nothing."""
        if self._file.closed:
            return
        try:
            self.flush()
            self._write(record(DATA_END, struct.pack("<I", self._crc)))
            self._write_summary()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, without a summary: what was flushed can be read."""
        self._file.close()

    def _write_summary(self) -> None:
        span = self._span if self._chunks else (0, 0)
        counts = b"".join(struct.pack("<HQ", i, n) for i, n in enumerate(self._counts) if n)
        numbers = (self.messages, len(self._schema_records), len(self._channels), 0, self._metadata, self._chunks)
        groups = (
            (SCHEMA, b"".join(self._schema_records)),
            (CHANNEL, b"".join(self._channels)),
            (STATISTICS, record(STATISTICS, struct.pack("<QHIIIIQQ", *numbers, *span) + blob(counts))),
            (CHUNK_INDEX, bytes(self._chunk_index)),
            (METADATA_INDEX, bytes(self._metadata_index)),
        )
        start = self._size
        summary, offsets = bytearray(), bytearray()
        for opcode, group in groups:
            if group:
                offsets += record(SUMMARY_OFFSET, struct.pack("<BQQ", opcode, start + len(summary), len(group)))
            summary += group
        tail = RECORD.pack(FOOTER, FOOTER_BODY.size) + PAIR.pack(start, start + len(summary))
        whole = bytes(summary + offsets) + tail
        self._write(whole + struct.pack("<I", zlib.crc32(whole)) + MAGIC)


def _time(value: int, name: str) -> int:
    return arrays.integer(value, name, minimum=0, maximum=MOST_TIME)
