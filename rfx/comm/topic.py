"""One subject, many who listen."""

import threading
from typing import Any

from rfx.comm.channels import Receiver
from rfx.comm.mailbox import Mailbox
from rfx.errors import ConfigError, DTypeError, InvalidStateError


class Topic:
    """Hands each object that is published to every subscriber. Nothing is copied.

    Parameters
    ----------
    name : str
    latch : bool
        Whether who subscribes gets the newest object at once, if there was one.

    Notes
    -----
    All subscribers get all objects in one order. One that is slow loses what its capacity does not hold, counted, and
    stays. Safe under threads.

    Examples
    --------
    >>> topic = Topic("mode", latch=True)
    >>> topic.publish("stand")
    0
    >>> topic.subscribe().recv()
    'stand'
    """

    def __init__(self, name: str, *, latch: bool = False) -> None:
        if not isinstance(name, str):
            raise DTypeError(f"expected name to be a str, got {type(name).__name__}")
        self.name = name
        self.latch = bool(latch)
        self._lock = threading.RLock()  # what is dropped, and a signal handler, may publish in its turn
        self._last: Any = None
        self._mailboxes: list[Mailbox] = []
        self._closed = False

    def publish(self, item: Any) -> int:
        """Hand any object but None to all subscribers; return how many there are."""
        if item is None:
            raise DTypeError("expected an object to publish, got None, which stands for nothing")
        with self._lock:
            if self._closed:
                raise InvalidStateError("expected an open topic, got one that is closed")
            if self.latch:
                self._last = item
            if any(m.closed for m in self._mailboxes):
                self._mailboxes = [m for m in self._mailboxes if not m.closed]
            reached = 0
            for mailbox in self._mailboxes:
                try:
                    mailbox.put(item, 0.0)
                except InvalidStateError:  # closed just now
                    continue
                reached += 1
        return reached

    def subscribe(self, capacity: int = 10, *, overflow: str = "drop_oldest") -> Receiver:
        """Return a receiver of what is published from now on, after the newest before if that is latched.

        Parameters
        ----------
        capacity : int
            Most objects that wait.
        overflow : {"drop_oldest", "drop_newest"}
            What goes where that many wait. It is counted: ``receiver.counts["dropped"]``.
        """
        if overflow == "block" or capacity is None:
            raise ConfigError("expected a capacity, and drop_oldest or drop_newest: no subscriber holds up the others")
        mailbox = Mailbox(capacity, overflow)
        with self._lock:
            if self._closed:
                raise InvalidStateError("expected an open topic, got one that is closed")
            if self._last is not None:
                mailbox.put(self._last)
            self._mailboxes.append(mailbox)
        return Receiver(mailbox)

    @property
    def subscriber_count(self) -> int:
        """How many subscribers there are that have not closed their receiver."""
        return sum(not m.closed for m in self._mailboxes)

    def close(self) -> None:
        """Publish no more; subscribers still get what waits. A second time does nothing."""
        with self._lock:
            self._closed = True
            for mailbox in self._mailboxes:
                mailbox.close()

    def __repr__(self) -> str:
        return f"Topic({self.name!r}, latch={self.latch}, subscribers={self.subscriber_count})"
