"""Reading MCAP: by the index where there is a sound one, else from the front to wherever the file ends.

Nothing in the file is believed: every length is compared with what is left, every CRC that is there is computed. What
is not right is named in ``damage`` and ``torn`` and left out, and what is right before and after it is given.
"""

import io
import os
import struct
import threading
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from rfx.errors import CodecError, ConfigError, InvalidStateError
from rfx.go2.mcap_file import (
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    CHUNK_INDEX,
    DATA_END,
    FOOTER,
    FOOTER_BODY,
    FOOTER_SIZE,
    HEADER,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    METADATA,
    METADATA_INDEX,
    MOST_TIME,
    PAIR,
    RECORD,
    SCHEMA,
    STATISTICS,
)

MOST_FINDINGS = 100
_WANTED = {SCHEMA, CHANNEL, MESSAGE, CHUNK, METADATA}


class LogMessage(NamedTuple):
    """A message: times in ns of the recorder's clock, ``sequence`` counts per topic from 0."""

    topic: str
    time_ns: int
    data: bytes
    publish_ns: int
    sequence: int


@dataclass(frozen=True)
class LogSchema:
    """What a topic's messages look like."""

    name: str
    encoding: str
    data: bytes


@dataclass(frozen=True)
class LogChannel:
    """A topic, how its messages are encoded, and its schema (None where it has none)."""

    topic: str
    message_encoding: str
    schema: LogSchema | None
    metadata: dict[str, str]


class _Place(NamedTuple):
    first_ns: int
    last_ns: int
    start: int
    length: int
    channels: frozenset[int]


class _Fields:
    """Takes one field after the other from a record; CodecError where it is too short."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise CodecError(f"a field of {n} octets where {len(self.data) - self.at} are left")
        self.at += n
        return self.data[self.at - n : self.at]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def blob(self) -> bytes:
        (n,) = self.unpack(_U32)
        return self.take(n)

    def text(self) -> str:
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"text that is not UTF-8 ({error.reason})") from error

    def table(self) -> dict[str, str]:
        inner, made = _Fields(self.blob()), {}
        while inner.at < len(inner.data):
            key = inner.text()
            made[key] = inner.text()
        return made


_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_TWO = struct.Struct("<HH")
_FOUR = struct.Struct("<QQQQ")


class McapReader:
    """Read an MCAP file whose chunks are not compressed, whole or torn.

    Parameters
    ----------
    source : str, os.PathLike or bytes
        The file, or what is in it.

    Attributes
    ----------
    complete : bool
        Whether the file ends as it should; False after a crash of the writer.
    indexed : bool
        Whether a sound index was found, so that times and topics that are not asked for are not read.
    torn : str
        Once it was read to there: where the file ends before its time; nothing if it does not.
    damage : list of str
        What else was wrong with the file, as far as it has been read; at most 100 entries.
    channels, metadata : dict
        What has been read so far: by the channel's number, by the table's name.

    Raises
    ------
    CodecError
        It is no MCAP file.
    ConfigError
        It cannot be opened.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self._lock = threading.Lock()
        self._name = "bytes" if isinstance(source, bytes) else os.fspath(source)
        try:
            self._file: Any = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"{self._name} cannot be read: {error.strerror}") from error
        self._size = self._file.seek(0, io.SEEK_END)
        self.channels: dict[int, LogChannel] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.damage: list[str] = []
        self.torn = ""
        self.message_count: int | None = None
        self._schemas: dict[int, LogSchema] = {}
        try:
            self.profile, self.library = self._header()
        except CodecError:
            self._file.close()
            raise
        self.complete = False
        self._index = self._summary()

    def __repr__(self) -> str:
        kind = "indexed" if self.indexed else "complete" if self.complete else "torn"
        return f"McapReader({self._name!r}, {self._size} octets, {kind})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._file.close()

    @property
    def indexed(self) -> bool:
        """Whether a sound index was found."""
        return bool(self._index)

    def __iter__(self) -> Iterator[tuple[str, int, bytes]]:
        """Go through (topic, time in ns, octets) of every message, in the order of the file."""
        return ((m.topic, m.time_ns, m.data) for m in self.messages())

    def messages(
        self, topics: Collection[str] | None = None, first_ns: int = 0, last_ns: int = MOST_TIME
    ) -> Iterator[LogMessage]:
        """Go through the messages of some topics (all by default) with first_ns <= time_ns <= last_ns."""
        wanted = None if topics is None else {topics} if isinstance(topics, str) else set(topics)
        for message in self._all(wanted, first_ns, last_ns):
            if first_ns <= message.time_ns <= last_ns and (wanted is None or message.topic in wanted):
                yield message

    # -- where things are

    def _at(self, offset: int, n: int) -> bytes:
        with self._lock:
            if self._file.closed:
                raise InvalidStateError(f"{self!r} is closed")
            self._file.seek(offset)
            data = self._file.read(n)
        if len(data) != n:
            raise CodecError(f"{n} octets at {offset} where {len(data)} are left")
        return data

    def _found(self, what: str) -> None:
        if len(self.damage) < MOST_FINDINGS and what not in self.damage:
            self.damage.append(what)

    def _header(self) -> tuple[str, str]:
        start = self._at(0, min(len(MAGIC), self._size))
        if start != MAGIC:
            raise CodecError(f"expected {self._name} to be an MCAP file, it begins with {start!r}")
        try:
            opcode, length = RECORD.unpack(self._at(len(MAGIC), RECORD.size))
            if opcode != HEADER or length > self._size - len(MAGIC) - RECORD.size:
                raise CodecError(f"record {opcode} of {length} octets")
            fields = _Fields(self._at(len(MAGIC) + RECORD.size, length))
            return fields.text(), fields.text()
        except CodecError as error:
            raise CodecError(f"expected {self._name} to have a header: {error}") from error

    def _summary(self) -> list[_Place]:
        end = self._size - FOOTER_SIZE - len(MAGIC)
        if end < len(MAGIC) or self._at(self._size - len(MAGIC), len(MAGIC)) != MAGIC:
            return []
        tail = self._at(end, FOOTER_SIZE)
        if RECORD.unpack_from(tail) != (FOOTER, FOOTER_BODY.size):
            return []
        self.complete = True
        start, _, crc = FOOTER_BODY.unpack_from(tail, RECORD.size)
        if start == 0:
            return []
        if not len(MAGIC) <= start <= end:
            self._found(f"the footer says that the summary is at {start}")
            return []
        body = self._at(start, end - start)
        if crc and zlib.crc32(tail[:-4], zlib.crc32(body)) != crc:
            self._found("the summary's CRC is wrong")
            return []
        places: list[_Place] = []
        try:
            for opcode, content in _records(body):
                self._keep(opcode, content)
                if opcode == CHUNK_INDEX:
                    places.append(self._place(_Fields(content), start))
                elif opcode == METADATA_INDEX:
                    at, length = _Fields(content).unpack(PAIR)
                    self._fetch_table(at, length, start)
                elif opcode == STATISTICS:
                    (self.message_count,) = _Fields(content).unpack(_U64)
        except CodecError as error:
            self._found(f"the summary: {error}")
            return []
        return sorted(places, key=lambda place: place.start)

    def _fetch_table(self, at: int, length: int, limit: int) -> None:
        if length < RECORD.size or at > limit or length > limit - at:
            raise CodecError(f"a table of {length} octets at {at}")
        made = self._at(at, length)
        if RECORD.unpack_from(made) != (METADATA, length - RECORD.size):
            raise CodecError(f"no table of {length} octets at {at}")
        self._keep(METADATA, made[RECORD.size :])

    def _place(self, fields: _Fields, limit: int) -> _Place:
        first, last, start, length = fields.unpack(_FOUR)
        if start > limit or length > limit - start:
            raise CodecError(f"a chunk of {length} octets at {start}")
        inner, channels = _Fields(fields.blob()), set()
        while inner.at < len(inner.data):
            channels.add(inner.unpack(_U16)[0])
            inner.unpack(_U64)
        return _Place(first, last, start, length, frozenset(channels))

    # -- what is there

    def _keep(self, opcode: int, content: bytes) -> None:
        """Remember a schema, a channel or a table."""
        fields = _Fields(content)
        if opcode == SCHEMA:
            (number,) = fields.unpack(_U16)
            if number:
                self._schemas.setdefault(number, LogSchema(fields.text(), fields.text(), fields.blob()))
        elif opcode == CHANNEL:
            number, schema = fields.unpack(_TWO)
            if schema and schema not in self._schemas:
                raise CodecError(f"channel {number} of schema {schema}, which is not there")
            made = LogChannel(fields.text(), fields.text(), self._schemas.get(schema), fields.table())
            self.channels.setdefault(number, made)
        elif opcode == METADATA:
            name = fields.text()
            self.metadata[name] = fields.table()

    def _all(self, wanted: set[str] | None, first_ns: int, last_ns: int) -> Iterator[LogMessage]:
        if not self._index:
            yield from self._from_the_front()
            return
        numbers = {n for n, c in self.channels.items() if wanted is None or c.topic in wanted}
        for place in self._index:
            if place.last_ns < first_ns or place.first_ns > last_ns:
                continue
            if place.channels and not place.channels & numbers:
                continue
            if RECORD.unpack(self._at(place.start, RECORD.size)) != (CHUNK, place.length - RECORD.size):
                self._found(f"no chunk of {place.length} octets at {place.start}")
                continue
            yield from self._in(CHUNK, self._at(place.start + RECORD.size, place.length - RECORD.size), place.start)

    def _from_the_front(self) -> Iterator[LogMessage]:
        at = len(MAGIC)
        while at < self._size:
            if self._size - at < RECORD.size:
                self.torn = f"the file ends within a record at {at}"
                return
            opcode, length = RECORD.unpack(self._at(at, RECORD.size))
            if opcode in (DATA_END, FOOTER):
                self.torn = "" if self.complete else f"the data ends at {at}, but no footer follows"
                return
            if opcode == 0 or length > self._size - at - RECORD.size:
                left = self._size - at - RECORD.size
                self.torn = f"the file ends within a record at {at}: {length} octets said, {left} left"
                return
            if opcode in _WANTED:
                yield from self._in(opcode, self._at(at + RECORD.size, length), at)
            at += RECORD.size + length
        self.torn = f"the file ends after a record, at {at}"

    def _in(self, opcode: int, content: bytes, at: int) -> Iterator[LogMessage]:
        """Go through the messages in one record of the data section."""
        try:
            if opcode == CHUNK:
                for inner, part in _records(_chunk(content)):
                    if inner == MESSAGE:
                        yield self._message(part)
                    else:
                        self._keep(inner, part)
            elif opcode == MESSAGE:
                yield self._message(content)
            else:
                self._keep(opcode, content)
        except CodecError as error:
            self._found(f"record {opcode} at {at}: {error}")

    def _message(self, content: bytes) -> LogMessage:
        if len(content) < MESSAGE_HEAD.size:
            raise CodecError(f"a message of {len(content)} octets")
        number, sequence, time_ns, publish_ns = MESSAGE_HEAD.unpack_from(content)
        channel = self.channels.get(number)
        if channel is None:
            raise CodecError(f"a message of channel {number}, which is not there")
        return LogMessage(channel.topic, time_ns, content[MESSAGE_HEAD.size :], publish_ns, sequence)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < RECORD.size:
            raise CodecError(f"a record of {len(data) - at} octets")
        opcode, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if length > len(data) - at:
            raise CodecError(f"a record of {length} octets where {len(data) - at} are left")
        yield opcode, data[at : at + length]
        at += length


def _chunk(content: bytes) -> bytes:
    """Return a chunk's records after a look at its size, CRC and compression."""
    fields = _Fields(content)
    _, _, size, crc = fields.unpack(CHUNK_HEAD)
    compression = fields.text()
    (length,) = fields.unpack(_U64)
    body = fields.take(length)
    if compression:
        raise CodecError(f"compressed with {compression!r}; only uncompressed chunks are read")
    if len(body) != size:
        raise CodecError(f"a chunk of {len(body)} octets that says {size}")
    if crc and zlib.crc32(body) != crc:
        raise CodecError("a chunk with a wrong CRC")
    return body
