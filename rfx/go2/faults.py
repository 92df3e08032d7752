"""Ways for the simulated robot to misbehave: on its lines, and in its joints."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, RfxError
from rfx.robots.go2 import LEGS, MOTOR_NAMES, NUM_MOTORS
from rfx.sim.plant import JointCommand, PlantState

ON_LINES = ("drop", "delay", "duplicate", "corrupt")
IN_JOINTS = ("freeze", "encoder")
KINDS = (*ON_LINES, *IN_JOINTS, "vanish")
LINES = ("lowstate", "lowcmd", "sportmodestate", "request", "response")
STUCK_KP, STUCK_KD = 400.0, 20.0


@dataclass(frozen=True)
class Fault:
    """Something goes wrong for a while.

    Parameters
    ----------
    kind : {"drop", "delay", "duplicate", "corrupt", "freeze", "encoder", "vanish"}
        ``freeze`` holds a joint where it is, ``encoder`` stops what a leg measures, ``vanish`` ends all that the robot
        says and hears. The others concern the messages of one line.
    start_s, duration_s : float
        In simulated seconds.
    where : str
        For lines: lowstate, lowcmd, sportmodestate, request or response. ``freeze``: a motor's name. ``encoder``: a leg.
    share : float
        For lines: which part of the messages it meets, 0..1.
    delay_s : float
        For ``delay``: by how much (simulated seconds).

    Raises
    ------
    ConfigError, InvalidValueError
        Unknown names, or numbers out of range.
    """

    kind: str
    start_s: float
    duration_s: float = 1e6
    where: str = ""
    share: float = 1.0
    delay_s: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"expected kind to be one of {', '.join(KINDS)}, got {self.kind!r}")
        arrays.number(self.start_s, "start_s", minimum=0)
        arrays.number(self.duration_s, "duration_s", above=0)
        arrays.number(self.share, "share", above=0, maximum=1)
        arrays.number(self.delay_s, "delay_s", above=0, maximum=10)
        places = {"freeze": MOTOR_NAMES, "encoder": LEGS, "vanish": ("",)}.get(self.kind, LINES)
        if self.where not in places:
            raise ConfigError(f"expected {self.kind} at one of {', '.join(places) or 'no place'}, got {self.where!r}")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read ``KIND:START:DURATION[:WHERE[:SHARE]]``."""
        try:
            kind, start, duration, where, share, *rest = (*text.split(":"), "", "1")[: max(5, text.count(":") + 1)]
            if rest:
                raise ValueError(text)
            return cls(kind, float(start), float(duration), where, float(share or 1))
        except (ValueError, TypeError) as error:
            if isinstance(error, RfxError):
                raise
            raise ConfigError(f"expected a fault as KIND:START:DURATION[:WHERE[:SHARE]], got {text!r}") from error

    def active(self, now_s: float) -> bool:
        """Whether it is under way."""
        return self.start_s <= now_s < self.start_s + self.duration_s


class Faults:
    """All faults of one robot. Times are simulated, choices come from one seed: the same run fails the same way."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._faults = list(faults)
        for fault in self._faults:
            if not isinstance(fault, Fault):
                raise ConfigError(f"expected faults to be Fault objects, got {type(fault).__name__}")
        self._chance = random.Random(seed)
        self._waiting: dict[str, list[tuple[float, int, bytes]]] = defaultdict(list)
        self._count = 0
        self._held: dict[Fault, PlantState] = {}
        self.lost = np.zeros(NUM_MOTORS, np.int64)
        self.met = 0

    def __repr__(self) -> str:
        return f"Faults({len(self._faults)}, met={self.met} messages)"

    def add(self, fault: Fault) -> None:
        """Plan one more."""
        self._faults = [*self._faults, fault]

    # -- lines

    def gone(self, now_s: float) -> bool:
        """Whether the robot has vanished."""
        return any(f.kind == "vanish" and f.active(now_s) for f in self._faults)

    def pass_on(self, line: str, messages: Iterable[bytes], now_s: float) -> list[bytes]:
        """Return what comes out at the other end of a line now."""
        if not self._faults:
            return list(messages)
        if self.gone(now_s):
            self._waiting[line].clear()
            return []
        through = []
        for data in messages:
            through += self._one(line, data, now_s)
        waiting = self._waiting[line]
        late = []
        while waiting and waiting[0][0] <= now_s + 1e-9:
            late.append(heapq.heappop(waiting)[2])
        return late + through

    def _one(self, line: str, data: bytes, now_s: float) -> list[bytes]:
        for fault in self._faults:
            if fault.where != line or not fault.active(now_s) or self._chance.random() >= fault.share:
                continue
            self.met += 1
            if fault.kind == "drop":
                return []
            if fault.kind == "duplicate":
                return [data, data]
            if fault.kind == "corrupt":
                return [self._spoil(data)]
            self._count += 1
            heapq.heappush(self._waiting[line], (now_s + fault.delay_s, self._count, data))
            return []
        return [data]

    def _spoil(self, data: bytes) -> bytes:
        """One octet of the body changed; the length stays, so that only a checksum can tell."""
        spoiled = bytearray(data)
        spoiled[self._chance.randrange(4, len(spoiled))] ^= self._chance.randrange(1, 256)
        return bytes(spoiled)

    # -- joints

    def measure(self, state: PlantState) -> PlantState:
        """Return what the robot's sensors say of this state."""
        for fault in self._faults:
            if fault.kind not in IN_JOINTS:
                continue
            if not fault.active(state.time):
                self._held.pop(fault, None)
                continue
            held = self._held.setdefault(fault, state)
            self.lost[_motors(fault)] += 1
            if fault.kind == "encoder":
                state = replace(state, q=state.q.copy(), dq=state.dq.copy())
                state.q[_motors(fault)], state.dq[_motors(fault)] = held.q[_motors(fault)], 0.0
        return state

    def complaint(self) -> str:
        """Which motors cannot be used now, in words; empty when all can."""
        words = {"freeze": "is stuck", "encoder": "is not measured"}
        return "; ".join(f"{fault.where} {words[fault.kind]}" for fault in self._held)

    def bad_motors(self) -> list[int]:
        """Indices of the motors that cannot be used now."""
        return sorted({i for fault in self._held for i in range(NUM_MOTORS)[_motors(fault)]})

    def bend(self, command: JointCommand) -> JointCommand:
        """Return what the motors make of a command."""
        stuck = [(f, held) for f, held in self._held.items() if f.kind == "freeze"]
        if not stuck:
            return command
        bent = JointCommand(command.q, command.dq, command.tau, command.kp, command.kd, command.enabled)
        for fault, held in stuck:
            at = _motors(fault)
            bent.q[at], bent.dq[at], bent.tau[at] = held.q[at], 0.0, 0.0
            bent.kp[at], bent.kd[at], bent.enabled[at] = STUCK_KP, STUCK_KD, True
        return bent


def _motors(fault: Fault) -> slice:
    if fault.kind == "freeze":
        i = MOTOR_NAMES.index(fault.where)
        return slice(i, i + 1)
    leg = LEGS.index(fault.where)
    return slice(3 * leg, 3 * leg + 3)


class Line:
    """An endpoint of DDS whose messages pass through the faults: a reader or a writer, whichever it is made from."""

    def __init__(self, endpoint: Any, name: str, faults: Faults, clock: Callable[[], float]) -> None:
        self._endpoint, self._name, self._faults, self._clock = endpoint, name, faults, clock

    def __repr__(self) -> str:
        return f"Line({self._name}, {self._endpoint!r})"

    def take(self) -> list[bytes]:
        """Take what has come, oldest first."""
        return self._faults.pass_on(self._name, self._endpoint.take(), self._clock())

    def write(self, *messages: bytes) -> None:
        """Send, or not; without a message send those whose delay is over."""
        for message in self._faults.pass_on(self._name, messages, self._clock()):
            self._endpoint.write(message)
