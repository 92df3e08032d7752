"""The other end of a node: look at a robot and command it from elsewhere."""

import time
from collections.abc import Mapping
from typing import Any

from rfx import arrays
from rfx.comm.discovery import Discovery
from rfx.comm.node_messages import NODE_KIND
from rfx.comm.node_robot import STATUS, STOP
from rfx.comm.parameters import node_key
from rfx.comm.service_client import ServiceClient
from rfx.comm.subscription import TransportSubscription
from rfx.comm.transport import Transport
from rfx.comm.values import pack_value, unpack_value
from rfx.errors import CodecError, DTypeError, RfxTimeoutError

ASK_S = 0.25  # between two questions to all nodes; one that has just come is not known to them at once


class RobotClient:
    """A robot that a :class:`RobotNode` holds somewhere.

    Parameters
    ----------
    transport : Transport
    name : str
        Of the node.
    prefix : str
    timeout : float
        For how long calls wait, where they do not say (s).
    """

    def __init__(self, transport: Transport, name: str, *, prefix: str = "rfx", timeout: float = 10.0) -> None:
        self.name = name
        self.timeout = arrays.number(timeout, "timeout", above=0.0, maximum=1e6)
        self._key = node_key(prefix, name)
        self._transport = transport
        self._calls = ServiceClient(transport, f"{self._key}/call")
        self._stops = ServiceClient(transport, f"{self._key}/stop")
        self._states = transport.subscribe(f"{self._key}/state", capacity=1)
        self._statuses = transport.subscribe(f"{self._key}/status", capacity=1)

    def send(self, command: str, **arguments: Any) -> None:
        """Command without waiting for an answer, as for a velocity that comes again and again; see :meth:`events`."""
        self._transport.publish(f"{self._key}/command", pack_value(_message(command, arguments)))

    def call(self, command: str, *, timeout: float | None = None, **arguments: Any) -> Any:
        """Command, and return what the robot answers.

        Raises
        ------
        ServiceError
            The robot refuses or fails; this is the error that it raised, too, where that is one of rfx.
        RfxTimeoutError
            No answer in time; the text says whether there is a node.
        """
        return self._calls.call(_message(command, arguments), self.timeout if timeout is None else timeout)

    def stop(self, timeout: float | None = None) -> None:
        """Stop the robot, whatever it does and whatever waits; errors as of :meth:`call`."""
        self.send(STOP)
        self._stops.call(None, self.timeout if timeout is None else timeout)

    def state(self, timeout: float | None = None) -> dict[str, Any]:
        """Return the next state that comes; RfxTimeoutError where none does."""
        self._states.drain()
        return self._next(self._states, "state", timeout)

    def status(self, timeout: float | None = None) -> dict[str, Any]:
        """Return what the node says of itself now; RfxTimeoutError where it says nothing."""
        self._statuses.drain()
        self.send(STATUS)
        return self._next(self._statuses, "status", timeout)

    def _next(self, subscription: TransportSubscription, what: str, timeout: float | None) -> dict[str, Any]:
        seconds = self.timeout if timeout is None else arrays.number(timeout, "timeout", above=0.0)
        envelope = subscription.recv_timeout(seconds)
        if envelope is None:
            raise RfxTimeoutError(
                f"no {what} of node {self._key} within {seconds:g} s: is it running, is there a link?"
            )
        value = unpack_value(envelope.payload)
        if not isinstance(value, dict):
            raise CodecError(f"expected the {what} of {self._key} by name, got {str(value)[:80]}")
        return value

    def subscribe(self, what: str = "state", capacity: int = 64) -> TransportSubscription:
        """Have all messages kept under ``state``, ``status`` or ``events``; read each payload with ``unpack_value``."""
        if what not in ("state", "status", "events"):
            raise DTypeError(f"expected state, status or events, got {what!r}")
        return self._transport.subscribe(f"{self._key}/{what}", capacity)

    def close(self) -> None:
        """Ask and look no more. A second time does nothing."""
        for one in (self._calls, self._stops, self._states, self._statuses):
            one.close()

    def __enter__(self) -> "RobotClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RobotClient({self._key!r}{', closed' if self._calls.closed else ''})"


def list_nodes(transport: Transport, *, prefix: str = "rfx", seconds: float = 1.0) -> list[dict[str, Any]]:
    """Return the status of each node that has announced itself, by name; it takes so many seconds to ask them.

    What was killed is not announced any more. A node that is announced and does not answer has the state ``silent``.
    """
    end = time.monotonic() + arrays.number(seconds, "seconds", above=0.0, maximum=3600.0)
    heard: dict[str, dict[str, Any]] = {}
    asked = 0.0
    with Discovery(transport) as discovery, transport.subscribe(f"{prefix}/*/status", capacity=4096) as statuses:
        while (now := time.monotonic()) < end:
            if now - asked >= ASK_S:
                asked = now
                transport.publish(f"{prefix}/*/command", pack_value(_message(STATUS, {})))
            envelope = statuses.recv_timeout(max(0.0, min(end, asked + ASK_S) - time.monotonic()))
            if envelope is None:
                continue
            try:
                status = unpack_value(envelope.payload)
            except CodecError:
                continue
            if isinstance(status, Mapping) and isinstance(status.get("name"), str):
                heard[status["name"]] = dict(status)
        there = {n.name: n.info for n in discovery.nodes(NODE_KIND) if n.info.get("prefix") == prefix}
    silent = {"state": "silent", "error": f"no answer within {seconds:g} s"}
    return [heard.get(name, {"name": name, "robot": there[name].get("robot"), **silent}) for name in sorted(there)]


def _message(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(command, str):
        raise DTypeError(f"expected the name of a command as a str, got {type(command).__name__}")
    return {"command": command, "arguments": arguments}
