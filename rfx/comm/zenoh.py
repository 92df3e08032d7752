"""The one door to Zenoh (the package ``zenoh`` of eclipse-zenoh): sessions with no address but those that are given."""

import _thread
import atexit
import json
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from rfx.arrays import number
from rfx.comm.feed import Feed, never_free
from rfx.comm.keys import KeyExpr
from rfx.comm.mailbox import Mailbox
from rfx.comm.post import Inbox
from rfx.errors import ConfigError, DTypeError, InvalidStateError, MissingDependencyError, RfxConnectionError

_PATIENCE = 5.0  # seconds, when the program ends
_GLANCE = 0.1  # seconds of one wait
_AHEAD = 256  # messages that wait in the queue of a feed
MODES = ("peer", "client")
_WITH_PORT = re.compile(r"(?:tcp|udp|tls|quic|ws)/(?:\[[^][\s/]+\]|[^][\s/:?#]+):(\d{1,5})(?:\?[^\s#]*)?(?:#\S*)?")
_WITHOUT_PORT = re.compile(r"(?:unixsock-stream|unixpipe|serial|vsock)/\S+")
_CAUSE = re.compile(r"([^:\[\]]*\(os error \d+\))")


def load() -> Any:
    """Return the module ``zenoh``, or raise MissingDependencyError that says what to install."""
    try:
        import zenoh
        import zenoh.handlers
        import zenoh.shm
    except ImportError as error:
        raise MissingDependencyError(
            'Zenoh needs the package eclipse-zenoh: install the extra "zenoh" (rfx[zenoh])'
        ) from error
    return zenoh


class Session:
    """An open Zenoh session. It ends with :meth:`close`, its ``with`` block, its last reference, or the program.

    Attributes
    ----------
    raw : zenoh.Session
        What declares publishers, subscribers, queryables and tokens.
    mode, connect, listen, key_prefix, shared_memory
        As it was opened.
    """

    def __init__(
        self,
        raw: Any,
        mode: str,
        connect: tuple[str, ...],
        listen: tuple[str, ...],
        key_prefix: str,
        shared_memory: bool,
    ) -> None:
        self.raw = raw
        self.mode, self.connect, self.listen = mode, connect, listen
        self.key_prefix, self.shared_memory = key_prefix, shared_memory
        self._feeds: set[Feed] = set()
        # also when the program ends: a session with callbacks that outlives the interpreter's end waits for ever
        self._close = weakref.finalize(self, _end, raw, self._feeds)
        _sessions.add(self)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    @property
    def id(self) -> str:
        """Its name among all sessions in the world: hexadecimal digits."""
        return str(self.raw.zid())

    def peers(self) -> tuple[str, ...]:
        """Return the ids of the sessions that this one is connected to now."""
        if self.closed:
            raise InvalidStateError("expected an open session, got one that is closed")
        info = self.raw.info
        return tuple(str(i) for i in [*info.routers_zid(), *info.peers_zid()])

    def subscribe(self, pattern: str, function: Callable[[Any], Any]) -> Any:
        """Have ``function(sample)`` called for each message, and return what ends that by ``undeclare()``.

        It is called in the thread that brings the messages, with nothing in between: it should not wait. (What Zenoh's own
        ``raw.declare_subscriber(pattern, function)`` starts is a thread that a program waits for when it ends.)
        """
        if not callable(function):
            raise DTypeError(f"expected function to be callable, got {type(function).__name__}")
        if self.closed:
            raise InvalidStateError("expected an open session, got one that is closed")
        return self.raw.declare_subscriber(str(KeyExpr(pattern)), load().handlers.Callback(function, indirect=False))

    def feed(self, pattern: str, inbox: Inbox, mailbox: Mailbox) -> Feed:
        """Have ``inbox(sample)``, which puts into ``mailbox``, called for each message; 256 more can wait for it.

        Who takes them by :meth:`Feed.get` does so in its own thread, and another is there while nobody does.
        """
        if self.closed:
            raise InvalidStateError("expected an open session, got one that is closed")
        zenoh = load()
        subscriber = self.raw.declare_subscriber(str(KeyExpr(pattern)), zenoh.handlers.FifoChannel(_AHEAD))
        feed = Feed(subscriber, inbox, mailbox, zenoh.ZError, self._feeds)
        if self.closed:  # meanwhile: who closed it may not have seen this one
            feed.stop()
        return feed

    def close(self) -> None:
        """End it: what it declared is gone, its sockets are closed. A second time does nothing."""
        self._close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "".join(f", {n}={list(v)}" for n, v in (("connect", self.connect), ("listen", self.listen)) if v)
        return f"Session(mode={self.mode!r}{where}{', closed' if self.closed else ''})"


_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()
_ending: list[Any] = []  # for each that is being closed elsewhere a lock, released when it is


def _end(raw: Any, feeds: set[Feed]) -> None:
    if isinstance(threading.current_thread(), threading._DummyThread):
        ended = threading.Lock()
        ended.acquire()
        _ending.append(ended)
        _thread.start_new_thread(_end_here, (raw, feeds, ended))  # in a callback, Zenoh's thread would wait for itself
    else:
        _end_here(raw, feeds)


def _end_here(raw: Any, feeds: set[Feed], ended: Any = None) -> None:
    try:
        raw.close()
        while True:
            feed = feeds.pop()
            feed.stop()
            feed.join()
    except KeyError:  # that was all
        return
    finally:
        if ended is not None:
            _ending.remove(ended)
            ended.release()


@atexit.register
def _wait_for_ends() -> None:
    for ended in list(_ending):
        ended.acquire(timeout=_PATIENCE)


def _leave_to_the_parent() -> None:
    # in a program that was forked: it has none of the threads that work for a session, and waits for them for ever
    for session in list(_sessions):
        session._close.detach()
        never_free(session.raw)  # its end would wait, too
        for feed in list(session._feeds):
            feed.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def open_session(
    *,
    connect: str | Iterable[str] = (),
    listen: str | Iterable[str] = (),
    mode: str = "peer",
    shared_memory: bool = False,
    key_prefix: str = "",
    scouting: bool = False,
    timeout: float | None = 3.0,
) -> Session:
    """Open a Zenoh session.

    Nothing is sent or opened but what is given: unless ``scouting`` is asked for there is no multicast, and nobody
    tells the session of other addresses.

    Parameters
    ----------
    connect : str or sequence of str
        Endpoints to connect to, such as ``"tcp/192.168.123.18:7447"``: as a peer to each of them, as a client to the
        first that answers. A connection that is lost is made again when somebody listens there again.
    listen : str or sequence of str
        Endpoints that others can connect to, such as ``"tcp/127.0.0.1:7447"``.
    mode : {"peer", "client"}
        Peers hear those that they are connected to; clients hear, by way of the peer or router that they connect to,
        also its other clients.
    shared_memory : bool
        Whether messages to sessions on the same host may lie in shared memory.
    key_prefix : str
        A key put before all keys of this session, and taken off those that it gets.
    scouting : bool
        Whether to look for others by multicast and to let those that are found tell of more.
    timeout : float or None
        Most seconds to wait for ``connect``, at least 0. None, for a peer: do not wait, go on trying.

    Raises
    ------
    MissingDependencyError
        eclipse-zenoh is not installed.
    DTypeError, ConfigError, InvalidValueError
        No endpoints; an unknown mode; a client with nothing to connect to, or that listens; a prefix that is no key; a
        timeout below 0.
    RfxConnectionError
        Nobody listens at ``connect``, or ``listen`` is not ours to have.
    """
    to, at = _endpoints(connect, "connect"), _endpoints(listen, "listen")
    if mode not in MODES:
        raise ConfigError(f'expected mode to be "peer" or "client", got {mode!r}')
    if mode == "client" and (at or (not to and not scouting)):
        raise ConfigError(f"expected a client to connect and not to listen, got connect={to}, listen={at}")
    wait = None if timeout is None else number(timeout, "timeout", minimum=0.0, maximum=1e6)
    if wait is None and mode == "client":
        raise ConfigError("expected a timeout for a client, got None: only a peer can go on without a connection")
    if key_prefix and KeyExpr(key_prefix).is_pattern:
        raise ConfigError(f"expected key_prefix to be a key without wildcards, got {key_prefix!r}")
    zenoh = load()
    settings = {
        "mode": mode,
        "connect/endpoints": to,
        "connect/timeout_ms": -1 if wait is None else int(1000 * wait),
        "connect/exit_on_failure": wait is not None,
        "connect/retry": {"period_init_ms": 50, "period_max_ms": 1000, "period_increase_factor": 2},
        "listen/endpoints": at or (["tcp/[::]:0"] if scouting and mode == "peer" else []),
        "scouting/multicast/enabled": bool(scouting),
        "scouting/gossip/enabled": bool(scouting),
        "transport/shared_memory/enabled": bool(shared_memory),
        **({"namespace": key_prefix} if key_prefix else {}),
    }
    config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    try:
        raw = _open(zenoh, config)
    except zenoh.ZError as error:
        raise RfxConnectionError(_sentence(str(error), to, at, wait)) from error
    return Session(raw, mode, to, at, str(key_prefix), bool(shared_memory))


def _endpoints(given: str | Iterable[str], name: str) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, dict)):
        raise DTypeError(f"expected {name} to be endpoints, got {type(given).__name__}")
    found = tuple(texts)
    for text in found:
        if not isinstance(text, str):
            raise DTypeError(f"expected {name} to be endpoints of type str, got {type(text).__name__}")
        match = _WITH_PORT.fullmatch(text)
        if not (int(match[1]) < 2**16 if match else _WITHOUT_PORT.fullmatch(text)):
            raise ConfigError(f'expected {name} to be endpoints such as "tcp/127.0.0.1:7447", got {text!r}')
    return found


def _open(zenoh: Any, config: Any) -> Any:
    # in a thread, so that whoever waits can be interrupted; a session that comes too late is closed
    made: list[Any] = []
    lock, given_up = threading.Lock(), threading.Event()
    done = threading.Event()

    def work() -> None:
        try:
            session = zenoh.open(config)
        except BaseException as error:
            made.append(error)
        else:
            with lock:
                made.append(session)
                late = given_up.is_set()
            if late:
                session.close()
        done.set()

    try:
        threading.Thread(target=work, name="rfx:zenoh.open", daemon=True).start()
        while not done.wait(_GLANCE):  # a signal that comes just before the wait does not end it
            pass
    except BaseException:
        with lock:
            given_up.set()
            late = bool(made) and not isinstance(made[0], BaseException)
        if late:
            made[0].close()
        raise
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]


def _sentence(error: str, connect: tuple[str, ...], listen: tuple[str, ...], wait: float | None) -> str:
    cause = _CAUSE.search(error)
    if listen and "listen" in error:
        return f"expected to listen at {', '.join(listen)}, got {cause[1].strip() if cause else 'refused'}"
    if connect:
        return f"expected an answer from {', '.join(connect)} within {wait} s, got none"
    return f"expected a Zenoh session, got {error.partition(' at /')[0]}"
