"""What is done with messages as they are taken: changed, left out, put together, thinned out."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rfx.arrays import integer, number
from rfx.comm.mailbox import deadline
from rfx.errors import DTypeError, InvalidStateError


class Source(Protocol):
    """What a stream takes from: a Receiver, a TransportSubscription, or the like."""

    @property
    def closed(self) -> bool: ...
    def __len__(self) -> int: ...
    def recv(self) -> Any: ...
    def recv_timeout(self, seconds: float) -> Any: ...
    def close(self) -> None: ...


class Stream:
    """Messages of a receiver or a subscription, one after the other, by way of what the methods below add.

    A stream is lazy: nothing is taken, and no function called, before somebody takes from its end, in the thread of
    whoever takes. For one thread at a time.

    Parameters
    ----------
    source : Receiver, TransportSubscription or the like

    Examples
    --------
    >>> from rfx.comm import channel
    >>> sender, receiver = channel()
    >>> for i in range(6):
    ...     _ = sender.send(i)
    >>> sender.close()
    >>> list(Stream(receiver).filter(lambda i: i % 2).map(lambda i: 10 * i).batch(2))
    [[10, 30], [50]]
    """

    def __init__(self, source: Source) -> None:
        for name in ("recv", "recv_timeout", "close", "__len__"):
            if not callable(getattr(source, name, None)):
                raise DTypeError(f"expected source to be a receiver or a subscription, got {type(source).__name__}")
        self._source = source

    def _pull(self, end: float | None) -> Any:
        # the next, or None when the time is up
        if end is None:
            return self._source.recv()
        return self._source.recv_timeout(max(end - time.monotonic(), 0.0))

    # -- taking

    def next(self) -> Any:
        """Wait for the next item and return it. InvalidStateError when the source is closed and nothing is left."""
        return self._pull(None)

    def next_timeout(self, seconds: float) -> Any:
        """Return the next item, or None if there was none within so many seconds; see :meth:`next`."""
        return self._pull(deadline(seconds))

    def try_next(self) -> Any:
        """Return the next item if there is one now, else None; see :meth:`next`."""
        return self._pull(time.monotonic())

    def latest(self) -> Any:
        """Return the newest item there is now, or None; the older ones are taken and dropped. See :meth:`next`."""
        newest = self.try_next()
        for _ in range(len(self._source)):  # not for as long as there is more: who sends may be faster
            try:
                item = self.try_next()
            except InvalidStateError:
                break
            if item is None:
                break
            newest = item
        return newest

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                item = self.next()
            except InvalidStateError:
                return
            yield item

    def stop(self) -> None:
        """Close the source: who waits for the next item is woken; what is there already can still be taken."""
        self._source.close()

    @property
    def is_active(self) -> bool:
        """Whether more may come."""
        return not self._source.closed

    # -- adding

    def map(self, function: Callable[[Any], Any]) -> "Stream":
        """Return a stream of ``function(item)``. Where that is None the item is left out."""
        return _Map(self._source, self, function)

    def filter(self, keep: Callable[[Any], Any]) -> "Stream":
        """Return a stream of the items for which ``keep(item)`` is true."""
        if not callable(keep):
            raise DTypeError(f"expected keep to be callable, got {type(keep).__name__}")
        return _Map(self._source, self, lambda item: item if keep(item) else None)

    def batch(self, size: int, timeout: float | None = None) -> "Stream":
        """Return a stream of lists of ``size`` items; shorter at the end, and ``timeout`` seconds after the first."""
        return _Batch(self._source, self, size, timeout)

    def rate_limit(self, hz: float) -> "ThinnedStream":
        """Return a stream of at most so many items a second: one that comes sooner is left out and counted."""
        return ThinnedStream(self._source, self, hz)

    def __repr__(self) -> str:
        return f"{type(self).__name__.strip('_')}(source={self._source!r})"


class _Map(Stream):
    def __init__(self, source: Source, before: Stream, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise DTypeError(f"expected function to be callable, got {type(function).__name__}")
        super().__init__(source)
        self._before, self._function = before, function

    def _pull(self, end: float | None) -> Any:
        while True:
            item = self._before._pull(end)
            if item is None:
                return None
            made = self._function(item)
            if made is not None:
                return made


class _Batch(Stream):
    def __init__(self, source: Source, before: Stream, size: int, timeout: float | None) -> None:
        super().__init__(source)
        self._size = integer(size, "size", minimum=1)
        self._timeout = None if timeout is None else number(timeout, "timeout", minimum=0.0)
        self._before = before
        self._held: list[Any] = []
        self._due: float | None = None

    def _pull(self, end: float | None) -> Any:
        while True:
            until = end if self._due is None else self._due if end is None else min(end, self._due)
            try:
                item = self._before._pull(until)
            except InvalidStateError:
                if not self._held:
                    raise
                return self._give()
            if item is not None:
                if not self._held and self._timeout is not None:
                    self._due = time.monotonic() + self._timeout
                self._held.append(item)
                if len(self._held) == self._size:
                    return self._give()
            elif self._due is not None and time.monotonic() >= self._due:
                return self._give()
            elif end is not None and time.monotonic() >= end:
                return None

    def _give(self) -> list[Any]:
        given, self._held, self._due = self._held, [], None
        return given


class ThinnedStream(Stream):
    """What :meth:`Stream.rate_limit` makes. ``left_out`` counts the items that came too soon."""

    def __init__(self, source: Source, before: Stream, hz: float) -> None:
        super().__init__(source)
        self._period = 1.0 / number(hz, "hz", above=0.0)
        self._before = before
        self._next = -1.0
        self.left_out = 0

    def _pull(self, end: float | None) -> Any:
        while True:
            item = self._before._pull(end)
            if item is None:
                return None
            now = time.monotonic()
            if now >= self._next:
                self._next = now + self._period
                return item
            self.left_out += 1
