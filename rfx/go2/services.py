"""The robot's side of its services: requests come in on one topic, answers go out on another."""

import json
import math
from collections.abc import Callable
from typing import Any

from rfx.errors import CodecError, RfxConnectionError
from rfx.go2 import topics
from rfx.go2.messages import Request, Response
from rfx.go2.topics import RpcCode, ServiceApi, SwitcherApi

Handler = Callable[[Request], tuple[int, str]]

DEPTH = 32  # requests that wait, at most
LEASE_TERM_S = 1.0
FORMS = {"normal": "0", "ai": "0", "advanced": "0"}


class Service:
    """Answers the requests to one service.

    It echoes the identity of a request, answers function 1 with its version, and stays silent where no reply is wanted.

    Parameters
    ----------
    domain : CycloneDomain
    name : str
        As in the topics: ``rt/api/<name>/request``.
    version : str
    handler : callable
        Takes the request, returns (code, data).
    wrap : callable
        Given an endpoint and the name of its line, returns what stands in for it: a rfx.go2.faults.Line.
    """

    def __init__(
        self,
        domain: Any,
        name: str,
        version: str,
        handler: Handler,
        wrap: Callable[[Any, str], Any],
    ) -> None:
        self.name = name
        self.version = version
        self.answered = 0
        self.refused = 0
        self._handler = handler
        self.requests = domain.reader(topics.request_topic(name), Request, reliable=True, depth=DEPTH)
        responses = domain.writer(topics.response_topic(name), Response, depth=DEPTH)
        self._incoming, self._outgoing = wrap(self.requests, "request"), wrap(responses, "response")

    def __repr__(self) -> str:
        return f"Service({self.name}, answered={self.answered})"

    def poll(self) -> None:
        """Answer what has come; malformed requests are counted in ``refused``."""
        for data in self._incoming.take():
            try:
                request = Request.from_cdr(data)
            except CodecError:
                self.refused += 1
                continue
            self._answer(request)

    def flush(self) -> None:
        """Send the answers that were held back until now."""
        self._outgoing.write()

    def _answer(self, request: Request) -> None:
        identity = request.header.identity
        if identity.api_id == ServiceApi.VERSION:
            code, data = 0, self.version
        else:
            code, data = self._handler(request)
        if request.header.policy.noreply:
            return
        response = Response(data=data)
        response.header.identity.id, response.header.identity.api_id = identity.id, identity.api_id
        response.header.status.code = int(code)
        self.answered += 1
        try:
            self._outgoing.write(response.to_cdr())
        except RfxConnectionError:
            self.refused += 1


class Leases:
    """Who may command a service: at most one caller at a time, who has to renew before the term is over.

    While nobody holds a lease everybody may call. Times are simulated.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = 1
        self._holder = 0
        self._renewed_s = -math.inf

    @property
    def holder(self) -> int:
        """Id of the lease that is held, 0 for none."""
        if self._holder and self._clock() - self._renewed_s > LEASE_TERM_S:
            self._holder = 0
        return self._holder

    def guard(self, handler: Handler) -> Handler:
        """Return the handler of a service that answers 3205 to those without the lease that somebody else holds."""

        def guarded(request: Request) -> tuple[int, str]:
            if self.holder not in (0, request.header.lease.id):
                return RpcCode.LEASE_DENIED, ""
            return handler(request)

        return guarded

    def handle(self, request: Request) -> tuple[int, str]:
        """Answer an application or a renewal."""
        api_id, lease = request.header.identity.api_id, request.header.lease.id
        if api_id == ServiceApi.LEASE_APPLY:
            if self.holder:
                return RpcCode.LEASE_EXIST, ""
            self._holder, self._next, self._renewed_s = self._next, self._next + 1, self._clock()
            return RpcCode.OK, json.dumps({"id": self._holder, "term": round(LEASE_TERM_S * 1e6)})
        if api_id == ServiceApi.LEASE_RENEWAL:
            if not lease or lease != self.holder:
                return RpcCode.LEASE_NOT_EXIST, ""
            self._renewed_s = self._clock()
            return RpcCode.OK, ""
        return RpcCode.NOT_IMPLEMENTED, ""


class MotionSwitcher:
    """Says who drives the motors: a mode by name, or nobody (then low-level commands are obeyed).

    Parameters
    ----------
    name : str
        The mode at the start, ``""`` for none.
    changed : callable
        Called with the new name when it changes.
    """

    def __init__(self, name: str, changed: Callable[[str], None]) -> None:
        self.name = name
        self._changed = changed
        self._silent = False

    def __repr__(self) -> str:
        return f"MotionSwitcher({self.name!r})"

    def handle(self, request: Request) -> tuple[int, str]:
        """Answer one request: (code, data)."""
        api_id = request.header.identity.api_id
        if api_id == SwitcherApi.CHECK_MODE:
            return RpcCode.OK, json.dumps({"form": FORMS.get(self.name, "0"), "name": self.name})
        if api_id == SwitcherApi.RELEASE_MODE:
            self.release()
            return RpcCode.OK, ""
        if api_id == SwitcherApi.GET_SILENT:
            return RpcCode.OK, json.dumps({"silent": self._silent})
        if api_id not in (SwitcherApi.SELECT_MODE, SwitcherApi.SET_SILENT):
            return RpcCode.NOT_IMPLEMENTED, ""
        try:
            given = json.loads(request.parameter)
            value = given["name" if api_id == SwitcherApi.SELECT_MODE else "silent"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return RpcCode.PARAMETER, ""
        if api_id == SwitcherApi.SET_SILENT:
            if not isinstance(value, bool):
                return RpcCode.PARAMETER, ""
            self._silent = value
            return RpcCode.OK, ""
        if not isinstance(value, str) or value not in FORMS:
            return RpcCode.PARAMETER, f"expected one of {', '.join(FORMS)}"
        self._set(value)
        return RpcCode.OK, ""

    def release(self) -> None:
        """Let go of the motors."""
        self._set("")

    def _set(self, name: str) -> None:
        if name != self.name:
            self.name = name
            self._changed(name)
