"""Publish and subscribe under keys, between programs: by Zenoh."""

import contextlib
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from rfx.arrays import integer
from rfx.comm.keys import KeyExpr
from rfx.comm.latch import LatchedPublisher, LatchedSubscriber
from rfx.comm.mailbox import Mailbox
from rfx.comm.post import Inbox, Outbox, Sender
from rfx.comm.qos import QoS
from rfx.comm.shm import in_shared, place_known
from rfx.comm.subscription import TransportSubscription
from rfx.comm.transport import Transport, latched_key
from rfx.comm.zenoh import Session, load
from rfx.errors import ConfigError, DTypeError, InvalidStateError, RfxConnectionError

_MOST_OUTBOXES = 1024
_LEAST_SHARED = 4096  # bytes; less goes faster with the message itself


class ZenohTransport(Sender, Transport):
    """Messages from whoever publishes to all who subscribe, in this program and in others that its session reaches.

    Made by :meth:`Transport.zenoh`, with the methods of :class:`Transport`. What is different:

    - metadata are what JSON has, at most 64 KiB of it, with keys of type str; they come as JSON makes them (a tuple as a list);
    - a payload comes as bytes, an array as an array of its dtype and shape; what lies in shared memory comes as a view of
      that memory, read-only: an array, or a memoryview;
    - ``publish`` without a profile waits where the way is full. Where another program takes nothing for 5 seconds, its
      connection is ended;
    - 256 messages more than its capacity are on the way to a subscription; where it waits (``overflow="block"``) and they
      are there too, it holds up what else comes to this transport. Any other does so only where more come within 1 ms
      after a ``recv``, until that has passed;
    - in the ``counts`` of a subscription are ``refused`` (what it could not read), ``lost`` (gaps in what a sender sent)
      and ``shared`` (what lay in shared memory).

    Parameters
    ----------
    session : Session
        Of :func:`rfx.comm.zenoh.open_session`; it is closed with the transport.
    pool_bytes : int
        See :meth:`Transport.zenoh`.
    """

    def __init__(self, session: Session, *, pool_bytes: int = 2**24) -> None:
        super().__init__()
        if not isinstance(session, Session):
            raise DTypeError(f"expected session to be a Session of rfx.comm.zenoh, got {type(session).__name__}")
        size = integer(pool_bytes, "pool_bytes", minimum=65536, maximum=2**40)
        self.session = session
        self._zenoh = load()
        self._pool = SharedPool(self._zenoh, size) if session.shared_memory else None
        self._outboxes = {}
        self._latched: dict[str, tuple[Outbox, Any]] = {}
        self._outbox_lock = threading.RLock()  # a signal handler may publish, or close
        self._shown: dict[object, Any] = {}
        _transports.add(self)

    # -- out

    def _forgotten(self, key: str, outbox: Any, error: Exception) -> bool:
        # whether an error of Zenoh means that another thread just made room of this outbox; raises what else it means
        if not isinstance(error, self._zenoh.ZError):
            return False
        if self._closed or self.session.closed:
            raise InvalidStateError("expected an open transport, got one that is closed") from error
        if outbox is not None and not any(outbox is there for there in list(self._outboxes.values())):
            return True
        raise RfxConnectionError(f"expected Zenoh to send a message under {key!r}, got {error}") from error

    def _outbox(self, key: str, qos: QoS | None) -> tuple[Outbox, Any]:
        text = str(KeyExpr(key))
        if qos is not None and qos.latched:
            latched_key(text, len(self._latched), self._latched)
        if qos is not None and qos.reliability == "reliable":
            datagrams = [e for e in (*self.session.connect, *self.session.listen) if e.startswith("udp/")]
            if datagrams:
                raise ConfigError(f'expected reliability "best_effort" over {datagrams[0]}, got "reliable"')
        name = text if qos is None else (text, qos)
        with self._outbox_lock:
            if self._closed or self.session.closed:
                raise InvalidStateError("expected an open transport, got one that is closed")
            found = self._outboxes.get(name)
            if found is not None:
                return found
            if len(self._outboxes) - len(self._latched) >= _MOST_OUTBOXES:
                self._forget()
            before = self._latched.pop(text, None) if qos is not None and qos.latched else None
            if before is not None:  # another profile keeps the messages of this key from now on
                self._outboxes = {n: o for n, o in self._outboxes.items() if o is not before}
                before[1].undeclare()
            publisher = self._declare(text, qos)
            found = self._outboxes.get(name)
            if found is not None:  # a signal handler was here
                publisher.undeclare()
                return found
            lock = publisher.lock if isinstance(publisher, LatchedPublisher) else None
            made = Outbox(text, publisher.put, secrets.randbits(64), self._pool, lock), publisher
            if qos is not None and qos.latched:
                self._latched[text] = made
            self._outboxes[name] = made
        return made

    def _declare(self, key: str, qos: QoS | None) -> Any:
        zenoh = self._zenoh
        raw, used = self.session.raw, qos or QoS.DEFAULT
        options = {
            "congestion_control": getattr(zenoh.CongestionControl, used.congestion.upper()),
            "priority": getattr(zenoh.Priority, used.priority.upper()),
            "express": used.express,
            "reliability": getattr(zenoh.Reliability, used.reliability.upper()),
        }
        if used.latched:
            return LatchedPublisher(zenoh, raw, key, secrets.randbits(64), **options)
        return raw.declare_publisher(key, **options)

    def _forget(self) -> None:
        # all publishers but those that keep a message; made anew, they have another source
        kept = {id(o) for o in self._latched.values()}
        for name, made in [*self._outboxes.items()]:
            if id(made) not in kept:
                del self._outboxes[name]
                made[1].undeclare()

    @property
    def pool_full(self) -> int:
        """Messages that went by the network because the shared memory was full."""
        return 0 if self._pool is None else self._pool.full

    # -- in

    def _join(
        self, subscription: TransportSubscription, expression: KeyExpr, mailbox: Mailbox, wait: float, latched: bool
    ) -> None:
        zenoh = self._zenoh
        inbox = Inbox(mailbox, wait, zenoh, latched, self._pool is not None)
        with self._lock, self._declaring(f"subscribe to {expression}"):
            self._check()
            declared: Any
            if latched:
                declared = LatchedSubscriber(zenoh, self.session.raw, str(expression), inbox)
            else:
                declared = self.session.feed(str(expression), inbox, mailbox)
                subscription._source = declared
            self._enter(mailbox, (declared, inbox))
        subscription._inbox = inbox

    def _leave(self, entry: Any) -> None:
        declared, inbox = entry
        inbox.hurry()
        if not self.session.closed:
            declared.undeclare()

    # -- who is there

    def _declare_token(self, key: str) -> Callable[[], None]:
        with self._declaring(f"show {key}"):
            self._check()
            token, mark = self.session.raw.liveliness().declare_token(key), object()
        self._shown[mark] = token  # one that nobody has is taken back

        def undeclare() -> None:
            if self._shown.pop(mark, None) is not None and not self.session.closed:
                token.undeclare()

        return undeclare

    def _watch_tokens(self, pattern: str, function: Callable[[str, bool], None]) -> Callable[[], None]:
        put = self._zenoh.SampleKind.PUT

        def seen(sample: Any) -> None:
            function(str(sample.key_expr), sample.kind == put)

        handler = self._zenoh.handlers.Callback(seen, indirect=False)
        with self._declaring(f"watch {pattern}"):
            self._check()
            watchers = [self.session.raw.liveliness().declare_subscriber(pattern, handler, history=True)]

        def stop() -> None:
            with contextlib.suppress(IndexError):  # it was stopped before
                watcher = watchers.pop()
                if not self.session.closed:
                    watcher.undeclare()

        return stop

    # -- all of it

    @contextlib.contextmanager
    def _declaring(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._zenoh.ZError as error:
            self._check()  # another thread may have closed it meanwhile
            raise RfxConnectionError(f"expected Zenoh to {what}, got {error}") from error

    def _check(self) -> None:
        if self._closed or self.session.closed:
            raise InvalidStateError("expected an open transport, got one that is closed")

    def close(self) -> None:
        """End all subscriptions, publish no more, close the session. A second time does nothing."""
        super().close()
        with self._outbox_lock:
            self._outboxes, self._latched, self._shown = {}, {}, {}
        self.session.close()
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> "ZenohTransport":
        return self

    def __repr__(self) -> str:
        return f"ZenohTransport({self.session!r}, subscribers={self.subscriber_count})"


_transports: "weakref.WeakSet[ZenohTransport]" = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    # in a program that was forked, where nobody sends any more: publishing says so
    for transport in list(_transports):
        transport._outbox_lock, transport._outboxes, transport._latched = threading.RLock(), {}, {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


class SharedPool:
    """Shared memory that payloads are copied into.

    Attributes
    ----------
    least : int
        Bytes of the smallest payload that is worth it.
    full : int
        Payloads that found no room.
    """

    def __init__(self, zenoh: Any, size: int) -> None:
        free = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
        if free is not None and free.f_bavail * free.f_frsize < size:
            room = free.f_bavail * free.f_frsize
            raise ConfigError(f"expected {size} bytes of shared memory for pool_bytes, got {room} in /dev/shm")
        self._zenoh = zenoh
        self.least = _LEAST_SHARED
        self.full = 0
        self._counting = threading.RLock()
        self._place = place_known(zenoh)
        self._policy = zenoh.shm.GarbageCollect()
        try:
            self._provider: Any = zenoh.shm.ShmProvider.default_backend(size)
        except zenoh.ZError as error:
            raise ConfigError(f"expected {size} bytes of shared memory, got none: pass shared_memory=False") from error

    def close(self) -> None:
        """Hold nothing more. The memory is given back when nobody looks at it any more."""
        self._provider = None

    def hold(self, array: Any) -> Any:
        """Return a copy of an array in shared memory, as Zenoh sends it; None where there is no room."""
        size = array.nbytes
        try:
            buffer = self._provider.alloc(size, self._policy)
        except (self._zenoh.ZError, AttributeError):  # full; closed meanwhile
            with self._counting:
                self.full += 1
            return None
        place = in_shared(buffer, size, array.shape, array.dtype) if self._place else None
        if place is None:
            buffer[0:size] = array.tobytes()
        else:
            place[...] = array
            del place
        return self._zenoh.ZBytes(buffer)

    def __repr__(self) -> str:
        return f"SharedPool(full={self.full})"
