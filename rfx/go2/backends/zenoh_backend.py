"""The link to a robot by way of a Zenoh bridge: keys are DDS' topic names, payloads the CDR bytes with their header.

That is the mapping of the bridges between DDS and Zenoh that run beside a robot, ours (``rfx bridge``) and others alike.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from rfx.comm.mailbox import Mailbox
from rfx.comm.zenoh import load, open_session
from rfx.errors import InvalidStateError, RfxConnectionError
from rfx.go2 import presence, topics
from rfx.go2.backends.base import StageTimes, StateDecoder, decoded
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState

RPC_DEPTH = 32


class ZenohReceiver(StateDecoder):
    """Holds the newest low-level state, checks and decodes it when somebody wants it: nothing queues up."""

    def __init__(self, times: StageTimes) -> None:
        super().__init__()
        self.came = Mailbox(1, "drop_oldest")
        self._times = times

    def __repr__(self) -> str:
        return f"ZenohReceiver(taken={self.came.taken}, skipped={self.came.dropped}, refused={self.refused})"

    def recv(self, timeout_s: float) -> LowState | None:
        """Wait for the next valid state; None when the time is over or the link was closed meanwhile."""
        if self.came.closed:
            raise InvalidStateError(f"{self!r} cannot be used any more")
        end = time.monotonic() + timeout_s
        while True:
            try:
                data = self.came.get(max(0.0, end - time.monotonic()))
            except InvalidStateError:
                return None
            if data is None:
                return None
            state = self.decode(data)
            if state is not None:
                return state

    def latest(self) -> LowState | None:
        """Return the newest valid state that came since the last call, without waiting."""
        t0 = time.perf_counter_ns()
        data = self.came.get_now()
        if data is None:
            return None
        self._times.add("take", time.perf_counter_ns() - t0)
        return self.decode(data)

    def decode(self, data: bytes) -> LowState | None:
        """Return the state, and record how long that took; None where it is none, or its checksum is wrong."""
        t0 = time.perf_counter_ns()
        state = super().decode(data)
        self._times.add("decode", time.perf_counter_ns() - t0)
        return state


class ZenohBackend:
    """See :class:`rfx.go2.backends.base.DdsBackend`.

    Parameters
    ----------
    endpoint : str
        Where a bridge or router listens, such as ``tcp/192.168.123.18:7447``.
    key_prefix : str
        What the bridge puts before the topic names; empty where it puts nothing.
    timeout_s : float
        How long to wait for the connection (s).

    Raises
    ------
    MissingDependencyError
        eclipse-zenoh is not installed.
    RfxConnectionError
        Nobody listens at the endpoint.
    ConfigError
        The endpoint or the prefix is none.
    """

    def __init__(self, endpoint: str, key_prefix: str = "", timeout_s: float = 3.0) -> None:
        zenoh = load()
        self.endpoint = endpoint
        self.times = StageTimes()
        self._session = open_session(connect=endpoint, mode="client", key_prefix=key_prefix, timeout=timeout_s)
        self._lock = threading.RLock()  # a signal handler may ask while its own thread is inside
        self._services: dict[str, tuple[Any, Mailbox]] = {}
        self._remote, self._error = zenoh.Locality.REMOTE, zenoh.ZError
        self._patient = {"congestion_control": zenoh.CongestionControl.BLOCK, "express": True}
        self._receiver = ZenohReceiver(self.times)
        self._heard = False
        self._sport_states = Mailbox(1, "drop_oldest")
        try:
            self._subscribe(topics.LOW_STATE, self._receiver.came)
            self._subscribe(topics.SPORT_MODE_STATE, self._sport_states)
            self._commands = self._session.raw.declare_publisher(
                topics.LOW_CMD,
                congestion_control=zenoh.CongestionControl.DROP,
                priority=zenoh.Priority.REAL_TIME,
                express=True,
            )
            self._presence = presence.Presence.own(presence.COMMANDER, self._session)
            self._token = self._session.raw.liveliness().declare_token(self._presence.key)
        except BaseException:
            self._session.close()
            raise

    def __repr__(self) -> str:
        return f"ZenohBackend({self._session!r})"

    def _check_open(self) -> None:
        if self._session.closed:
            raise InvalidStateError(f"{self!r} is closed")

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Around calls of Zenoh: what they raise is said as an error of ours."""
        self._check_open()
        try:
            yield
        except self._error as error:
            self._check_open()  # closed meanwhile
            raise RfxConnectionError(f"Zenoh failed at {self.endpoint}: {error}") from error

    def _subscribe(self, topic: str, box: Mailbox) -> None:
        """Put what comes of a topic into a mailbox; the session holds the subscriber."""

        def came(sample: Any) -> None:
            with contextlib.suppress(InvalidStateError):  # the last ones while it is closed
                box.put(sample.payload.to_bytes())

        self._session.raw.declare_subscriber(topic, came, allowed_origin=self._remote)

    def publish_low_cmd(self, cmd: LowCmd) -> None:
        """Send a low-level command; its checksum is computed and stored. RfxConnectionError where nobody ever took one."""
        with self._asking():
            if not self._heard:  # asked until somebody takes them: later it is as on DDS, where nobody notices
                self._heard = bool(self._commands.matching_status.matching)
                if not self._heard:
                    raise RfxConnectionError(
                        f"nobody takes {topics.LOW_CMD} at {self.endpoint}: does the bridge deny it?"
                    )
            self.times.send(cmd, self._commands.put)

    def _service(self, name: str) -> tuple[Any, Mailbox]:
        """Where a service is asked and where it answers; made when it is first needed."""
        with self._asking(), self._lock:
            self._check_open()
            if name not in self._services:
                answers = Mailbox(RPC_DEPTH, "drop_oldest")
                self._subscribe(topics.response_topic(name), answers)
                asked = self._session.raw.declare_publisher(topics.request_topic(name), **self._patient)
                self._services[name] = asked, answers
            return self._services[name]

    def publish_request(self, service: str, request: Request) -> None:
        """Send a request to a service of the robot."""
        publisher, _ = self._service(service)
        with self._asking():
            publisher.put(request.to_cdr())

    def responses(self, service: str, timeout_s: float) -> list[Response]:
        """Wait for answers of a service and return those that came; malformed ones are left out."""
        answers = self._service(service)[1]
        first = answers.get(timeout_s)
        came = (decoded(Response, data) for data in ([] if first is None else [first, *answers.drain()]))
        return [response for response in came if response is not None]

    def serves(self, service: str) -> bool:
        """Whether somebody takes requests to a service: a bridge does, also while its robot is off."""
        publisher, _ = self._service(service)
        with self._asking():
            return bool(publisher.matching_status.matching)

    def other_commanders(self) -> list[str]:
        """Who else may write low-level commands, in words: clients on Zenoh, and what the bridges see on DDS."""
        with self._asking():
            return self._others()

    def _others(self) -> list[str]:
        found = [presence.Presence.from_key(key) for key in presence.alive(self._session, presence.COMMANDER)]
        names = [str(other) for other in found if other is not None]
        for reply in self._session.raw.get(
            f"{presence.ROOT}/{presence.BRIDGE}/*/*/*/*/status", timeout=presence.ANSWER_S
        ):
            if reply.ok is not None:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a bridge of another version
                    names += [str(name) for name in json.loads(reply.ok.payload.to_bytes())["commanders"]]
        return sorted(set(names))

    def subscribe_state(self) -> ZenohReceiver:
        """Return the receiver of low-level states; there is one."""
        return self._receiver

    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state that came since the last call, without waiting."""
        return decoded(SportModeState, self._sport_states.get_now())

    def is_connected(self) -> bool:
        """Whether somebody takes low-level commands or sport requests; a bridge may deny one of them."""
        try:
            with self._asking():
                return bool(self._commands.matching_status.matching) or self.serves(topics.SPORT)
        except InvalidStateError:
            return False

    def disconnect(self) -> None:
        """Close the session and end all waits; calling it again does nothing."""
        self._session.close()
        with self._lock:  # who asks for a service from now on finds the session closed
            boxes = [self._receiver.came, self._sport_states, *(box for _, box in self._services.values())]
        for box in boxes:
            box.close()
