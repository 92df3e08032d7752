"""The end of a service that answers."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rfx import arrays
from rfx.comm.calls import (
    Frame,
    Kind,
    ServiceGoneError,
    reply_key,
    request_key,
    seal,
    service_key,
    told,
    unseal,
)
from rfx.comm.channels import channel
from rfx.comm.transport import Transport
from rfx.comm.values import LIMIT, pack_value, unpack_value
from rfx.errors import CodecError, DTypeError, InvalidStateError, RfxError

log = logging.getLogger("rfx.comm")

HEARTBEAT_S = 0.5  # a call that is being worked on says so this often
_REMEMBERED, _REMEMBERED_BYTES = 256, 2**22  # answers that are kept for callers who ask again
CallId = tuple[bytes, int]
_here = threading.local()  # .request: the call that this thread works on


class ServiceRequest:
    """A call as the server has it.

    Attributes
    ----------
    payload : value
        What was sent, see :mod:`rfx.comm.values`.
    """

    def __init__(self, frame: Frame, payload: Any) -> None:
        self.payload = payload
        self.id: CallId = (frame.client, frame.call)
        self._until = time.monotonic() + frame.number / 1000
        self._cancelled = threading.Event()

    @property
    def time_left(self) -> float:
        """For how long the caller still waits (s), at least 0."""
        return max(0.0, self._until - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more: the caller has cancelled, its time is over, the service was closed."""
        return self._cancelled.is_set() or self.time_left == 0

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep for so long, less when the call is cancelled meanwhile; whether it is."""
        self._cancelled.wait(min(arrays.number(seconds, "seconds", minimum=0), self.time_left))
        return self.cancelled

    def __repr__(self) -> str:
        return f"ServiceRequest({self.id[0].hex()}/{self.id[1]}, {self.time_left:.3f} s left)"


def current_request() -> ServiceRequest:
    """Return the call that the handler works on in this thread; InvalidStateError outside of one."""
    request: ServiceRequest | None = getattr(_here, "request", None)
    if request is None:
        raise InvalidStateError("expected to be asked by a handler about its own call, got asked from elsewhere")
    return request


class Service:
    """Answer the calls that come under a key, until it is closed.

    Parameters
    ----------
    transport : Transport
    key : str
        Of the service; clients use the same.
    handler : callable
        ``handler(payload) -> answer``, both values (:mod:`rfx.comm.values`). Called from several threads at once unless
        ``workers=1``. What it raises reaches the caller as a :class:`ServiceError`.
    workers : int
        How many calls are worked on at once, 1 to 64.
    waiting : int
        How many more may wait; a call beyond that is refused with InvalidStateError at once.
    limit : int
        Most bytes of a payload, and of an answer.

    Raises
    ------
    DTypeError, InvalidValueError
        A handler that cannot be called, a pattern as the key, a number out of range.
    InvalidStateError
        The transport is closed.

    Notes
    -----
    A handler that works for long asks ``service.request.cancelled``. A call is handed to the handler once, also where its
    request came twice. There is to be one service for a key: two would both work on each call, and the caller gets the
    answer of one.

    Examples
    --------
    >>> from rfx.comm import Transport, call
    >>> transport = Transport()
    >>> with Service(transport, "sum", sum):
    ...     call(transport, "sum", [1, 2, 3])
    6
    """

    def __init__(
        self,
        transport: Transport,
        key: str,
        handler: Callable[[Any], Any],
        *,
        workers: int = 4,
        waiting: int = 64,
        limit: int = LIMIT,
    ) -> None:
        if not callable(handler):
            raise DTypeError(f"expected handler to be callable, got {type(handler).__name__}")
        self.key = service_key(key)
        self.limit = arrays.integer(limit, "limit", minimum=1)
        workers = arrays.integer(workers, "workers", minimum=1, maximum=64)
        self._room = arrays.integer(waiting, "waiting", minimum=0, maximum=2**20)
        self._transport, self._handler = transport, handler
        self._number = int.from_bytes(os.urandom(4), "little")
        self._lock = threading.Lock()
        self._calls: dict[CallId, ServiceRequest] = {}
        self._busy = 0
        self._workers = workers
        self._answers: OrderedDict[CallId, bytes] = OrderedDict()
        self._kept = 0
        self._counts = dict.fromkeys(("calls", "answered", "failed", "cancelled", "refused", "repeated"), 0)
        self._closed = False
        self._sender, self._receiver = channel()
        self._requests = transport.subscribe(request_key(self.key), capacity=1024, overflow="drop_newest")
        for target in (self._listen, *(self._work for _ in range(workers))):
            threading.Thread(target=target, name=f"rfx service {self.key}", daemon=True).start()

    # -- what comes in

    def _listen(self) -> None:
        said = time.monotonic()
        while True:
            try:
                envelope = self._requests.recv_timeout(HEARTBEAT_S)
            except InvalidStateError:
                self.close()
                return
            if time.monotonic() - said >= HEARTBEAT_S:
                said = time.monotonic()
                with self._lock:
                    calls = list(self._calls)
                for call in calls:
                    self._say(Kind.WORKING, call)
            if envelope is not None:
                try:
                    self._take(*unseal(envelope.payload, self.limit))
                except CodecError as error:
                    self._count("refused")
                    log.warning("service %s: refused a frame: %s", self.key, error)

    def _take(self, frame: Frame, body: memoryview) -> None:
        call = (frame.client, frame.call)
        if frame.kind == Kind.CANCEL:
            with self._lock:
                request = self._calls.get(call)
            if request is not None:
                request._cancelled.set()
            return
        if frame.kind != Kind.REQUEST:
            raise CodecError(f"expected a request or a cancel, got {frame.kind.name}")
        with self._lock:
            known, answer = call in self._calls, self._answers.get(call)
            full = self._busy + len(self._receiver) >= self._workers + self._room
            self._counts["repeated"] += known or answer is not None
        if answer is not None:
            self._publish(call, answer)
        elif known:
            self._say(Kind.ACCEPTED, call)
        elif full:
            error = InvalidStateError(f"expected fewer than {self._room} calls to wait, got that many")
            self._fail(call, error, "refused")
        else:
            try:
                request = ServiceRequest(frame, unpack_value(body, limit=self.limit))
            except CodecError as refusal:
                self._fail(call, refusal, "refused")
                return
            with self._lock:
                self._counts["calls"] += 1
                closed = self._closed
                if not closed:
                    self._calls[call] = request
            if closed:  # just now, and close() does not know of this call
                self._fail(call, _gone(), "cancelled")
                return
            self._say(Kind.ACCEPTED, call)
            try:
                self._sender.send(request)
            except InvalidStateError:  # closed just now, and close() has told the caller
                with self._lock:
                    self._calls.pop(call, None)

    # -- what goes out

    def _work(self) -> None:
        for request in self._receiver:
            with self._lock:
                self._busy += 1
            try:
                if request.cancelled:
                    if not self._closed:  # else close() tells the caller why
                        self._fail(request.id, InvalidStateError("the call was cancelled before it began"), "cancelled")
                else:
                    self._answer(request)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._calls.pop(request.id, None)

    def _answer(self, request: ServiceRequest) -> None:
        _here.request = request
        try:
            value = self._handler(request.payload)
            body = pack_value(value, limit=self.limit)
        except BaseException as error:  # a handler that calls sys.exit ends its call, not the service
            log.info("service %s: the handler raised %s: %s", self.key, type(error).__name__, error)
            self._fail(request.id, error, "failed")
            return
        finally:
            _here.request = None
        self._keep(request.id, seal(Kind.ANSWER, self._number, *request.id, body), "answered")

    def _fail(self, call: CallId, error: BaseException, count: str) -> None:
        self._keep(call, seal(Kind.FAILED, self._number, *call, pack_value(told(error))), count)

    def _keep(self, call: CallId, frame: bytes, count: str) -> None:
        """Send the last frame of a call, and remember it for a caller who asks again."""
        with self._lock:
            if call in self._answers:
                return
            self._answers[call] = frame
            self._counts[count] += 1
            self._kept += len(frame)
            while len(self._answers) > _REMEMBERED or (self._kept > _REMEMBERED_BYTES and len(self._answers) > 1):
                self._kept -= len(self._answers.popitem(last=False)[1])
        self._publish(call, frame)

    def _say(self, kind: Kind, call: CallId) -> None:
        self._publish(call, seal(kind, self._number, *call))

    def _publish(self, call: CallId, frame: bytes) -> None:
        try:
            self._transport.publish(reply_key(self.key, call[0]), frame)
        except RfxError as error:  # the caller hears nothing and says so; here nobody waits
            log.warning("service %s: an answer could not be sent: %s", self.key, error)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    # -- for its owner

    @property
    def request(self) -> ServiceRequest:
        """The call that the handler works on in this thread; InvalidStateError outside of it."""
        return current_request()

    @property
    def counts(self) -> dict[str, int]:
        """``calls`` taken; of those ``answered``, ``failed`` (the handler raised), ``cancelled`` before they began or by
        :meth:`close`. ``refused`` for want of room or as no request, ``repeated`` requests, ``dropped`` unseen (their
        callers ask again)."""
        with self._lock:
            return {**self._counts, "dropped": self._requests.dropped}

    @property
    def closed(self) -> bool:
        """Whether it answers no more."""
        return self._closed

    def close(self) -> None:
        """Answer no more: calls under way are told so and cancelled. A second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            calls = list(self._calls.values())
        self._requests.close()
        self._sender.close()
        for request in calls:
            request._cancelled.set()
        for request in calls:
            self._fail(request.id, _gone(), "cancelled")

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = self.counts
        state = "closed" if self._closed else f"calls={counts['calls']}, failed={counts['failed']}"
        return f"Service({self.key!r}, {state})"


def _gone() -> ServiceGoneError:
    return ServiceGoneError("the service was closed before it had answered")
