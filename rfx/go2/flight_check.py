"""What a flight log holds: rates, gaps, lost ticks, wrong checksums, and whether the file itself is sound."""

import contextlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rfx.errors import CodecError, ConfigError
from rfx.go2.flight_log import DROPPED, message_of
from rfx.go2.mcap_reader import LogMessage, McapReader
from rfx.go2.messages import LowState


@dataclass
class TopicReport:
    """One topic: times in seconds, ``longest_gap_ms`` between two messages that follow each other.

    ``lost_ticks`` are states that the robot must have sent and the recorder did not get, seen from the robot's own
    counter; ``repeated_ticks`` came more than once and ``restarts`` counts how often the counter went back.
    """

    topic: str
    messages: int = 0
    seconds: float = 0.0
    rate_hz: float = 0.0
    longest_gap_ms: float = 0.0
    undecodable: int = 0
    checksum_errors: int = 0
    lost_ticks: int = 0
    repeated_ticks: int = 0
    restarts: int = 0
    dropped: int = 0


@dataclass
class FlightReport:
    """A whole log. ``torn`` says where the file ends if its writer was killed, ``damage`` what else could not be read."""

    path: str
    complete: bool
    torn: str
    damage: list[str]
    topics: list[TopicReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every message that is there is right and none was dropped by the recorder."""
        wrong = sum(t.undecodable + t.checksum_errors + t.dropped for t in self.topics)
        return wrong == 0 and not self.damage and not (self.complete and self.torn)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {**asdict(self), "ok": self.ok}


class _Topic:
    """What is counted of one topic while its messages go by."""

    def __init__(self, topic: str) -> None:
        self.report = TopicReport(topic)
        self._kind: Any = None
        with contextlib.suppress(ConfigError):  # another program's topic: counted, not decoded
            self._kind = message_of(topic)
        self._first_ns = self._last_ns = -1
        self._tick: int | None = None
        self._steps: Counter[int] = Counter()

    def add(self, message: LogMessage) -> None:
        report = self.report
        report.messages += 1
        if self._last_ns < 0:
            self._first_ns = message.time_ns
        else:
            report.longest_gap_ms = max(report.longest_gap_ms, (message.time_ns - self._last_ns) / 1e6)
        self._last_ns = max(self._last_ns, message.time_ns)
        if self._kind is None:
            return
        try:
            decoded = self._kind.from_cdr(message.data)
        except CodecError:
            report.undecodable += 1
            return
        if not getattr(decoded, "crc_ok", True):
            report.checksum_errors += 1
        elif self._kind is LowState:
            self._count_tick(decoded.tick)

    def _count_tick(self, tick: int) -> None:
        if self._tick is not None:
            if tick > self._tick:
                self._steps[tick - self._tick] += 1
            elif tick == self._tick:
                self.report.repeated_ticks += 1
            else:
                self.report.restarts += 1
        self._tick = tick

    def done(self, dropped: int) -> TopicReport:
        report = self.report
        report.dropped = dropped
        report.seconds = max(0, self._last_ns - self._first_ns) / 1e9
        if report.seconds > 0:
            report.rate_hz = (report.messages - 1) / report.seconds
        if self._steps:
            period = max(self._steps, key=lambda step: (self._steps[step], -step))
            report.lost_ticks = sum(n * (round(step / period) - 1) for step, n in self._steps.items() if step > period)
        return report


def check_log(source: str | os.PathLike[str] | bytes) -> FlightReport:
    """Read a whole flight log and decode every message again.

    Parameters
    ----------
    source : str, os.PathLike or bytes
        The file, or what is in it.

    Returns
    -------
    FlightReport
        Topics in the order of their names.

    Raises
    ------
    CodecError
        It is no MCAP file.
    ConfigError
        It cannot be opened.
    """
    with McapReader(source) as reader:
        seen: dict[str, _Topic] = {}
        for message in reader.messages():
            if message.topic not in seen:
                seen[message.topic] = _Topic(message.topic)
            seen[message.topic].add(message)
        dropped = {topic: int(n) for topic, n in reader.metadata.get(DROPPED, {}).items() if n.isdecimal()}
        for topic in dropped:
            seen.setdefault(topic, _Topic(topic))
        path = "bytes" if isinstance(source, bytes) else os.fspath(source)
        rows = [seen[topic].done(dropped.get(topic, 0)) for topic in sorted(seen)]
        return FlightReport(path, reader.complete, reader.torn, list(reader.damage), rows)


HEADINGS = ("topic", "messages", "s", "Hz", "gap ms", "bad", "crc", "lost", "again", "back", "dropped")


def format_report(report: FlightReport) -> str:
    """Write a report as a table, one line for each topic, and what is wrong with the file below it."""
    rows = [HEADINGS]
    for t in report.topics:
        numbers = (t.undecodable, t.checksum_errors, t.lost_ticks, t.repeated_ticks, t.restarts, t.dropped)
        times = (f"{t.seconds:.2f}", f"{t.rate_hz:.1f}", f"{t.longest_gap_ms:.1f}")
        rows.append((t.topic, str(t.messages), *times, *map(str, numbers)))  # type: ignore[arg-type]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    if not report.complete:
        lines.append(f"its writer was killed, or still writes: {report.torn}")
    lines += [f"damage: {what}" for what in report.damage]
    lines.append("ok" if report.ok else "not ok")
    return "\n".join(lines)
