"""The receiving end of a transport."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from rfx.comm.envelope import TransportEnvelope
from rfx.comm.mailbox import Mailbox, Taker
from rfx.errors import InvalidStateError


class TransportSubscription(Taker):
    """Messages that :meth:`Transport.subscribe` keeps; take them in one of these ways, from as many threads as you like.

    ``recv``, ``recv_timeout``, ``try_recv`` and ``latest`` return one; ``for`` and ``async for`` give one after the other
    until the subscription has ended and is empty; with a callback a thread of its own takes them. It ends with its ``with``
    block, and, unless it has a callback, when nobody has a reference to it any more.
    """

    def __init__(
        self,
        pattern: str,
        mailbox: Mailbox,
        unsubscribe: Callable[["TransportSubscription"], bool],
        callback: Callable[[TransportEnvelope], Any] | None,
    ) -> None:
        self.pattern = pattern
        self._mailbox = mailbox
        self._unsubscribe = unsubscribe
        self._callback = callback
        self._failed = 0
        self._inbox: Any = None  # counts what came from other programs
        self._source = mailbox  # where messages are taken

    def _start(self) -> None:
        if self._callback is not None:
            threading.Thread(target=self._call, name=f"rfx:{self.pattern}", daemon=True).start()

    def _call(self) -> None:
        try:
            for envelope in self:
                try:
                    self._callback(envelope)  # type: ignore[misc]
                except Exception as error:
                    self._failed += 1
                    thread = threading.current_thread()
                    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
        finally:
            self.close()  # a callback that exits: nobody takes any more

    def __iter__(self) -> Iterator[TransportEnvelope]:
        while True:
            try:
                envelope = self._source.get()
            except InvalidStateError:
                return
            yield envelope

    async def recv_async(self) -> TransportEnvelope:
        """Return the next message without holding up the event loop; see :meth:`recv`."""
        while True:
            envelope = self._source.get_now()
            if envelope is not None:
                return envelope
            waiter = _LoopWaiter(self._mailbox)
            if not self._source.enlist(waiter):
                continue
            try:
                await waiter.future
            except BaseException:
                self._mailbox.withdraw(waiter)
                raise

    async def __aiter__(self) -> AsyncIterator[TransportEnvelope]:
        while True:
            try:
                envelope = await self.recv_async()
            except InvalidStateError:
                return
            yield envelope

    # -- what became of the messages

    @property
    def dropped(self) -> int:
        """Messages that were lost because too many waited."""
        return self._mailbox.dropped

    @property
    def counts(self) -> dict[str, int]:
        """``accepted`` messages went in, ``taken`` came out, ``dropped`` were lost for want of room, ``skipped`` by
        :meth:`latest`; of those a callback took, ``failed`` raised. From other programs also: ``refused`` could not be
        read, ``lost`` were sent and did not come, ``shared`` lay in shared memory."""
        m, inbox = self._mailbox, self._inbox
        counts = {"accepted": m.accepted, "taken": m.taken, "dropped": m.dropped, "skipped": m.skipped}
        more = {} if inbox is None else {n: getattr(inbox, n) for n in ("refused", "lost", "shared")}
        return {**counts, "failed": self._failed, **more}

    @property
    def capacity(self) -> int:
        """Most messages that wait."""
        assert self._mailbox.capacity is not None
        return self._mailbox.capacity

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._mailbox.closed

    def close(self) -> None:
        """End it, as :meth:`Transport.unsubscribe` does. A second time does nothing."""
        self._unsubscribe(self)

    def __len__(self) -> int:
        return len(self._mailbox)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> "TransportSubscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"TransportSubscription({self.pattern!r}, capacity={self.capacity}, len={len(self)}{closed})"


class _LoopWaiter:
    """Looks like a lock that is released, and wakes a coroutine."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.loop = asyncio.get_running_loop()
        self.future = self.loop.create_future()

    def release(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed: nobody waits there any more, but others may elsewhere
            self.mailbox.withdraw(self)

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
