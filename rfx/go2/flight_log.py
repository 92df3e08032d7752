"""The flight log: every message of a robot, raw and with its time, in a file that survives the end of its writer.

Recording never waits for the disk: a message goes into a bounded queue, and a thread gives the queue to the file every
20 ms. What was given to the operating system is there after ``kill -9``; what does not fit into the queue is counted,
by topic, and the counts stand in the file.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError
from rfx.go2 import topics
from rfx.go2.idl_text import idl_text
from rfx.go2.mcap_file import McapWriter
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState, WirelessController

FLUSH_S = 0.02
SYNC_S = 1.0
CAPACITY = 16_384  # messages: some sixteen seconds of a robot
MOST_OCTETS = 64 << 20
DROPPED = "rfx.dropped"  # the table that says how many messages of a topic did not fit

TOPICS: dict[str, Any] = {
    topics.LOW_STATE: LowState,
    topics.LOW_CMD: LowCmd,
    topics.SPORT_MODE_STATE: SportModeState,
    topics.WIRELESS_CONTROLLER: WirelessController,
    topics.SPORT_REQUEST: Request,
    topics.SPORT_RESPONSE: Response,
    topics.MOTION_SWITCHER_REQUEST: Request,
    topics.MOTION_SWITCHER_RESPONSE: Response,
}


def message_of(topic: str) -> Any:
    """Return the message class of one of the robot's topics; ConfigError for any other."""
    if topic in TOPICS:
        return TOPICS[topic]
    service, _, end = topic.rpartition("/")
    if service.startswith("rt/api/") and end in ("request", "response"):
        return Request if end == "request" else Response
    raise ConfigError(f"expected one of {', '.join(TOPICS)} or rt/api/*/request or response, got {topic!r}")


@dataclass
class LogCounts:
    """How many messages of each topic were written, and how many were not because the queue was full."""

    written: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class FlightLog:
    """Record messages into an MCAP file.

    Parameters
    ----------
    path : str or os.PathLike
        The file; one that is there already is never overwritten.
    flush_s : float
        How often what has come is given to the operating system, at most 0.05 s: so much is lost by ``kill -9``.
    sync_s : float
        How often it is forced to the disk: so much is lost when the power goes.
    capacity : int
        How many messages may wait for the disk.
    metadata : mapping, optional
        Names and values that are written at the beginning, as table ``rfx.flight``.
    messages : mapping, optional
        Message classes of further topics, which are not the robot's.

    Raises
    ------
    ConfigError
        The file exists, or cannot be made there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush_s: float = FLUSH_S,
        sync_s: float = SYNC_S,
        capacity: int = CAPACITY,
        metadata: Mapping[str, str] | None = None,
        messages: Mapping[str, Any] | None = None,
    ) -> None:
        self.flush_s = arrays.number(flush_s, "flush_s", above=0, maximum=0.05)
        self.sync_s = arrays.number(sync_s, "sync_s", above=0)
        self.capacity = arrays.integer(capacity, "capacity", minimum=1)
        self._writer = McapWriter(path)
        self.path = self._writer.path
        self.counts = LogCounts()
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, int, bytes]] = []
        self._octets = 0
        self._reported = 0
        self._channels: dict[str, int] = {}
        self._messages = dict(messages or {})
        self._stop = threading.Event()
        self._closed = False
        if metadata:
            self._writer.add_metadata("rfx.flight", metadata)
        self._thread = threading.Thread(target=self._work, name="flight log", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "failed" if self.error else "closed" if self._closed else "open"
        c = self.counts
        return f"FlightLog({str(self.path)!r}, {state}, written={c.written.total()}, dropped={c.dropped.total()})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except InvalidStateError as second:  # what happened in the block is the cause, and is what is raised
            assert error is not None
            error.add_note(str(second))

    def record(self, topic: str, time_ns: int, data: bytes) -> bool:
        """Queue one message; never waits for the disk.

        Parameters
        ----------
        topic : str
            One of the robot's topics, see :func:`message_of`.
        time_ns : int
            When it came, Unix time (``time.time_ns()``).
        data : bytes
            Its CDR bytes, header included.

        Returns
        -------
        bool
            False if it was dropped: the queue is full, or the file failed. It is counted in ``counts.dropped``.

        Raises
        ------
        InvalidStateError
            The log is closed.
        """
        if not isinstance(data, bytes):
            raise DTypeError(f"expected data to be bytes, got {type(data).__name__}")
        if topic not in self._channels and topic not in self._messages:
            message_of(topic)
        time_ns = arrays.integer(time_ns, "time_ns", minimum=0, maximum=2**64 - 1)
        with self._lock:
            if self._closed:
                raise InvalidStateError(f"{self!r} takes no more messages")
            full = len(self._waiting) >= self.capacity or self._octets + len(data) > MOST_OCTETS
            if full or self.error is not None:
                self.counts.dropped[topic] += 1
                return False
            self._waiting.append((topic, time_ns, data))
            self._octets += len(data)
        return True

    def close(self) -> LogCounts:
        """Write what waits and the summary; returns the counts. Calling it again returns them again.

        Raises
        ------
        InvalidStateError
            The disk refused something; what was written before can be read.
        """
        with self._lock:
            self._closed = True
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise InvalidStateError(
                f"{self.path} ends after {self.counts.written.total()} messages, "
                f"{self.counts.dropped.total()} are lost: {self.error}"
            ) from self.error
        return self.counts

    # -- the thread

    def _work(self) -> None:
        synced = time.monotonic()
        try:
            while not self._stop.wait(self.flush_s):
                sync = time.monotonic() - synced >= self.sync_s
                self._drain(sync)
                if sync:
                    synced = time.monotonic()
            self._drain(sync=False)
            self._writer.close()
        except Exception as error:  # the disk is full or gone: the robot's caller goes on, close() says it
            with self._lock:
                self.error = error
                for topic, _, _ in self._waiting:
                    self.counts.dropped[topic] += 1
                self._waiting = []
            self._writer.abandon()

    def _drain(self, sync: bool) -> None:
        with self._lock:
            batch, self._waiting, self._octets = self._waiting, [], 0
            dropped = dict(self.counts.dropped)
        count: Counter[str] = Counter()
        try:
            for topic, time_ns, data in batch:
                self._writer.add(self._channel(topic), time_ns, data)
                count[topic] += 1
            self._writer.flush(sync=sync)
        except Exception:
            with self._lock:
                self.counts.dropped.update(topic for topic, _, _ in batch)
            raise
        self.counts.written.update(count)
        if sum(dropped.values()) > self._reported:
            self._reported = sum(dropped.values())
            self._writer.add_metadata(DROPPED, {topic: str(n) for topic, n in dropped.items()})

    def _channel(self, topic: str) -> int:
        if topic not in self._channels:
            message = self._messages.get(topic) or message_of(topic)
            self._channels[topic] = self._writer.add_channel(
                topic,
                message_encoding="cdr",
                schema_name=message.TYPE_NAME,
                schema_encoding="omgidl",
                schema=idl_text(message).encode(),
            )
        return self._channels[topic]
