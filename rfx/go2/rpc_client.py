"""Calls to the robot's services: each with an id of its own, answered or timed out, every code said in words."""

import contextlib
import itertools
import threading
import time
from typing import Any

from rfx.errors import HardwareError, RfxTimeoutError
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.messages import Request, Response

SLICE_S = 0.02
HELLO_S = 0.2  # between two questions for the version, until the first answer


class RpcError(HardwareError):
    """The robot answered a call with a code other than 0.

    Attributes
    ----------
    service : str
    api_id : int
    code : int
        See :class:`rfx.go2.topics.RpcCode`.
    data : str
        What came with it.
    """

    def __init__(self, service: str, api_id: int, code: int, data: str = "") -> None:
        self.service, self.api_id, self.code, self.data = service, api_id, code, data
        more = f": {data}" if data else ""
        super().__init__(
            f"expected code 0 from {service} {api_name(service, api_id)}, got {code}, {topics.meaning(code)}{more}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return RpcError, (self.service, self.api_id, self.code, self.data)


def api_name(service: str, api_id: int) -> str:
    """Return a function's name and number, such as ``STAND_UP (1004)``."""
    own: Any = {topics.SPORT: topics.SportApi, topics.MOTION_SWITCHER: topics.SwitcherApi}.get(service, ())
    for member in (*topics.ServiceApi, *own):
        if member == api_id:
            return f"{member.name} ({int(api_id)})"
    return str(int(api_id))


class RpcClient:
    """Calls the services of a robot over one link; safe from several threads, whose calls do not wait for each other."""

    def __init__(self, backend: DdsBackend) -> None:
        self._backend = backend
        self._ids = itertools.count(time.time_ns() // 1000)
        # a signal handler may call while its own thread is inside
        self._lock = threading.RLock()
        self._waiting: dict[int, Response | None] = {}
        self._pumps: dict[str, Any] = {}
        self._versions: dict[str, str] = {}
        self.lease_id = 0

    def __repr__(self) -> str:
        return f"RpcClient(known={self._versions})"

    def version(self, service: str, timeout_s: float = 5.0) -> str:
        """Return a service's version, asked for until the first answer: then both directions are known to work.

        Raises
        ------
        RfxTimeoutError
            No answer in time; the text says whether anybody is there.
        """
        known = self._versions.get(service)
        end = time.monotonic() + timeout_s
        while known is None:
            if self._backend.serves(service):
                answer = self._exchange(service, topics.ServiceApi.VERSION, "", min(HELLO_S, end - time.monotonic()))
                if answer is not None:
                    known = self._versions[service] = answer.data
                    break
            else:
                time.sleep(SLICE_S)
            if time.monotonic() >= end:
                there = self._backend.serves(service)
                who = "somebody is there, but does not answer" if there else "nobody is there"
                raise RfxTimeoutError(
                    f"no answer from the {service} service within {timeout_s:g} s: {who} at "
                    f"{topics.request_topic(service)} (code {int(topics.RpcCode.TIMEOUT)})"
                )
        return known

    def call(
        self,
        service: str,
        api_id: int,
        parameter: str = "{}",
        timeout_s: float = 5.0,
        sending: contextlib.AbstractContextManager[Any] | None = None,
    ) -> str:
        """Call a function and return the data that came back; ``sending`` is entered while the request leaves.

        Raises
        ------
        RpcError
            A code other than 0, decoded.
        RfxTimeoutError
            No answer in time (code 3104).
        """
        end = time.monotonic() + timeout_s
        self.version(service, timeout_s)
        answer = self._exchange(service, api_id, parameter, end - time.monotonic(), sending)
        if answer is None:
            raise RfxTimeoutError(
                f"no answer to {service} {api_name(service, api_id)} within {timeout_s:g} s "
                f"(code {int(topics.RpcCode.TIMEOUT)}): the robot may be gone, or may still do it"
            )
        got = answer.header.identity.api_id
        if got != api_id:
            raise RpcError(service, api_id, topics.RpcCode.API_MISMATCH, f"it answers {api_name(service, got)}")
        if answer.header.status.code:
            raise RpcError(service, api_id, answer.header.status.code, answer.data)
        return answer.data

    def send(self, service: str, api_id: int, parameter: str = "{}") -> None:
        """Ask for a function without waiting for an answer; nobody knows whether it was obeyed."""
        self._backend.publish_request(service, self._request(api_id, parameter, noreply=True))

    def _request(self, api_id: int, parameter: str, noreply: bool) -> Request:
        request = Request(parameter=parameter)
        with self._lock:
            request.header.identity.id = next(self._ids)
        request.header.identity.api_id = int(api_id)
        request.header.lease.id = self.lease_id
        request.header.policy.noreply = noreply
        return request

    def _exchange(
        self,
        service: str,
        api_id: int,
        parameter: str,
        timeout_s: float,
        sending: contextlib.AbstractContextManager[Any] | None = None,
    ) -> Response | None:
        """Send one request and wait for its answer; None when the time is over."""
        request = self._request(api_id, parameter, noreply=False)
        number = request.header.identity.id
        with self._lock:
            self._waiting[number] = None
            pump = self._pumps.setdefault(service, threading.RLock())
        try:
            end = time.monotonic() + timeout_s
            with contextlib.nullcontext() if sending is None else sending:
                self._backend.publish_request(service, request)
            while True:
                if pump.acquire(timeout=SLICE_S):  # one caller takes for all
                    try:
                        answer = self._waiting[number]
                        if answer is None:
                            self._deliver(self._backend.responses(service, SLICE_S))
                    finally:
                        pump.release()
                answer = self._waiting[number]
                if answer is not None or time.monotonic() >= end:
                    return answer
        finally:
            with self._lock:
                del self._waiting[number]

    def _deliver(self, answers: list[Response]) -> None:
        with self._lock:
            for answer in answers:
                if answer.header.identity.id in self._waiting:
                    self._waiting[answer.header.identity.id] = answer
