"""A relay between DDS and Zenoh that runs beside a robot, or beside programs that speak only DDS.

Keys are the topic names, payloads the CDR bytes with their header; nothing is decoded on the way to Zenoh, and what goes to
DDS is only checked. Topics cross in one direction each (:mod:`rfx.go2.bridge_routes`). Bridges find each other on Zenoh:

- Of several beside one robot the oldest carries a topic; the others stand by and take over when it is gone.
- A bridge that would bring back into a DDS domain what another one took out of it is named, and this one ends.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rfx import arrays
from rfx.comm.zenoh import load, open_session
from rfx.errors import ConfigError, InvalidStateError
from rfx.go2 import presence, topics
from rfx.go2.backends.cyclone import CycloneDomain
from rfx.go2.bridge_routes import Route

SETTLE_S = 0.6  # for DDS and Zenoh to say who else is there, before anything passes
WATCH_S = 1.0
SLICE_S = 0.1
STATE_DEPTH, CALL_DEPTH = 16, 64
URGENT = (topics.LOW_CMD, topics.LOW_STATE)


class Bridge:
    """Carry the messages of some routes between a DDS domain and Zenoh. Close it, or use it in a ``with`` block.

    Parameters
    ----------
    domain : CycloneDomain
        An open DDS domain; the caller closes it after the bridge.
    routes : iterable of Route
        From :func:`rfx.go2.bridge_routes.make_routes`.
    listen, connect : str or iterable of str
        Where Zenoh clients find the bridge, such as ``tcp/0.0.0.0:7447``; the router or bridge to connect to. A connection that
        is lost is made again.
    key_prefix : str
        Put before the topic names on Zenoh, to tell several robots apart.
    side : {"robot", "user"}
        As the routes were made.
    timeout_s : float
        How long to wait for ``connect`` (s); one that also listens does not wait.
    settle_s : float
        How long :meth:`run` looks who else is there before anything passes (s).

    Raises
    ------
    ConfigError
        Nowhere to listen or to connect to.
    RfxConnectionError
        Nobody answers at ``connect``, or ``listen`` is taken.

    Attributes
    ----------
    note : str
        What the last look at the other bridges found; empty when there is nothing to say.
    """

    def __init__(
        self,
        domain: CycloneDomain,
        routes: Iterable[Route],
        *,
        listen: str | Iterable[str] = (),
        connect: str | Iterable[str] = (),
        key_prefix: str = "",
        side: str = "robot",
        timeout_s: float = 3.0,
        settle_s: float = SETTLE_S,
    ) -> None:
        listen, connect = _tuple(listen), _tuple(connect)
        if not listen and not connect:
            raise ConfigError("expected somewhere to listen or to connect to on Zenoh, got neither")
        self.domain, self.routes, self.side = domain, list(routes), side
        self._settle_s = arrays.number(settle_s, "settle_s", minimum=0)
        self.note = ""
        self._over = threading.Event()
        self._turning = threading.RLock()  # over which routes carry, and whether it is over
        self._trouble: Exception | None = None
        self._zenoh = load()
        self._commanders: list[str] = []
        self._began = f"{time.time_ns():020d}"
        self._readers: list[tuple[Any, Route]] = []
        # a router introduces clients to each other, and peers not; but only a peer can listen
        mode, wait_s = ("peer", None) if listen else ("client", arrays.number(timeout_s, "timeout_s", above=0))
        self._session = open_session(listen=listen, connect=connect, mode=mode, key_prefix=key_prefix, timeout=wait_s)
        self._presence = presence.Presence.own(presence.BRIDGE, self._session)
        try:
            for route in self.routes:
                self._lay(route)
            raw = self._session.raw
            raw.declare_queryable(f"{self._presence.key}/status", self._tell)
            self._tokens = [raw.liveliness().declare_token(self._token(route)) for route in self.routes]
        except BaseException:
            self._session.close()
            raise

    def __repr__(self) -> str:
        active = sum(route.active for route in self.routes)
        return f"Bridge({self.domain!r}, {self._session!r}, {active} of {len(self.routes)} topics)"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Carry nothing any more; when it returns nothing is on its way to DDS. Calling it again does nothing."""
        self._end()
        self._session.close()
        for reader, _ in self._readers:
            reader.wake()

    def _end(self) -> None:
        with self._turning:
            self._over.set()
            for route in self.routes:
                route.turn(False)

    # -- laying out

    def _lay(self, route: Route) -> None:
        depth = CALL_DEPTH if route.is_call else STATE_DEPTH
        if route.outward:
            reader = self.domain.reader(route.topic, route.message, reliable=route.is_call, depth=depth)
            if self._readers:
                self._readers[0][0].watch(reader)  # one wait for all of them
            self._readers.append((reader, route))
            route.send = self._publisher(route).put
            return
        route.send = self.domain.writer(route.topic, route.message, depth=CALL_DEPTH if route.is_call else 1).write
        put = self._zenoh.SampleKind.PUT

        def came(sample: Any) -> None:
            if sample.kind == put:
                route.offer(sample.payload.to_bytes(), time.monotonic())

        self._session.raw.declare_subscriber(route.topic, came, allowed_origin=self._zenoh.Locality.REMOTE)

    def _publisher(self, route: Route) -> Any:
        control, priority = self._zenoh.CongestionControl, self._zenoh.Priority
        return self._session.raw.declare_publisher(
            route.topic,
            congestion_control=control.BLOCK if route.is_call else control.DROP,
            priority=priority.REAL_TIME if route.topic in URGENT else priority.DATA,
            express=True,
        )

    def _token(self, route: Route) -> str:
        return f"{self._presence.key}/{self.side}/{self.domain.participant_id}/{self._began}/{route.topic}"

    # -- carrying

    def run(self, stop: threading.Event) -> None:
        """Carry until told to stop.

        Raises
        ------
        ConfigError
            Another bridge brings what this one takes out back into the same domain.
        """
        if self._over.is_set() or stop.wait(self._settle_s) or self._over.is_set():
            return
        try:
            self._watch()
        except Exception:
            if self._over.is_set():  # closed while it looked
                return
            raise
        watcher = threading.Thread(target=self._watch_on, args=(stop,), name="rfx bridge watch", daemon=True)
        watcher.start()
        try:
            self._carry(stop)
        finally:
            self._end()
            watcher.join()
        if self._trouble is not None:
            raise self._trouble

    def _carry(self, stop: threading.Event) -> None:
        waiting = [route for route in self.routes if route.thinned]
        slice_s = min([SLICE_S, *(1.0 / route.rate_hz for route in waiting if route.rate_hz)])
        while not (stop.is_set() or self._over.is_set()):
            if self._readers:
                self._readers[0][0].wait(slice_s)
            else:
                self._over.wait(slice_s)
            for reader, route in self._readers:
                for data in reader.take(CALL_DEPTH):
                    route.offer(data, time.monotonic())
            for route in waiting:
                route.flush(time.monotonic())

    def _watch_on(self, stop: threading.Event) -> None:
        """Look again and again, in a thread of its own: who is asked may be slow to answer."""
        while not (self._over.wait(WATCH_S) or stop.is_set()):
            try:
                self._watch()
            except Exception as error:
                if not self._session.closed:
                    self._trouble = error
                self._over.set()

    def _watch(self) -> None:
        """Look who else is there: stand by where an older bridge carries a topic, end where there would be a loop."""
        others = [_Token(key) for key in presence.alive(self._session, presence.BRIDGE, "/**")]
        bridges = {other.participant for other in others}
        writers = self.domain.writers([topics.LOW_CMD, *(route.topic for route in self.routes)])
        near = set()  # bridges that write into this very domain
        for route in self.routes:
            for writer in writers.get(route.topic, ()):
                if writer.participant not in bridges:
                    continue
                if route.outward:
                    raise ConfigError(
                        f"expected nobody to bring {route.topic} back into domain {self.domain.domain_id}, but the bridge "
                        f"{writer} does: a loop. Run one bridge for this domain"
                    )
                near.add(writer.participant)
        ahead: dict[str, str] = {}
        for other in others:
            rival = other.side == self.side and (self.side == "robot" or other.participant in near)
            if rival and (other.began, other.id) < (self._began, self._session.id):
                ahead[other.topic] = other.name
        with self._turning:
            for route in self.routes:
                route.turn(route.topic not in ahead and not self._over.is_set())
        self.note = ""
        if ahead:
            who = ", ".join(sorted(set(ahead.values())))
            self.note = f"standing by for {len(ahead)} of {len(self.routes)} topics: {who} carries them"
        seen = writers.get(topics.LOW_CMD, ())
        self._commanders = [str(w) for w in seen if w.participant not in bridges]

    # -- telling

    def status(self) -> dict[str, Any]:
        """Return what the bridge does: where, what passed, who else writes commands on DDS, and a note."""
        return {
            "side": self.side,
            "domain": self.domain.domain_id,
            "interface": self.domain.interface,
            "commanders": list(self._commanders),
            "note": self.note,
            "topics": {route.topic: route.as_dict() for route in self.routes},
        }

    def _tell(self, query: Any) -> None:
        with contextlib.suppress(InvalidStateError, self._zenoh.ZError):  # it is being closed
            query.reply(f"{self._presence.key}/status", json.dumps(self.status()))


class _Token:
    """What the name of a bridge's route says."""

    def __init__(self, key: str) -> None:
        who = presence.Presence.from_key(key)
        assert who is not None
        rest = key.split("/")[6:]
        self.name, self.id = str(who), who.id
        self.side, self.participant, self.began = rest[:3]
        self.topic = "/".join(rest[3:])


def _tuple(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
