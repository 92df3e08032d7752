"""The newest message of a key, kept by who sent it and asked for by who comes later; over Zenoh.

Who publishes answers queries for the key, and then shows a token. Who subscribes watches such tokens, those that are
there and those that come, and asks for the key of each: whichever of the two, or the connection between them, came last.
"""

import contextlib
import threading
from typing import Any

TOKENS = "@rfx/latched"


class LatchedPublisher:
    """A Zenoh publisher that answers queries with what it put last.

    Parameters
    ----------
    zenoh : module
    raw : zenoh.Session
    key : str
    source : int
        Who sends.
    options
        Of ``declare_publisher``.
    """

    def __init__(self, zenoh: Any, raw: Any, key: str, source: int, **options: Any) -> None:
        self.lock = threading.RLock()  # around what gives a message its number and sends it
        self._key = key
        self._last: tuple[Any, bytes] | None = None
        self._publisher = raw.declare_publisher(key, **options)
        self._queryable = raw.declare_queryable(key, zenoh.handlers.Callback(self._answer, indirect=False))
        self._raw, self._token_key = raw, f"{TOKENS}/{source:016x}/{key}"
        self._token: Any = None
        self._over = False

    def put(self, content: Any, *, attachment: bytes) -> None:
        """Send a message, and keep it in place of the one before."""
        self._last = content, attachment
        self._publisher.put(content, attachment=attachment)
        if self._token is None:
            self._token = self._raw.liveliness().declare_token(self._token_key)
            if self._over:  # by another thread just now
                self._token.undeclare()

    def _answer(self, query: Any) -> None:
        with query:
            if self._last is not None:
                content, attachment = self._last
                query.reply(self._key, content, attachment=attachment)

    @property
    def reliability(self) -> Any:
        """That of the publisher."""
        return self._publisher.reliability

    def undeclare(self) -> None:
        """Keep nothing any more."""
        self._over = True
        if self._token is not None:
            self._token.undeclare()
        self._queryable.undeclare()
        self._publisher.undeclare()


class LatchedSubscriber:
    """A Zenoh subscriber that asks for what is kept.

    Parameters
    ----------
    zenoh : module
    raw : zenoh.Session
    pattern : str
    inbox : Inbox
        Called with each message, and with what is kept.
    """

    def __init__(self, zenoh: Any, raw: Any, pattern: str, inbox: Any) -> None:
        self._zenoh, self._raw, self._inbox = zenoh, raw, inbox
        callback = zenoh.handlers.Callback
        self._subscriber = raw.declare_subscriber(pattern, callback(inbox, indirect=False))
        self._tokens = raw.liveliness().declare_subscriber(
            f"{TOKENS}/*/{pattern}", callback(self._ask, indirect=False), history=True
        )

    def _ask(self, token: Any) -> None:
        zenoh = self._zenoh
        if token.kind == zenoh.SampleKind.PUT:
            chunks = str(token.key_expr).split("/", 3)  # it may come from anybody
            if len(chunks) == 4:
                with contextlib.suppress(zenoh.ZError):  # the session is closed meanwhile
                    self._raw.get(
                        chunks[3],
                        zenoh.handlers.Callback(self._answered, indirect=False),
                        target=zenoh.QueryTarget.ALL,
                        consolidation=zenoh.ConsolidationMode.NONE,
                    )

    def _answered(self, reply: Any) -> None:
        if reply.ok is not None and reply.ok.attachment is not None:
            self._inbox(reply.ok)

    def undeclare(self) -> None:
        """Ask and hear no more."""
        self._tokens.undeclare()
        self._subscriber.undeclare()
