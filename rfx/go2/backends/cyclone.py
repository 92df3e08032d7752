"""CycloneDDS endpoints that pass raw CDR bytes: for the client and for the simulated robot alike.

cyclonedds' own Python classes spend about half a millisecond on one LowState. Its C layer takes and gives the CDR
bytes directly. That layer is private, so it is feature-tested, and where it does not answer as expected the IDL
classes do the work.
"""

import socket
import threading
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError, MissingDependencyError, RfxConnectionError

try:
    from cyclonedds import _clayer
    from cyclonedds.core import (
        DDSException,
        GuardCondition,
        InstanceState,
        ReadCondition,
        SampleState,
        ViewState,
        WaitSet,
    )
    from cyclonedds.domain import Domain, DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.qos import Policy, Qos
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
except ImportError as error:
    raise MissingDependencyError(
        "DDS needs cyclonedds, which has no wheel for every platform: `pip install 'cyclonedds>=11.0.1,<12'` "
        f"on CPython 3.11 to 3.13 ({error})"
    ) from error

from rfx.go2.backends.discovered import Discovered, Writer
from rfx.go2.backends.idl import idl_class

LOOPBACK = "lo" if "lo" in {name for _, name in socket.if_nameindex()} else "lo0"
ANY = SampleState.Any | ViewState.Any | InstanceState.Any
SLICE_S = 0.1  # a wait is cut into slices, so that Ctrl+C gets through
MOST_PARTICIPANTS = 30
HIGHEST_DOMAIN = 230
TOPIC_TRIES, TOPIC_PAUSE_S = 5, 0.01


def raw_available() -> bool:
    """Whether cyclonedds' C layer has the two functions that take and give CDR bytes."""
    return callable(getattr(_clayer, "ddspy_take", None)) and callable(getattr(_clayer, "ddspy_write", None))


def configuration(interface: str | None) -> str:
    """Return CycloneDDS' XML for one interface; loopback needs no multicast and is understood by 0.10 and 11."""
    if interface is None:
        return "<CycloneDDS><Domain Id='any'/></CycloneDDS>"
    if interface != LOOPBACK:
        network = f'<Interfaces><NetworkInterface name="{interface}"/></Interfaces>'
        return f"<CycloneDDS><Domain Id='any'><General>{network}</General></Domain></CycloneDDS>"
    network = f'<Interfaces><NetworkInterface name="{interface}" multicast="false"/></Interfaces>'
    peers = '<Peers><Peer Address="127.0.0.1"/></Peers>'
    index = f"<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>{MOST_PARTICIPANTS}</MaxAutoParticipantIndex>"
    return (
        f"<CycloneDDS><Domain Id='any'><General>{network}<AllowMulticast>false</AllowMulticast></General>"
        f"<Discovery>{index}{peers}</Discovery></Domain></CycloneDDS>"
    )


class _SharedDomains:
    """A process can create a DDS domain only once; several of ours with the same settings share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Domain, str | None, int]] = {}

    def acquire(self, domain_id: int, interface: str | None) -> None:
        with self._lock:
            if domain_id in self._open:
                domain, there, users = self._open[domain_id]
                if there != interface:
                    raise ConfigError(
                        f"domain {domain_id} is open on interface {there} in this process, not {interface}"
                    )
            else:
                domain, users = Domain(domain_id, configuration(interface)), 0
            self._open[domain_id] = (domain, interface, users + 1)

    def release(self, domain_id: int) -> None:
        with self._lock:
            domain, interface, users = self._open.pop(domain_id)
            if users > 1:
                self._open[domain_id] = (domain, interface, users - 1)
            else:
                _delete(domain)


def _delete(entity: Any) -> None:
    """Delete a DDS entity now, and all that belongs to it, whoever still holds its Python object.

    cyclonedds does so when that object is freed, but not when it was part of a cycle (such as a traceback): by then its
    table of weak references has forgotten it, the entity stays, and a domain could never be opened again.
    """
    entity.__del__()


_domains = _SharedDomains()


class CycloneDomain:
    """A participant in a DDS domain on one network interface.

    Parameters
    ----------
    domain_id : int
        0 on the robot, 1 in Unitree's simulator; at most 230.
    interface : str, optional
        Name of the network interface; None lets CycloneDDS choose. On the loopback interface nothing else is spoken
        to, and no multicast is needed.
    raw : bool, optional
        True takes the C layer's raw CDR, False the IDL classes; by default whatever is there.

    Raises
    ------
    RfxConnectionError
        The interface does not exist, or DDS could not start on it.
    ConfigError
        The domain is already open in this process with another interface.
    """

    def __init__(self, domain_id: int = 0, interface: str | None = None, *, raw: bool | None = None) -> None:
        self.domain_id = arrays.integer(domain_id, "domain_id", minimum=0, maximum=HIGHEST_DOMAIN)
        if interface is not None and not isinstance(interface, str):
            raise DTypeError(f"expected interface to be a name, got {type(interface).__name__}")
        known = [name for _, name in socket.if_nameindex()]
        if interface is not None and interface not in known:
            raise RfxConnectionError(f"no network interface {interface!r}; this machine has {', '.join(known)}")
        if raw and not raw_available():
            raise MissingDependencyError(
                "this cyclonedds has no raw CDR functions; leave raw=None to use its IDL classes"
            )
        self.interface = interface
        self.raw = raw_available() if raw is None else bool(raw)
        self._endpoints: list[RawReader | RawWriter] = []
        self._links: weakref.WeakSet[Any] = weakref.WeakSet()  # native ones, that use the entities without the GIL
        self._topics: dict[str, tuple[type, Topic]] = {}
        self._discovered: Any = None
        self._lock = threading.RLock()  # what is made, and what is closed
        self._closed = False
        try:
            _domains.acquire(self.domain_id, interface)
        except DDSException as error:
            raise RfxConnectionError(
                f"DDS could not start in domain {domain_id} on interface {interface}: {error}. "
                f"Is it up? This machine has {', '.join(known)}"
            ) from error
        try:
            self._participant: DomainParticipant | None = DomainParticipant(self.domain_id)
        except BaseException as error:
            _domains.release(self.domain_id)
            if not isinstance(error, DDSException):
                raise
            raise RfxConnectionError(
                f"DDS could not join domain {domain_id} on interface {interface}: {error}. "
                f"At most {MOST_PARTICIPANTS} participants fit on one machine"
            ) from error

    def __repr__(self) -> str:
        state = "closed" if self._closed else "raw CDR" if self.raw else "IDL classes"
        return f"CycloneDomain(domain_id={self.domain_id}, interface={self.interface!r}, {state})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def reader(self, topic: str, message: type, *, reliable: bool = False, depth: int = 1) -> "RawReader":
        """Return a reader of CDR bytes that keeps the newest ``depth`` samples."""
        with self._lock:
            made = RawReader(self, topic, message, _qos(reliable, depth))
            self._endpoints.append(made)
        return made

    def writer(self, topic: str, message: type, *, reliable: bool = True, depth: int = 1) -> "RawWriter":
        """Return a writer of CDR bytes."""
        with self._lock:
            made = RawWriter(self, topic, message, _qos(reliable, depth))
            self._endpoints.append(made)
        return made

    @property
    def participant_id(self) -> str:
        """What other participants know this one by."""
        if self._participant is None:
            raise InvalidStateError(f"{self!r} is closed")
        return str(self._participant.guid)

    def writers_of(self, topic: str) -> list[Writer]:
        """Who else writes to a topic, as far as discovery has come; writers of this participant are left out."""
        return self.writers([topic]).get(topic, [])

    def writers(self, topics: Iterable[str]) -> dict[str, list[Writer]]:
        """Who else writes to these topics, by topic; see :meth:`writers_of`."""
        wanted = frozenset(topics)
        with self._lock:
            if self._participant is None:
                raise InvalidStateError(f"{self!r} is closed")
            if self._discovered is None:
                self._discovered = Discovered(self._participant)
            return self._discovered.writers(wanted)

    def close(self) -> None:
        """Leave the domain and end all waits; who calls it again returns when it is closed."""
        with self._lock:
            if self._closed:
                return
            for closing in (*self._links, *self._endpoints):  # Ctrl+C gets through; the next call goes on
                closing.close()
            self._closed, self._discovered = True, None
            self._endpoints.clear()
            self._topics.clear()
            _delete(self._participant)
            self._participant = None
            _domains.release(self.domain_id)

    def _topic(self, name: str, message: Any) -> Topic:
        if self._closed:
            raise InvalidStateError(f"{self!r} is closed")
        if name in self._topics:
            there, topic = self._topics[name]
            if there is not message:
                raise ConfigError(f"topic {name} carries {there.__name__} here, not {message.__name__}")
            return topic
        # Once in some ten thousand connects CycloneDDS called a parameter of this bad that is the same each time; the cause
        # is not known. A moment later it is asked again.
        for left in reversed(range(TOPIC_TRIES)):
            try:
                topic = Topic(self._participant, name, idl_class(message), qos=_qos(True, 1))
                break
            except DDSException as error:
                if not left:
                    raise RfxConnectionError(f"DDS refused topic {name} in domain {self.domain_id}: {error}") from error
                time.sleep(TOPIC_PAUSE_S)
        self._topics[name] = (message, topic)
        return topic


def _qos(reliable: bool, depth: int) -> Qos:
    arrays.integer(depth, "depth", minimum=1, maximum=10_000)
    reliability = Policy.Reliability.Reliable(max_blocking_time=100_000_000)
    return Qos(
        reliability if reliable else Policy.Reliability.BestEffort,
        Policy.History.KeepLast(depth),
        Policy.Durability.Volatile,
    )


class RawReader:
    """Takes CDR bytes of one topic. Waiting releases the GIL and lets Ctrl+C through; safe from several threads."""

    def __init__(self, domain: CycloneDomain, topic: str, message: Any, qos: Qos) -> None:
        self.topic = topic
        self._raw = domain.raw
        self._reader: Any = DataReader(domain._participant, domain._topic(topic, message), qos=qos)
        self._condition: Any = ReadCondition(self._reader, ANY)
        self._guard: Any = GuardCondition(domain._participant)
        self._waitset: Any = WaitSet(domain._participant)
        self._waitset.attach(self._condition)
        self._waitset.attach(self._guard)
        self._woken = threading.Event()
        self._lock = threading.RLock()  # the guard condition and `_woken` say the same

    def __repr__(self) -> str:
        return f"RawReader({self.topic}{', closed' if self._reader is None else ''})"

    @property
    def matched(self) -> int:
        """How many writers there are for it."""
        return _count(_open(self._reader, self).get_matched_publications)

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to take; False when the time is over or :meth:`wake` was called."""
        end = time.monotonic() + timeout_s
        waitset = _open(self._waitset, self)
        while True:
            left = min(end - time.monotonic(), SLICE_S)
            try:
                triggered = waitset.wait(max(0, int(left * 1e9)))
            except DDSException as error:
                if self._waitset is not None:
                    raise RfxConnectionError(f"waiting for {self.topic} failed: {error}") from error
            if self._waitset is None:  # closed meanwhile
                return False
            if self._woken.is_set():
                self.calm()
                return False
            if triggered:
                return True
            if left < SLICE_S:
                return False

    def watch(self, other: "RawReader") -> None:
        """Let :meth:`wait` return also when ``other`` has something to take."""
        _open(self._waitset, self).attach(_open(other._condition, other))

    def wake(self) -> None:
        """End a wait that is going on in another thread, or the next one."""
        with self._lock:
            if self._guard is not None:
                self._woken.set()
                self._guard.set(True)

    def calm(self) -> None:
        """Let the next wait wait again, after one that was ended."""
        with self._lock:
            if self._guard is not None and self._woken.is_set():
                self._woken.clear()
                self._guard.set(False)

    def take(self, most: int = 64) -> list[bytes]:
        """Take what has come, oldest first, without waiting."""
        reader = _open(self._reader, self)
        if not self._raw:
            return [s.serialize(use_version_2=False) for s in reader.take(most) if hasattr(s, "serialize")]
        taken = _clayer.ddspy_take(reader._ref, ANY, most)
        if isinstance(taken, int):
            _open(self._reader, self)
            raise RfxConnectionError(f"taking from {self.topic} failed: {DDSException(taken, '')}")
        return [data for data, info in taken if info.valid_data]

    def take_latest(self) -> bytes | None:
        """Take everything and return the newest, or None."""
        taken = self.take()
        return taken[-1] if taken else None

    def close(self) -> None:
        """End all waits and leave the topic."""
        with self._lock:
            self.wake()
            self._waitset = self._condition = self._guard = self._reader = None


class RawWriter:
    """Writes CDR bytes to one topic."""

    def __init__(self, domain: CycloneDomain, topic: str, message: Any, qos: Qos) -> None:
        self.topic = topic
        self._raw = domain.raw
        self._lock = threading.RLock()  # a topic's type is not freed while a message is checked against it
        self._writer: Any = DataWriter(domain._participant, domain._topic(topic, message), qos=qos)

    def __repr__(self) -> str:
        return f"RawWriter({self.topic}{', closed' if self._writer is None else ''})"

    @property
    def matched(self) -> int:
        """How many readers there are for it."""
        return _count(_open(self._writer, self).get_matched_subscriptions)

    def write(self, data: bytes) -> None:
        """Send a message's CDR bytes, header included."""
        with self._lock:
            writer = _open(self._writer, self)
            if not self._raw:
                writer.write(writer.data_type.deserialize(data))
                return
            if len(data) % 4:
                data = data + bytes(-len(data) % 4)
            code = _clayer.ddspy_write(writer._ref, data)
        if code < 0:
            raise RfxConnectionError(f"writing to {self.topic} failed: {DDSException(code, '')}")

    def close(self) -> None:
        """Leave the topic, once nobody writes."""
        with self._lock:
            self._writer = None


def _count(matched: Any) -> int:
    try:
        return len(matched())
    except DDSException:  # the domain was closed meanwhile
        return 0


def _open(entity: Any, owner: Any) -> Any:
    if entity is None:
        raise InvalidStateError(f"{owner!r} cannot be used any more")
    return entity
