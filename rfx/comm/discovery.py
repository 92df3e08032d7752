"""Who is there: nodes that announce themselves, and are gone when their program is."""

import base64
import binascii
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rfx.comm.channels import Receiver
from rfx.comm.keys import KeyExpr
from rfx.comm.mailbox import deadline
from rfx.comm.topic import Topic
from rfx.comm.transport import Transport
from rfx.comm.wire import metadata_bytes, metadata_of
from rfx.errors import CodecError, DTypeError, InvalidStateError, InvalidValueError, RfxTimeoutError

_ROOT = "@rfx/nodes"
_LOOK_S = 0.5  # between two looks whether the transport is still open
_MOST_INFO = 1024  # bytes of JSON: it is part of a key


@dataclass(frozen=True)
class NodeInfo:
    """A node that is there.

    Attributes
    ----------
    name, kind : str
        As announced.
    info : mapping
        As announced, read-only.
    id : str
        Tells it from others of its name.
    """

    name: str
    kind: str
    info: Mapping[str, Any] = field(hash=False)
    id: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _node, (self.name, self.kind, dict(self.info), self.id)


@dataclass(frozen=True)
class NodeEvent:
    """A change: ``what`` is "joined" or "left"."""

    what: str
    node: NodeInfo


class Announcement:
    """What :meth:`Discovery.announce` returns: the node is there until it is closed, or the transport or program ends."""

    def __init__(self, node: NodeInfo, undeclare: Callable[[], None]) -> None:
        self.node = node
        self._undeclare: Callable[[], None] | None = undeclare

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._undeclare is None

    def close(self) -> None:
        """Be there no more. A second time does nothing."""
        undeclare, self._undeclare = self._undeclare, None
        if undeclare is not None:
            undeclare()

    def __enter__(self) -> "Announcement":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Announcement({self.node.name!r}, kind={self.node.kind!r}{', closed' if self.closed else ''})"


class Discovery:
    """The nodes on a transport: those of this program, and over Zenoh those of all that its session reaches.

    A node whose program was killed is gone as soon as its connection is; one whose host fell silent, after Zenoh's lease
    (10 s).

    Parameters
    ----------
    transport : Transport

    Examples
    --------
    >>> transport = Transport()
    >>> with Discovery(transport) as discovery, discovery.announce("go2", "robot", {"hz": 50}):
    ...     discovery.wait_for("go2").info["hz"]
    50
    """

    def __init__(self, transport: Transport) -> None:
        if not isinstance(transport, Transport):
            raise DTypeError(f"expected transport to be a Transport, got {type(transport).__name__}")
        self._transport = transport
        self._changed = threading.Condition()
        self._nodes: dict[str, NodeInfo] = {}
        self._topic = Topic("nodes")
        self._closed = False
        self.refused = 0  # announcements that could not be read
        ours = weakref.ref(self)

        def seen(key: str, there: bool) -> None:
            discovery = ours()
            if discovery is not None:
                discovery._seen(key, there)

        self._stop: Callable[[], None] | None = transport._watch_tokens(f"{_ROOT}/**", seen)

    def announce(self, name: str, kind: str = "node", info: Mapping[str, Any] | None = None) -> Announcement:
        """Be seen as a node, until the announcement is closed.

        Parameters
        ----------
        name, kind : str
            One chunk of a key each: no ``/``, no wildcard, no ``@`` at its beginning.
        info : mapping, optional
            What others should know; what JSON has, at most 1024 bytes of it.

        Raises
        ------
        DTypeError, InvalidValueError
            Not such a name, kind or info.
        InvalidStateError
            This, or the transport, is closed.
        """
        for what, text in (("name", name), ("kind", kind)):
            if not isinstance(text, str):
                raise DTypeError(f"expected {what} to be a str, got {type(text).__name__}")
            if text.startswith("@") or "/" in text or KeyExpr(text).is_pattern:
                raise InvalidValueError(f"expected {what} to be one chunk of a key without wildcards, got {text!r}")
        if info is not None and not isinstance(info, Mapping):
            raise DTypeError(f"expected info to be a mapping or None, got {type(info).__name__}")
        packed = metadata_bytes(dict(info or {}))
        if len(packed) > _MOST_INFO:
            raise InvalidValueError(f"expected at most {_MOST_INFO} bytes of info, got {len(packed)}")
        self._check()
        node = _node(name, kind, metadata_of(packed), secrets.token_hex(8))
        text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        return Announcement(node, self._transport._declare_token(f"{_ROOT}/{node.id}/{kind}/{name}/{text}"))

    def nodes(self, kind: str | None = None) -> tuple[NodeInfo, ...]:
        """Return the nodes that are known to be there now, by name; with ``kind`` only those."""
        self._check()
        with self._changed:
            found = [n for n in self._nodes.values() if kind is None or n.kind == kind]
        return tuple(sorted(found, key=lambda n: (n.name, n.id)))

    def wait_for(self, name: str, timeout: float | None = 5.0) -> NodeInfo:
        """Return the node of this name, or of several one, as soon as it is there.

        Raises
        ------
        RfxTimeoutError
            It was not there within ``timeout`` seconds (None: as long as it takes).
        InvalidStateError
            This is closed, before or meanwhile.
        DTypeError, InvalidValueError
            A timeout that is no number, NaN or below 0.
        """
        end = deadline(timeout)
        with self._changed:
            while True:
                self._check()
                for node in self._nodes.values():
                    if node.name == name:
                        return node
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0.0:
                    there = ", ".join(sorted(n.name for n in self._nodes.values())) or "none"
                    raise RfxTimeoutError(f"expected a node {name!r} within {timeout} s, got {there}")
                self._changed.wait(_LOOK_S if left is None else min(left, _LOOK_S))

    def changes(self, capacity: int = 1024) -> Receiver:
        """Return a receiver of :class:`NodeEvent`: one "joined" for each node that is there, then what changes.

        Of more than ``capacity`` that wait the oldest are dropped, and counted.
        """
        with self._changed:
            self._check()
            receiver = self._topic.subscribe(capacity)
            for node in self._nodes.values():
                receiver._mailbox.put(NodeEvent("joined", node), 0.0)
        return receiver

    def _seen(self, key: str, there: bool) -> None:
        with self._changed:
            if self._closed or there == (key in self._nodes):
                return
            if there:
                try:
                    node = self._nodes[key] = _read(key)
                except CodecError:
                    self.refused += 1
                    return
            else:
                node = self._nodes.pop(key)
            self._topic.publish(NodeEvent("joined" if there else "left", node))
            self._changed.notify_all()

    def _check(self) -> None:
        if self._closed or self._transport.closed:
            raise InvalidStateError("expected an open Discovery on an open transport, got one that is closed")

    def close(self) -> None:
        """Watch no more; what was announced stays. A second time does nothing."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        with self._changed:
            self._closed = True
            self._topic.close()
            self._changed.notify_all()

    def __enter__(self) -> "Discovery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"Discovery(nodes={[n.name for n in self._nodes.values()]}{closed})"


def _node(name: str, kind: str, info: dict[str, Any], node_id: str) -> NodeInfo:
    return NodeInfo(name, kind, MappingProxyType(info), node_id)


def _read(key: str) -> NodeInfo:
    # it may come from anybody
    chunks = key[len(_ROOT) + 1 :].split("/")
    if len(chunks) != 4 or len(key) > 4096:
        raise CodecError(f"expected a node's id, kind, name and info, got {key[:80]!r}")
    node_id, kind, name, text = chunks
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise CodecError(f"expected a node's info in base64, got {text[:40]!r}") from error
    return _node(name, kind, metadata_of(packed), node_id)
