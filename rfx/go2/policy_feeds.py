"""What stands beside a compiled tick: who asks for commands, who writes the flight log, and the client it drives for."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rfx.errors import InvalidStateError
from rfx.go2 import guard, topics
from rfx.go2.client import Go2
from rfx.go2.flight_log import FlightLog
from rfx.go2.policy_record import POLICY_TOPIC, VELOCITY_TOPIC, VelocityEstimate, policy_step_class
from rfx.go2.policy_tick import PolicyTick
from rfx.go2.record_ring import RecordRing

TOPIC_OF = (
    topics.LOW_STATE,
    topics.LOW_CMD,
    POLICY_TOPIC,
    VELOCITY_TOPIC,
)  # in the order of the kinds in record_ring.pxd
DRAIN_S = 0.02
BRAKE_S = 0.15  # for a tick to come to its end when the program is ended

Commander = Callable[[float], Any]
Estimator = Callable[[], Any]


class Feeder:
    """Asks callables for commands and the base's velocity, and hands over what they give.

    What raises ends the run; what gives None says nothing, and after the dead-man's time the command is zero.
    """

    def __init__(self, tick: PolicyTick, commander: Commander | None, estimator: Estimator | None) -> None:
        self._tick, self._commander, self._estimator = tick, commander, estimator
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._asked = -1
        self.error: Exception | None = None

    def __repr__(self) -> str:
        return f"Feeder(commander={self._commander!r}, estimator={self._estimator!r})"

    def ask(self) -> None:
        """Ask once, if the policy has taken a step since the last time."""
        if self._asked == self._tick.policy_steps or self.error is not None:
            return
        self._asked = self._tick.policy_steps
        self._ask()

    def _ask(self) -> None:
        try:
            if self._commander is not None:
                wish = self._commander(self._tick.policy_s)
                if wish is not None:
                    self._tick.commands.hand_over(*wish)
            if self._estimator is not None:
                velocity = self._estimator()
                if velocity is not None:
                    self._tick.commands.hand_over_velocity(velocity)
        except Exception as error:
            self.error = error
            self._tick.finish()

    def start(self, period_s: float) -> None:
        """Ask in a thread, once in each period."""
        if self._commander is None and self._estimator is None:
            return
        self._ask()

        def work() -> None:
            while self.error is None and not self._stop.wait(period_s):
                self._ask()

        self._thread = threading.Thread(target=work, name="policy commands", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that is stuck in a callable is left behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)


class TickLog:
    """Empties a ring of records into a flight log."""

    def __init__(self, path: str | os.PathLike[str], ring: RecordRing, obs_dim: int, about: dict[str, str]) -> None:
        self.ring = ring
        kinds = {POLICY_TOPIC: policy_step_class(obs_dim), VELOCITY_TOPIC: VelocityEstimate}
        self.log = FlightLog(path, metadata=about, messages=kinds)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="policy log", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"TickLog({self.log!r}, {self.ring!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self.log.close()
        else:
            with contextlib.suppress(InvalidStateError):  # what ended the run is what is raised
                self.log.close()

    def _work(self) -> None:
        while not self._stop.wait(DRAIN_S):
            self._empty()
        self._empty()

    def _empty(self) -> None:
        for kind, time_ns, data in self.ring.drain():
            self.log.record(TOPIC_OF[kind], time_ns, data)


class Driver:
    """Stands in the place of a client's sender while a policy drives: emergency stop, signals and disconnecting reach the tick.

    Commands that somebody sends meanwhile are refused. Ctrl+C asks the policy to end, a second one and any other signal
    brings damping.
    """

    def __init__(self, go2: Go2, tick: PolicyTick) -> None:
        self._go2, self._tick = go2, tick
        self._interrupted = False
        self.wanted = None

    def __repr__(self) -> str:
        return f"Driver({self._tick!r})"

    @property
    def state(self) -> str:
        """As a sender has it: sending, damping or stopped."""
        return {"damping": "damping", "done": "stopped"}.get(self._tick.phase, "sending")

    def is_running(self) -> bool:
        """Whether commands go out."""
        return self._tick.phase != "done"

    def __enter__(self) -> Self:
        go2 = self._go2
        with go2._change:
            go2._drop_sender()
            with go2._motors.sending("the policy's first command"):  # not after a stop since the motors were taken
                guard.watch(go2, go2._brake)
                go2._sender = self  # type: ignore[assignment]
                go2._commanded = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_running():  # Ctrl+C came where nobody watches the tick
            self._tick.damp()
        with self._go2._change:
            if self._go2._sender is self:  # type: ignore[comparison-overlap]
                self._go2._sender = None

    def put(self, cmd: Any) -> Any:
        """Refuse a command of somebody else."""
        raise InvalidStateError("expected nobody else to command, a policy drives the motors: end its run first")

    def damp(self, reason: str) -> None:
        """Brake at once."""
        self._tick.damp()

    def settle(self) -> None:
        """Wait for the tick that was under way when it was damped: from then on it sends nothing but damping."""
        self._wait(BRAKE_S, ("damping", "done"))

    def brake(self, reason: str) -> bool:
        """End the run because of a signal."""
        if reason == "SIGINT" and not self._interrupted:
            self._interrupted = True
            self._tick.finish()
        else:
            self._tick.damp()
            self._wait(BRAKE_S)
        return True

    def stop(self) -> None:
        """Brake and wait for the end."""
        self._tick.damp()
        self._wait(2.0)

    def _wait(self, seconds: float, phases: tuple[str, ...] = ("done",)) -> None:
        end = time.monotonic() + seconds
        while self._tick.phase not in phases and time.monotonic() < end:
            time.sleep(0.001)
