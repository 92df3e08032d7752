"""The end of a service that asks."""

import _thread
import contextlib
import itertools
import os
import threading
import time
import weakref
from typing import Any

from rfx import arrays
from rfx.comm.calls import (
    Frame,
    Kind,
    ServiceGoneError,
    checked_timeout,
    rebuilt,
    reply_key,
    request_key,
    seal,
    service_key,
    unseal,
)
from rfx.comm.subscription import TransportSubscription
from rfx.comm.transport import Transport
from rfx.comm.values import LIMIT, pack_value, unpack_value
from rfx.errors import CodecError, InvalidStateError, RfxError, RfxTimeoutError

LOST_AFTER_S = 3.0
_RESEND_S, _RESEND_MOST_S = 0.1, 1.0
_MOST_PENDING = 4096


def call(transport: Transport, key: str, payload: Any = None, timeout: float = 5.0) -> Any:
    """Call a service once; for many calls keep a :class:`ServiceClient`. See :meth:`ServiceClient.call`."""
    with ServiceClient(transport, key) as client:
        return client.call(payload, timeout)


class PendingCall:
    """A call whose answer may still come; made by :meth:`ServiceClient.submit`."""

    def __init__(self, client: "ServiceClient", number: int, request: bytes, timeout: float) -> None:
        self._client, self._number, self._request = client, number, request
        self._began = time.monotonic()
        self._timeout = timeout
        self._done = threading.Event()
        self._resend_at, self._resend_wait = self._began + _RESEND_S, _RESEND_S
        self._heard = -1.0  # when the server that took it was heard
        self._taken = -1.0
        self._server = 0
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error, or it was cancelled.

        Who asks this again and again waits as in :meth:`result`: the request is sent again until a server has it, and the
        call ends when its time is over.
        """
        self._tend()
        return self._done.is_set()

    def result(self) -> Any:
        """Wait for the answer and return it; errors as of :meth:`ServiceClient.call`. Ctrl+C cancels the call."""
        try:
            while not self._done.is_set():
                self._done.wait(self._tend())
        except BaseException:
            self.cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._value

    def _tend(self) -> float:
        """Do what is due; returns for how long nothing more will be (s)."""
        if self._done.is_set():
            return 0.0
        now = time.monotonic()
        left = self._began + self._timeout - now
        if left <= 0:
            self._client._give_up(self, "timeouts", RfxTimeoutError(self._why_no_answer()))
        elif self._client.closed:
            self._client._give_up(self, "cancelled", InvalidStateError(f"the client of {self._client.key} was closed"))
        elif self._taken < 0 and now >= self._resend_at:
            self._client._resend(self._request)
            self._resend_wait = min(2 * self._resend_wait, _RESEND_MOST_S)
            self._resend_at = now + self._resend_wait
        elif self._taken >= 0 and now - self._heard > self._client.lost_after_s:
            self._client._give_up(self, "gone", ServiceGoneError(self._why_gone()))
        else:
            return min(left, 0.25, self._resend_wait)
        return 0.0

    def cancel(self) -> bool:
        """Give the call up and tell the server; False where it was over before."""
        key = self._client.key
        return self._client._give_up(self, "cancelled", InvalidStateError(f"the call of {key} was cancelled"))

    def _why_no_answer(self) -> str:
        now = time.monotonic()
        text = f"no answer of service {self._client.key} within {self._timeout:g} s: "
        if self._taken >= 0:
            return text + f"a server took the call after {self._taken - self._began:.2f} s and is still at work"
        if self._client._last_heard >= 0:
            return (
                text + f"a server was there, last heard {now - self._client._last_heard:.1f} s ago, and is silent now"
            )
        return text + "no server is known there (none runs, another key, or no link to it)"

    def _why_gone(self) -> str:
        silent = time.monotonic() - self._heard
        return f"the server of {self._client.key} took the call and is silent for {silent:.1f} s: it has died or hangs"

    def __repr__(self) -> str:
        state = "done" if self._done.is_set() else "taken" if self._taken >= 0 else "sent"
        return f"PendingCall({self._client.key!r}, {self._number}, {state})"


class ServiceClient:
    """Call one service, from as many threads as you like.

    Parameters
    ----------
    transport : Transport
    key : str
        Of the service.
    limit : int
        Most bytes of a payload, and of an answer.
    lost_after_s : float
        A server that has taken a call says every 0.5 s that it is alive. When nothing is heard for so long it counts as
        gone.

    Raises
    ------
    InvalidValueError, DTypeError
        A pattern as the key, a number out of range.
    InvalidStateError
        The transport is closed.
    """

    def __init__(
        self, transport: Transport, key: str, *, limit: int = LIMIT, lost_after_s: float = LOST_AFTER_S
    ) -> None:
        self.key = service_key(key)
        self.limit = arrays.integer(limit, "limit", minimum=1)
        self.lost_after_s = arrays.number(lost_after_s, "lost_after_s", minimum=0.1)
        self._transport = transport
        self._id = os.urandom(8)
        self._lock = threading.RLock()  # a signal handler may call, too
        self._numbers = itertools.count(1)
        self._pending: dict[int, PendingCall] = {}
        self._last_heard = -1.0
        names = ("calls", "answered", "failed", "timeouts", "gone", "cancelled", "late", "foreign", "resent", "refused")
        self._counts = dict.fromkeys(names, 0)
        self._replies = transport.subscribe(
            reply_key(self.key, self._id), capacity=256, overflow="block", block_timeout=1.0
        )
        weakref.finalize(self, _close_elsewhere, self._replies).atexit = False
        target, arguments = _listen, (weakref.ref(self), self._replies)
        threading.Thread(target=target, args=arguments, name=f"rfx calls {self.key}", daemon=True).start()

    def call(self, payload: Any = None, timeout: float = 5.0) -> Any:
        """Ask, and return the answer.

        Parameters
        ----------
        payload : value
            See :mod:`rfx.comm.values`.
        timeout : float
            For how long to wait (s).

        Returns
        -------
        value

        Raises
        ------
        ServiceError
            The handler raised. Where it raised an error of rfx or a usual one, this is that error too.
        RfxTimeoutError
            No answer in time; the text says whether a server is known there.
        ServiceGoneError
            The server took the call and has closed or died since.
        DTypeError, InvalidValueError
            The payload is no value, or too large.
        InvalidStateError
            The client or its transport is closed.
        """
        return self.submit(payload, timeout).result()

    def submit(self, payload: Any = None, timeout: float = 5.0) -> PendingCall:
        """Ask, and return what the answer will come in; errors as of :meth:`call`."""
        timeout = checked_timeout(timeout)
        body = pack_value(payload, limit=self.limit)
        with self._lock:
            if self.closed:
                raise InvalidStateError(f"expected an open client of {self.key}, got one that is closed")
            if len(self._pending) >= _MOST_PENDING:
                raise InvalidStateError(
                    f"expected fewer than {_MOST_PENDING} calls under way, got that many: take results"
                )
            number = next(self._numbers)
            frame = seal(Kind.REQUEST, min(int(timeout * 1000) + 1, 2**32 - 1), self._id, number, body)
            pending = self._pending[number] = PendingCall(self, number, frame, timeout)
            self._counts["calls"] += 1
        try:
            self._transport.publish(request_key(self.key), frame)
        except BaseException:
            with self._lock:
                self._pending.pop(number, None)
            raise
        return pending

    # -- what comes back

    def _take(self, frame: Frame, body: memoryview) -> None:
        now = time.monotonic()
        with self._lock:
            self._last_heard = now
            pending = self._pending.get(frame.call) if frame.client == self._id else None
            if pending is None:
                self._counts["late"] += frame.kind in (Kind.ANSWER, Kind.FAILED)
                return
            if pending._server not in (0, frame.number):
                self._counts["foreign"] += 1  # a second server under the same key
                return
            pending._heard, pending._server = now, frame.number
            if pending._taken < 0:
                pending._taken = now
        if frame.kind == Kind.ANSWER:
            self._settle(pending, "answered", unpack_value(body, limit=self.limit), None)
        elif frame.kind == Kind.FAILED:
            about = unpack_value(body, limit=self.limit)
            names = ("kind", "message", "base")
            if not isinstance(about, dict) or not all(isinstance(about.get(n), str) for n in names):
                raise CodecError(f"expected kind, message and base of an error, got {str(about)[:80]}")
            self._settle(pending, "failed", None, rebuilt(self.key, *(about[n] for n in names)))

    def _settle(self, pending: PendingCall, count: str, value: Any, error: Exception | None) -> bool:
        with self._lock:
            if self._pending.pop(pending._number, None) is None:
                return False
            self._counts[count] += 1
            pending._value, pending._error = value, error
        pending._done.set()
        return True

    def _give_up(self, pending: PendingCall, count: str, error: Exception) -> bool:
        given_up = self._settle(pending, count, None, error)
        if given_up:
            self._resend(seal(Kind.CANCEL, 0, self._id, pending._number), again=False)
        return given_up

    def _resend(self, frame: bytes, again: bool = True) -> None:
        with self._lock:
            self._counts["resent"] += again
        try:
            self._transport.publish(request_key(self.key), frame)
        except RfxError:  # the link is down: the call's own time goes on
            return

    def _refuse(self) -> None:
        with self._lock:
            self._counts["refused"] += 1

    # -- for its owner

    @property
    def counts(self) -> dict[str, int]:
        """``calls``, and what became of them: ``answered``, ``failed`` (a ServiceError), ``timeouts``, ``gone``,
        ``cancelled``. Besides ``late`` answers that nobody waited for any more, answers of a second server (``foreign``),
        requests that were sent again (``resent``), frames that were none (``refused``)."""
        with self._lock:
            return dict(self._counts)

    @property
    def closed(self) -> bool:
        """Whether it, or its transport, was closed."""
        return self._replies.closed

    def close(self) -> None:
        """Cancel what is under way and call no more. A second time does nothing."""
        self._replies.close()
        with self._lock:
            pending = list(self._pending.values())
        for one in pending:
            one.cancel()

    def __enter__(self) -> "ServiceClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ServiceClient({self.key!r}, calls={self._counts['calls']}{', closed' if self.closed else ''})"


def _close_elsewhere(replies: TransportSubscription) -> None:
    # closing takes locks, and the collector may run in a thread that has them
    with contextlib.suppress(RuntimeError):  # no thread can be started: the program ends
        _thread.start_new_thread(replies.close, ())


def _listen(client: "weakref.ref[ServiceClient]", replies: TransportSubscription) -> None:
    for envelope in replies:
        owner = client()
        if owner is None:
            return
        try:
            owner._take(*unseal(envelope.payload, owner.limit))
        except CodecError:
            owner._refuse()
        del owner
