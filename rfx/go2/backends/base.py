"""What a way to the robot must offer, and what all of them need."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from rfx.control import Histogram
from rfx.errors import CodecError
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState

Message = TypeVar("Message", Response, SportModeState)
STAGES = ("take", "decode", "encode", "write")


class StageTimes:
    """How long each stage of a link took: the last time in ``last_ns``, all of them in ``histograms``."""

    def __init__(self) -> None:
        self.last_ns = dict.fromkeys(STAGES, 0)
        self.histograms = {name: Histogram() for name in STAGES}

    def add(self, stage: str, ns: int) -> None:
        """Record one duration."""
        self.last_ns[stage] = ns
        self.histograms[stage].record(ns)

    def send(self, cmd: LowCmd, write: Callable[[bytes], object]) -> None:
        """Encode a command, with its checksum, hand it to ``write``, and record both durations."""
        t0 = time.perf_counter_ns()
        data = cmd.to_cdr()
        t1 = time.perf_counter_ns()
        write(data)
        self.add("encode", t1 - t0)
        self.add("write", time.perf_counter_ns() - t1)

    def __repr__(self) -> str:
        return f"StageTimes({', '.join(f'{k}={v / 1000:.1f} us' for k, v in self.last_ns.items())})"


def decoded(kind: type[Message], data: bytes | None) -> Message | None:
    """Return a message of this kind; None where nothing came, or nothing valid."""
    if data is None:
        return None
    try:
        return kind.from_cdr(data)
    except CodecError:
        return None


class StateDecoder:
    """Decodes low-level states, and counts and words those that are not valid."""

    def __init__(self) -> None:
        self.refused = 0
        self.last_refusal = ""

    def decode(self, data: bytes) -> LowState | None:
        """Return the state; None where it is none, or its checksum is wrong."""
        try:
            state = LowState.from_cdr(data)
            if not state.crc_ok:
                raise CodecError(f"checksum {state.crc:08x} where {state.compute_crc():08x} is right")
        except CodecError as error:
            self.refuse(error)
            return None
        return state

    def refuse(self, error: CodecError) -> None:
        """Count a message that is not valid."""
        self.refused += 1
        self.last_refusal = str(error)


@runtime_checkable
class StateReceiver(Protocol):
    """States as they come. ``refused`` counts those that were not valid; ``last_refusal`` says why the last one was not."""

    refused: int
    last_refusal: str

    def recv(self, timeout_s: float) -> LowState | None:
        """Wait for the next valid state; None when the time is over."""

    def latest(self) -> LowState | None:
        """Return the newest valid state that came since the last call, without waiting."""


@runtime_checkable
class DdsBackend(Protocol):
    """A link to a robot, whatever carries it. ``times`` says how long its stages take."""

    times: StageTimes

    def publish_low_cmd(self, cmd: LowCmd) -> None:
        """Send a low-level command; its checksum is computed and stored."""

    def publish_request(self, service: str, request: Request) -> None:
        """Send a request to a service of the robot (``rt/api/<service>/request``)."""

    def responses(self, service: str, timeout_s: float) -> list[Response]:
        """Wait for answers of a service and return those that came, none when the time is over."""

    def serves(self, service: str) -> bool:
        """Whether there is anyone who takes requests to a service and answers them."""

    def other_commanders(self) -> list[str]:
        """Who else writes low-level commands, in words."""

    def subscribe_state(self) -> StateReceiver:
        """Return the receiver of low-level states."""

    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state that came since the last call, without waiting."""

    def is_connected(self) -> bool:
        """Whether there is anyone at the other end at all."""

    def disconnect(self) -> None:
        """Close the link; calling it again does nothing."""
