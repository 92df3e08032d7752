"""Channels: objects handed from any number of threads to any number of others."""

from collections.abc import Iterator
from typing import Any

from rfx.comm.mailbox import Mailbox
from rfx.errors import InvalidStateError


def channel(capacity: int | None = None, *, overflow: str = "block") -> tuple["Sender", "Receiver"]:
    """Return the two ends of a new channel.

    Parameters
    ----------
    capacity : int, optional
        Most objects that wait in it, at least 1; None for no limit.
    overflow : {"block", "drop_oldest", "drop_newest"}
        What a full one does: the sender waits; what has waited longest is dropped; what comes is dropped.

    Returns
    -------
    Sender, Receiver
        Either may be used by many threads at once. What is sent is received once, by one of them, in the order of
        sending; nothing is copied.

    Examples
    --------
    >>> sender, receiver = channel(2)
    >>> sender.send("a")
    True
    >>> receiver.recv()
    'a'
    """
    mailbox = Mailbox(capacity, overflow)
    return Sender(mailbox), Receiver(mailbox)


class _End:
    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def capacity(self) -> int | None:
        """Most objects that wait in the channel; None for no limit."""
        return self._mailbox.capacity

    @property
    def closed(self) -> bool:
        """Whether one of the ends was closed."""
        return self._mailbox.closed

    @property
    def counts(self) -> dict[str, int]:
        """What went in (``accepted``), came out (``taken``), was ``dropped``, and ``skipped`` by :meth:`Receiver.latest`."""
        m = self._mailbox
        return {"accepted": m.accepted, "taken": m.taken, "dropped": m.dropped, "skipped": m.skipped}

    def close(self) -> None:
        """Send no more. Receivers still get what is in the channel; who waits is woken. A second time does nothing."""
        self._mailbox.close()

    def __len__(self) -> int:
        return len(self._mailbox)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"{type(self).__name__}(capacity={self.capacity}, len={len(self)}{closed})"


class Sender(_End):
    """The end of a channel that objects go into; see :func:`channel`."""

    __slots__ = ()

    def send(self, item: Any, timeout: float | None = None) -> bool:
        """Send any object but None; return whether it is in the channel.

        Parameters
        ----------
        item : object
        timeout : float, optional
            Where a full channel blocks: most seconds to wait for room, None for as long as it takes.

        Returns
        -------
        bool
            False where the channel dropped it, or there was no room in time.

        Raises
        ------
        InvalidStateError
            The channel is closed, or was closed meanwhile.
        DTypeError, InvalidValueError
            None; a timeout that is no number, NaN or below 0.
        """
        return self._mailbox.put(item, timeout)

    def try_send(self, item: Any) -> bool:
        """Send without waiting; see :meth:`send`."""
        return self._mailbox.put(item, 0.0)


class Receiver(_End):
    """The end of a channel that objects come out of; see :func:`channel`. Iteration goes on until the channel is closed
    and empty."""

    __slots__ = ()

    def recv(self) -> Any:
        """Wait for the next object and return it. InvalidStateError when the channel is closed and empty."""
        return self._mailbox.get()

    def recv_timeout(self, seconds: float) -> Any:
        """Return the next object, or None if there was none within so many seconds; see :meth:`recv`."""
        return self._mailbox.get(seconds)

    def try_recv(self) -> Any:
        """Return the next object, or None if there is none; see :meth:`recv`."""
        return self._mailbox.get_now()

    def latest(self) -> Any:
        """Return the newest object and drop the older ones (counted as ``skipped``), or None; see :meth:`recv`."""
        return self._mailbox.latest()

    def drain(self) -> list[Any]:
        """Return all that is in the channel, also of a closed one."""
        return self._mailbox.drain()

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                item = self._mailbox.get()
            except InvalidStateError:
                return
            yield item
