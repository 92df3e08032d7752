"""Publish and subscribe under keys: within one program, and what is common with transports between programs."""

import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rfx.arrays import number
from rfx.comm.envelope import TransportEnvelope, seal
from rfx.comm.keys import KeyExpr
from rfx.comm.mailbox import Mailbox
from rfx.comm.qos import QoS, profile
from rfx.comm.subscription import TransportSubscription
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError

if TYPE_CHECKING:
    from rfx.comm.zenoh_transport import ZenohTransport

_MOST_ROUTES = 4096
_MOST_LATCHED = 4096
_CAPACITY = 1024
_OVERFLOW = "drop_oldest"


class Transport:
    """Messages from whoever publishes to all who subscribe, within one program. Nothing is copied.

    :meth:`zenoh` makes one that reaches other programs, with the same methods.

    Notes
    -----
    Keys and patterns are those of Zenoh, see :class:`KeyExpr`. What one thread publishes under a key reaches each
    subscription in that order. Safe under threads.

    Examples
    --------
    >>> with Transport() as transport:
    ...     subscription = transport.subscribe("go2/*/state")
    ...     sent = transport.publish("go2/left/state", b"standing", {"unit": "none"})
    ...     subscription.recv().payload
    b'standing'
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may close what it interrupts
        self._subscriptions: dict[Mailbox, Any] = {}
        self._routes: dict[str, tuple[tuple[Mailbox, float], ...]] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self._order = threading.RLock()  # latched messages go out one after the other
        self._latch = threading.RLock()  # around what is kept, and the giving of it
        self._kept: dict[str, TransportEnvelope] = {}
        self._tokens: dict[object, str] = {}
        self._watchers: dict[object, tuple[KeyExpr, Callable[[str, bool], None]]] = {}

    @staticmethod
    def zenoh(
        *,
        connect: str | Iterable[str] = (),
        listen: str | Iterable[str] = (),
        shared_memory: bool = True,
        key_prefix: str = "",
        mode: str = "peer",
        scouting: bool = False,
        timeout: float | None = 3.0,
        pool_bytes: int = 2**24,
    ) -> "ZenohTransport":
        """Return a transport that reaches other programs by Zenoh, with a session of its own.

        Parameters
        ----------
        connect, listen, key_prefix, mode, scouting, timeout
            See :func:`rfx.comm.zenoh.open_session`.
        shared_memory : bool
            Whether messages to programs on the same host lie in shared memory: one copy into it, none out of it.
        pool_bytes : int
            Size of that memory, at least 65536. Where it is full, messages go by the network as without it; they are
            counted as ``pool_full``.

        Raises
        ------
        MissingDependencyError, RfxConnectionError, ConfigError, DTypeError, InvalidValueError
            See :func:`rfx.comm.zenoh.open_session`; also ConfigError where the system has no such shared memory.
        """
        from rfx.comm.zenoh import open_session
        from rfx.comm.zenoh_transport import ZenohTransport

        session = open_session(
            connect=connect,
            listen=listen,
            shared_memory=shared_memory,
            key_prefix=key_prefix,
            mode=mode,
            scouting=scouting,
            timeout=timeout,
        )
        try:
            return ZenohTransport(session, pool_bytes=pool_bytes)
        except BaseException:
            session.close()
            raise

    # -- out

    def publish(
        self,
        key: str,
        payload: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        qos: QoS | str | None = None,
    ) -> TransportEnvelope:
        """Hand a message to all subscriptions whose pattern intersects ``key``.

        Parameters
        ----------
        key : str
            A key expression; a pattern reaches all whose pattern has a key in common with it.
        payload : bytes, ndarray or another buffer
            Not copied: do not write into this memory afterwards, or publish a copy.
        metadata : mapping, optional
            Copied, one level deep.
        qos : QoS or str, optional
            A profile or its name; without one the publisher waits where a subscription has it wait.

        Returns
        -------
        TransportEnvelope
            What the subscribers get.

        Raises
        ------
        DTypeError, InvalidValueError, ConfigError
            A payload without memory to look at, metadata that is no mapping; no key expression, or a pattern with a
            latched profile; no profile.
        InvalidStateError
            The transport is closed; more than 4096 latched keys.

        Notes
        -----
        Waits only for subscriptions with ``overflow="block"``, no longer than their ``block_timeout`` each.
        """
        if qos is not None:
            return self._publish_with(key, payload, metadata, profile(qos))
        route = self._routes.get(key) if type(key) is str else None
        if route is None:
            route = self._find_route(str(KeyExpr(key)))
        if self._closed:
            raise InvalidStateError("expected an open transport, got one that is closed")
        envelope = seal(str(key), self._numbers, metadata, payload)
        for mailbox, wait in route:
            try:
                mailbox.put(envelope, wait)
            except InvalidStateError:  # unsubscribed just now, or nobody has the subscription any more
                self._sweep()
        return envelope

    def _publish_with(self, key: str, payload: Any, metadata: Any, qos: QoS | None) -> TransportEnvelope:
        assert qos is not None
        if not qos.latched:
            envelope, route = self._sealed(key, payload, metadata)
            self._hand_on(envelope, route, qos)
            return envelope
        latched_key(key, len(self._kept), self._kept)
        with self._order:
            with self._latch:  # so that who subscribes meanwhile gets each message once, in order
                envelope, route = self._sealed(key, payload, metadata)
                self._kept[envelope.key] = envelope
            self._hand_on(envelope, route, qos)  # may wait for room, and others may subscribe meanwhile
        return envelope

    def _sealed(self, key: str, payload: Any, metadata: Any) -> tuple[TransportEnvelope, Any]:
        route = self._find_route(str(KeyExpr(key)))
        if self._closed:
            raise InvalidStateError("expected an open transport, got one that is closed")
        return seal(str(key), self._numbers, metadata, payload), route

    def _hand_on(self, envelope: TransportEnvelope, route: Any, qos: QoS) -> None:
        for mailbox, wait in route:
            try:
                mailbox.put(envelope, wait if qos.congestion == "block" else 0.0)
            except InvalidStateError:
                self._sweep()

    # -- in

    def subscribe(
        self,
        pattern: str,
        capacity: int = _CAPACITY,
        *,
        overflow: str = _OVERFLOW,
        block_timeout: float = 1.0,
        callback: Callable[[TransportEnvelope], Any] | None = None,
        qos: QoS | str | None = None,
    ) -> TransportSubscription:
        """Have all messages kept whose key matches ``pattern``, from now on until the subscription ends or is let go.

        Parameters
        ----------
        pattern : str
            A key expression.
        capacity : int
            Most messages that wait, at least 1.
        overflow : {"drop_oldest", "drop_newest", "block"}
            What a message finds where that many wait: the oldest of them goes; it goes itself; its publisher waits up
            to ``block_timeout`` seconds for room, then it goes. What goes is counted as ``dropped``.
        block_timeout : float
            Above; at least 0.
        callback : callable, optional
            Called with each message, one after the other, in a thread of the subscription's own; after the end with
            those that came before it. What it raises is counted as ``failed`` and goes to ``threading.excepthook``.
        qos : QoS or str, optional
            A profile or its name, in place of ``capacity`` and ``overflow``. Latched, the newest message of each key that
            was published latched comes first.

        Raises
        ------
        DTypeError, InvalidValueError, ConfigError
            No key expression; a capacity below 1; an unknown overflow; a callback that cannot be called; no profile, or
            one and a ``capacity`` or ``overflow`` too.
        InvalidStateError
            The transport is closed.
        """
        if callback is not None and not callable(callback):
            raise DTypeError(f"expected callback to be callable, got {type(callback).__name__}")
        if capacity is None:
            raise ConfigError("expected a capacity, got None: what nobody takes out must not grow without end")
        wait = number(block_timeout, "block_timeout", minimum=0.0)
        asked = profile(qos)
        if asked is not None:
            if (capacity, overflow) != (_CAPACITY, _OVERFLOW):
                raise ConfigError("expected either qos or capacity and overflow, got both")
            capacity, overflow = asked.depth, asked.overflow
        expression, mailbox = KeyExpr(pattern), Mailbox(capacity, overflow)
        self._sweep()  # what was let go since
        subscription = TransportSubscription(str(expression), mailbox, self.unsubscribe, callback)
        latched = asked is not None and asked.latched
        self._join(subscription, expression, mailbox, wait if overflow == "block" else 0.0, latched)
        weakref.finalize(subscription, mailbox.close).atexit = False
        subscription._start()
        return subscription

    def _join(
        self, subscription: TransportSubscription, expression: KeyExpr, mailbox: Mailbox, wait: float, latched: bool
    ) -> None:
        # have messages put into the mailbox, those that are kept before others
        with self._latch:
            with self._lock:
                if self._closed:
                    raise InvalidStateError("expected an open transport, got one that is closed")
                self._enter(mailbox, (expression, wait))
                kept = [e for k, e in self._kept.items() if expression.intersects(k)] if latched else []
            for envelope in sorted(kept, key=lambda e: e.sequence):
                mailbox.put(envelope, 0.0)

    def _enter(self, mailbox: Mailbox, entry: Any) -> None:
        # with the lock; a signal handler in this thread may close the transport all the same
        self._subscriptions[mailbox] = entry
        self._routes = {}
        if self._closed:
            self._subscriptions.pop(mailbox, None)
            mailbox.close()
            raise InvalidStateError("expected an open transport, got one that was closed meanwhile")

    def _leave(self, entry: Any) -> None:
        # what there is to undo for one that ended; without the lock
        return

    def unsubscribe(self, subscription: TransportSubscription) -> bool:
        """End a subscription; return whether it was one of this transport. What waits in it can still be taken."""
        if not isinstance(subscription, TransportSubscription):
            raise DTypeError(f"expected a TransportSubscription, got {type(subscription).__name__}")
        with self._lock:
            entry = self._subscriptions.pop(subscription._mailbox, None)
            self._routes = {}
        if entry is None:
            return False
        self._leave(entry)
        subscription._mailbox.close()
        return True

    def _sweep(self) -> None:
        # leave out what is closed: subscriptions that were let go of close their mailbox
        with self._lock:
            ended = [m for m in list(self._subscriptions) if m.closed]
            left = [self._subscriptions.pop(m) for m in ended if m in self._subscriptions]
            if left:
                self._routes = {}
        for entry in left:
            self._leave(entry)

    def _find_route(self, key: str) -> tuple[tuple[Mailbox, float], ...]:
        route = self._routes.get(key)
        if route is not None:
            return route
        with self._lock:
            if len(self._routes) >= _MOST_ROUTES:
                self._routes = {}
            routes = self._routes  # another one, if somebody comes or goes meanwhile
            route = tuple((m, wait) for m, (e, wait) in list(self._subscriptions.items()) if e.intersects(key))
            routes[key] = route
        return route

    # -- who is there

    def _declare_token(self, key: str) -> Callable[[], None]:
        # be seen under a key by all who watch, until what is returned is called
        mark = object()
        with self._latch:
            if self._closed:
                raise InvalidStateError("expected an open transport, got one that is closed")
            self._tokens[mark] = key
            self._tell(key, True)

        def undeclare() -> None:
            with self._latch:
                if self._tokens.pop(mark, None) is not None:
                    self._tell(key, False)

        return undeclare

    def _watch_tokens(self, pattern: str, function: Callable[[str, bool], None]) -> Callable[[], None]:
        # have function(key, there) called for each token, those that are there already first
        mark, expression = object(), KeyExpr(pattern)
        with self._latch:
            if self._closed:
                raise InvalidStateError("expected an open transport, got one that is closed")
            self._watchers[mark] = expression, function
            for key in self._tokens.values():
                if expression.intersects(key):
                    function(key, True)

        def stop() -> None:
            with self._latch:
                self._watchers.pop(mark, None)

        return stop

    def _tell(self, key: str, there: bool) -> None:
        for expression, function in list(self._watchers.values()):
            if expression.intersects(key):
                function(key, there)

    # -- all of it

    @property
    def subscriber_count(self) -> int:
        """How many subscriptions there are."""
        self._sweep()
        return len(self._subscriptions)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def close(self) -> None:
        """End all subscriptions and publish no more. A second time does nothing."""
        with self._lock:
            self._closed = True
            ended, self._subscriptions, self._routes = self._subscriptions, {}, {}
        for mailbox, entry in ended.items():
            self._leave(entry)
            mailbox.close()
        self._kept = {}

    def __enter__(self) -> "Transport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(subscribers={self.subscriber_count}{', closed' if self._closed else ''})"


def latched_key(key: str, count: int, there: Any) -> None:
    """Refuse a pattern, or one key too many, for what is kept."""
    if KeyExpr(key).is_pattern:
        raise InvalidValueError(f"expected a key without wildcards with a latched profile, got {key!r}")
    if count >= _MOST_LATCHED and str(key) not in there:
        raise InvalidStateError(f"expected at most {_MOST_LATCHED} latched keys, got one more: {key!r}")
