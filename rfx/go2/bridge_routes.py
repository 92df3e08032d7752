"""What a bridge carries: which topics, which way, and how often.

Each topic crosses in one direction only. What came from one side can therefore never be sent back to it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rfx import arrays
from rfx.comm.keys import KeyExpr
from rfx.errors import CodecError, ConfigError
from rfx.go2 import topics
from rfx.go2.flight_log import TOPICS, message_of
from rfx.go2.messages import LowCmd

SIDES = ("robot", "user")
SERVICES = (topics.SPORT, topics.SPORT_LEASE, topics.MOTION_SWITCHER)
KNOWN = tuple(
    dict.fromkeys([*TOPICS, *(t(s) for s in SERVICES for t in (topics.request_topic, topics.response_topic))])
)
MOST_HZ = 1e6


@dataclass
class RouteCounts:
    """What a route has seen: ``passed`` went on; ``thinned`` gave way to newer ones; ``refused`` were no valid message;
    ``idle`` came while another bridge carries this topic; ``failed`` could not be written."""

    passed: int = 0
    octets: int = 0
    thinned: int = 0
    refused: int = 0
    idle: int = 0
    failed: int = 0


class Route:
    """One topic on its way through a bridge.

    Parameters
    ----------
    topic : str
    outward : bool
        From DDS to Zenoh; else from Zenoh to DDS.
    rate_hz : float, optional
        Passed on at most so often; the newest wins, and the last one before a silence is passed on too.
    """

    def __init__(self, topic: str, outward: bool, rate_hz: float | None = None) -> None:
        self.topic, self.outward = topic, outward
        self.message: Any = message_of(topic)
        self.is_call = topic.startswith("rt/api/")
        if rate_hz is not None and self.is_call:
            raise ConfigError(f"expected no rate for {topic}: a request that is left out is never answered")
        self.rate_hz = rate_hz
        self._period_s = 0.0 if rate_hz is None else 1.0 / arrays.number(rate_hz, topic, above=0, maximum=MOST_HZ)
        self.counts = RouteCounts()
        self.active = False
        self.send: Callable[[bytes], object] = _nowhere
        self._lock = threading.RLock()  # a signal handler may close while its own thread is inside
        self._kept: bytes | None = None
        self._due_s = -float("inf")

    def __repr__(self) -> str:
        way = "DDS -> Zenoh" if self.outward else "Zenoh -> DDS"
        return f"Route({self.topic}, {way}, passed={self.counts.passed}{'' if self.active else ', idle'})"

    @property
    def thinned(self) -> bool:
        """Whether messages may wait for their time."""
        return self._period_s > 0

    def offer(self, data: bytes, now_s: float) -> None:
        """Pass a message on: now, later, or not at all."""
        with self._lock:
            if not self.active:
                self.counts.idle += 1
                return
            if not self.outward and not self._valid(data):
                self.counts.refused += 1
                return
            if self.thinned and now_s < self._due_s:
                self.counts.thinned += self._kept is not None
                self._kept = data
                return
            self._pass(data, now_s)

    def flush(self, now_s: float) -> None:
        """Pass on what has waited long enough."""
        with self._lock:
            if self._kept is not None and not self.active:
                self._kept = None
                self.counts.idle += 1
            if self._kept is not None and now_s >= self._due_s:
                self._pass(self._kept, now_s)

    def turn(self, active: bool) -> None:
        """Carry from now on, or no more: then nothing is on its way to DDS when it returns. Zenoh is not waited for."""
        self.active = active
        if not self.outward:
            with self._lock:
                pass

    def _pass(self, data: bytes, now_s: float) -> None:
        if self._kept is not None and self._kept is not data:
            self.counts.thinned += 1
        self._kept = None
        if self.thinned:  # on a grid of its own, so that messages that come a little late do not lower the rate
            behind = now_s - self._due_s
            self._due_s = self._due_s + self._period_s if behind < self._period_s else now_s + self._period_s
        try:
            self.send(data)
        except Exception:  # DDS or Zenoh is closing, or takes no more: the next message may pass
            self.counts.failed += 1
            return
        self.counts.passed += 1
        self.counts.octets += len(data)

    def _valid(self, data: bytes) -> bool:
        """Whether a message from Zenoh may be given to DDS: what reaches motors is looked at twice."""
        try:
            message = self.message.from_cdr(data)
        except CodecError:
            return False
        return bool(getattr(message, "crc_ok", True)) and (not isinstance(message, LowCmd) or message.is_safe)

    def as_dict(self) -> dict[str, Any]:
        """Return what is known of it."""
        way = "out" if self.outward else "in"
        return {"way": way, "active": self.active, "rate_hz": self.rate_hz, **asdict(self.counts)}


def _nowhere(data: bytes) -> None:
    raise ConfigError("expected a route that is connected")


def make_routes(
    side: str,
    allow: Iterable[str] = (),
    deny: Iterable[str] = (),
    rates: Mapping[str, float] | None = None,
    reverse: Iterable[str] = (),
) -> list[Route]:
    """Return the routes of a bridge.

    Parameters
    ----------
    side : {"robot", "user"}
        What is on the DDS side. With a robot there, states and responses go to Zenoh, commands and requests to DDS; with
        its users there the other way round.
    allow : iterable of str
        Topics or patterns of topics; only these pass. Empty: all that are known. The services of a robot that are not known
        are allowed by name.
    deny : iterable of str
        These do not pass.
    rates : mapping of str to float
        Topics, and how often they pass at most (Hz).
    reverse : iterable of str
        Topics that cross the other way, such as ``rt/wirelesscontroller`` to play the hand controller.

    Raises
    ------
    ConfigError
        Something names no topic that is carried.
    """
    if side not in SIDES:
        raise ConfigError(f"expected side to be one of {', '.join(SIDES)}, got {side!r}")
    allowed, denied, rates = tuple(allow), tuple(deny), dict(rates or {})
    named = [pattern for pattern in allowed if pattern not in KNOWN and not KeyExpr(pattern).is_pattern]
    for topic in named:
        message_of(topic)
    chosen = [t for t in (*KNOWN, *named) if (not allowed or _any(allowed, t)) and not _any(denied, t)]
    for pattern in (*allowed, *denied):
        if not any(KeyExpr(pattern).includes(topic) for topic in (*KNOWN, *named)):
            raise ConfigError(f"expected {pattern!r} to name one of {', '.join(KNOWN)}")
    turned = set(reverse)
    for topic in (*rates, *turned):
        if topic not in chosen:
            raise ConfigError(f"expected {topic!r} to be a topic that passes: {', '.join(chosen) or 'none does'}")
    if not chosen:
        raise ConfigError("expected at least one topic to pass, got none")
    return [Route(t, ((side == "robot") == _from_robot(t)) != (t in turned), rates.get(t)) for t in chosen]


def _any(patterns: Iterable[str], topic: str) -> bool:
    return any(KeyExpr(pattern).includes(topic) for pattern in patterns)


def _from_robot(topic: str) -> bool:
    """Whether a robot says it, and not its users."""
    return topic != topics.LOW_CMD and not topic.endswith("/request")
