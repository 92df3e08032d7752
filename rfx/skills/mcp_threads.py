"""Threads that nobody waits for: the server ends when it is told to, whatever a call, a pipe or a client does."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

MOST_BYTES = 256 * 1024  # of a request
LINES = 64  # requests that are read ahead


async def in_thread(func: Callable[[], T], name: str) -> T:
    """Await a function that runs in a thread of its own; one that is cancelled goes on, and is not waited for.

    Raises
    ------
    RuntimeError
        No thread is left.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another event loop than that of asyncio
        import anyio
        import anyio.to_thread

        return await anyio.to_thread.run_sync(func, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():  # cancelled
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def body() -> None:
        value, failed = None, None
        try:
            value = func()
        except BaseException as error:
            failed = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, value, failed)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(body,), name=name, daemon=True).start()
    return await future


async def shielded(func: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a function of ``asyncio`` so that a cancellation (Ctrl+C) comes out as one.

    Tasks that are cancelled while they hand something on can fail over that, and their group raises those failures in
    place of the cancellation.
    """
    task = asyncio.ensure_future(func())
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    return task.result()


class Lines:
    """Lines of a file descriptor, read by a thread: Ctrl+C gets through. ``failed`` hears what could not be read."""

    def __init__(self, descriptor: int, failed: Callable[[OSError], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES)
        self._failed = failed
        args = (os.dup(descriptor),)
        threading.Thread(target=self._read, args=args, name="rfx skills input", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        rest = b""
        try:
            while len(rest) <= MOST_BYTES:
                got = os.read(descriptor, 65536)
                if not got:
                    break
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self._room.acquire()
                    self._put(line.decode("utf-8", "replace"))
        except OSError as error:
            self._failed(error)
        finally:
            self._put(None)

    def _put(self, line: str | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        self._room.release()
        return line


class Output:
    """Standard output for one conversation: until :meth:`close`, what others print goes to standard error.

    A client that does not read fills its pipe. Who writes waits for it then, but not beyond a cancellation.
    """

    def __init__(self, descriptor: int = 1, aside: int = 2) -> None:
        self._descriptor = descriptor
        self._wire = os.dup(descriptor)
        os.dup2(aside, descriptor)

    async def write(self, text: str) -> None:
        """Hand it to the system, all of it."""
        data = text.encode()

        def work() -> None:
            left = memoryview(data)
            while left:
                left = left[os.write(self._wire, left) :]

        try:
            await in_thread(work, "rfx skills output")
        except RuntimeError:  # no thread is left
            work()

    async def flush(self) -> None:
        """Do nothing: all of it has been handed over."""

    def close(self) -> None:
        """Let others print again. The wire stays open: a thread may still wait for it."""
        os.dup2(self._wire, self._descriptor)
