"""The link to a robot over CycloneDDS. No thread of its own: whoever wants a state takes it."""

import threading
import time

from rfx.go2 import topics
from rfx.go2.backends.base import StageTimes, StateDecoder, decoded
from rfx.go2.backends.cyclone import CycloneDomain, RawReader, RawWriter
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState

RPC_DEPTH = 32


class CycloneReceiver(StateDecoder):
    """Takes, checks and decodes low-level states."""

    def __init__(self, reader: RawReader, times: StageTimes) -> None:
        super().__init__()
        self._reader = reader
        self._times = times

    def __repr__(self) -> str:
        return f"CycloneReceiver({self._reader!r}, refused={self.refused})"

    def recv(self, timeout_s: float) -> LowState | None:
        """Wait for the next valid state; None when the time is over or the wait was ended."""
        end = time.monotonic() + timeout_s
        while self._reader.wait(max(0.0, end - time.monotonic())):
            state = self.latest()
            if state is not None:
                return state
        return None

    def latest(self) -> LowState | None:
        """Return the newest valid state that came since the last call, without waiting."""
        t0 = time.perf_counter_ns()
        samples = self._reader.take()
        if not samples:
            return None
        t1 = time.perf_counter_ns()
        self._times.add("take", t1 - t0)
        newest = None
        for data in samples:
            newest = self.decode(data) or newest
        self._times.add("decode", time.perf_counter_ns() - t1)
        return newest


class CycloneBackend:
    """See :class:`rfx.go2.backends.base.DdsBackend`."""

    def __init__(self, domain_id: int, interface: str | None, *, raw: bool | None = None) -> None:
        self.domain = CycloneDomain(domain_id, interface, raw=raw)
        self.times = StageTimes()
        try:
            self._states = self.domain.reader(topics.LOW_STATE, LowState)
            self._sport_states = self.domain.reader(topics.SPORT_MODE_STATE, SportModeState)
            self._commands = self.domain.writer(topics.LOW_CMD, LowCmd)
        except BaseException:
            self.domain.close()
            raise
        self._receiver = CycloneReceiver(self._states, self.times)
        self._lock = threading.RLock()  # a signal handler may ask while its own thread is inside
        self._services: dict[str, tuple[RawWriter, RawReader]] = {}

    def __repr__(self) -> str:
        return f"CycloneBackend({self.domain!r})"

    def publish_low_cmd(self, cmd: LowCmd) -> None:
        """Send a low-level command; its checksum is computed and stored."""
        self.times.send(cmd, self._commands.write)

    def _service(self, name: str) -> tuple[RawWriter, RawReader]:
        """Where a service is asked and where it answers; made when it is first needed."""
        with self._lock:
            if name not in self._services:
                self._services[name] = (
                    self.domain.writer(topics.request_topic(name), Request, depth=RPC_DEPTH),
                    self.domain.reader(topics.response_topic(name), Response, reliable=True, depth=RPC_DEPTH),
                )
            return self._services[name]

    def publish_request(self, service: str, request: Request) -> None:
        """Send a request to a service of the robot."""
        self._service(service)[0].write(request.to_cdr())

    def responses(self, service: str, timeout_s: float) -> list[Response]:
        """Wait for answers of a service and return those that came; malformed ones are left out."""
        reader = self._service(service)[1]
        came = (decoded(Response, data) for data in (reader.take() if reader.wait(timeout_s) else []))
        return [response for response in came if response is not None]

    def serves(self, service: str) -> bool:
        """Whether there is anyone who takes requests to a service and answers them."""
        writer, reader = self._service(service)
        return writer.matched > 0 and reader.matched > 0

    def other_commanders(self) -> list[str]:
        """Who else writes low-level commands, in words."""
        return [str(writer) for writer in self.domain.writers_of(topics.LOW_CMD)]

    def subscribe_state(self) -> CycloneReceiver:
        """Return the receiver of low-level states; there is one."""
        return self._receiver

    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state that came since the last call, without waiting."""
        return decoded(SportModeState, self._sport_states.take_latest())

    def is_connected(self) -> bool:
        """Whether a writer of low-level states and a reader of commands are there."""
        return self._states.matched > 0 and self._commands.matched > 0

    def disconnect(self) -> None:
        """Leave the domain and end all waits; calling it again does nothing."""
        self.domain.close()
