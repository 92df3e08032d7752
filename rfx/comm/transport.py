"""Publish and subscribe under keys, within one program."""

import itertools
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from rfx.arrays import number
from rfx.comm.envelope import TransportEnvelope, seal
from rfx.comm.keys import KeyExpr
from rfx.comm.mailbox import Mailbox
from rfx.comm.subscription import TransportSubscription
from rfx.errors import ConfigError, DTypeError, InvalidStateError

_MOST_ROUTES = 4096


class Transport:
    """Messages from whoever publishes to all who subscribe, within one program. Nothing is copied.

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
        self._lock = threading.Lock()
        self._subscriptions: dict[Mailbox, tuple[KeyExpr, float]] = {}
        self._routes: dict[str, tuple[tuple[Mailbox, float], ...]] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    def publish(self, key: str, payload: Any, metadata: Mapping[str, Any] | None = None) -> TransportEnvelope:
        """Hand a message to all subscriptions whose pattern intersects ``key``.

        Parameters
        ----------
        key : str
            A key expression; a pattern reaches all whose pattern has a key in common with it.
        payload : bytes, ndarray or another buffer
            Not copied: do not write into this memory afterwards, or publish a copy.
        metadata : mapping, optional
            Copied, one level deep.

        Returns
        -------
        TransportEnvelope
            What the subscribers get.

        Raises
        ------
        DTypeError, InvalidValueError
            A payload without memory to look at, metadata that is no mapping; no key expression.
        InvalidStateError
            The transport is closed.

        Notes
        -----
        Waits only for subscriptions with ``overflow="block"``, no longer than their ``block_timeout`` each.
        """
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

    def subscribe(
        self,
        pattern: str,
        capacity: int = 1024,
        *,
        overflow: str = "drop_oldest",
        block_timeout: float = 1.0,
        callback: Callable[[TransportEnvelope], Any] | None = None,
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

        Raises
        ------
        DTypeError, InvalidValueError, ConfigError
            No key expression; a capacity below 1; an unknown overflow; a callback that cannot be called.
        InvalidStateError
            The transport is closed.
        """
        if callback is not None and not callable(callback):
            raise DTypeError(f"expected callback to be callable, got {type(callback).__name__}")
        if capacity is None:
            raise ConfigError("expected a capacity, got None: what nobody takes out must not grow without end")
        wait = number(block_timeout, "block_timeout", minimum=0.0)
        expression, mailbox = KeyExpr(pattern), Mailbox(capacity, overflow)
        subscription = TransportSubscription(str(expression), mailbox, self.unsubscribe, callback)
        with self._lock:
            if self._closed:
                raise InvalidStateError("expected an open transport, got one that is closed")
            self._subscriptions[mailbox] = expression, wait if overflow == "block" else 0.0
            self._routes = {}
        weakref.finalize(subscription, mailbox.close).atexit = False
        subscription._start()
        return subscription

    def unsubscribe(self, subscription: TransportSubscription) -> bool:
        """End a subscription; return whether it was one of this transport. What waits in it can still be taken."""
        if not isinstance(subscription, TransportSubscription):
            raise DTypeError(f"expected a TransportSubscription, got {type(subscription).__name__}")
        with self._lock:
            found = self._subscriptions.pop(subscription._mailbox, None) is not None
            self._routes = {}
        if found:
            subscription._mailbox.close()
        return found

    def _sweep(self) -> None:
        # leave out what is closed: subscriptions that were let go of close their mailbox
        with self._lock:
            self._subscriptions = {m: s for m, s in self._subscriptions.items() if not m.closed}
            self._routes = {}

    def _find_route(self, key: str) -> tuple[tuple[Mailbox, float], ...]:
        with self._lock:
            route = tuple((m, wait) for m, (e, wait) in self._subscriptions.items() if e.intersects(key))
            if len(self._routes) >= _MOST_ROUTES:
                self._routes = {}
            self._routes[key] = route
        return route

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
        for mailbox in ended:
            mailbox.close()

    def __enter__(self) -> "Transport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Transport(subscribers={self.subscriber_count}{', closed' if self._closed else ''})"
