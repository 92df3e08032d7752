"""The two Python threads beside a compiled tick: one asks for commands, one writes the flight log."""

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rfx.errors import InvalidStateError
from rfx.go2 import topics
from rfx.go2.flight_log import FlightLog
from rfx.go2.policy_record import POLICY_TOPIC, policy_step_class
from rfx.go2.policy_tick import PolicyTick
from rfx.go2.record_ring import RecordRing

TOPIC_OF = (topics.LOW_STATE, topics.LOW_CMD, POLICY_TOPIC)  # in the order of the kinds in record_ring.pxd
DRAIN_S = 0.02

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
        self.log = FlightLog(path, metadata=about, messages={POLICY_TOPIC: policy_step_class(obs_dim)})
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
