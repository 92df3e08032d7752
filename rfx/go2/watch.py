"""What a robot does right now, as a table of text: rates, battery, posture, and every joint."""

import math
import threading
import time
from collections import deque
from typing import Any

from rfx.errors import CodecError, ConfigError
from rfx.go2 import topics
from rfx.go2.flight_log import TOPICS, message_of
from rfx.go2.messages import LowState, SportModeState
from rfx.robots.go2 import GO2

WINDOW_S = 1.0  # over which rates are counted
STALE_S = 0.2  # a state that is older is marked
SHOWN = tuple(TOPICS)


class _Stream:
    """What came of one topic within the window."""

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        self.total = 0
        self.wrong = 0

    def add(self, now: float) -> None:
        self.times.append(now)
        self.total += 1
        self.forget(now)

    def forget(self, now: float) -> None:
        while len(self.times) > 1 and self.times[0] < now - WINDOW_S:
            self.times.popleft()

    def rate(self, now: float) -> float:
        """Return messages per second, from the times between them."""
        self.forget(now)
        first, n = self.times[0], len(self.times)
        if n < 2 or now - self.times[-1] > WINDOW_S:
            return 0.0
        return (n - 1) / max(self.times[-1] - first, 1e-9)


class Watch:
    """Take in messages with :meth:`heard` (from any thread), give a table with :meth:`lines`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._newest: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Watch({', '.join(f'{t}: {s.total}' for t, s in self._streams.items())})"

    @property
    def has_state(self) -> bool:
        """Whether a valid low-level state has come."""
        return topics.LOW_STATE in self._newest

    def heard(self, topic: str, time_ns: int, data: bytes) -> None:
        """Take in a message; a wrong one is counted and changes nothing else."""
        try:
            message = message_of(topic).from_cdr(data)
            right = getattr(message, "crc_ok", True)
        except (CodecError, ConfigError):
            right = False
        now = time.monotonic()
        with self._lock:
            stream = self._streams.setdefault(topic, _Stream())
            stream.add(now)
            if right:
                self._newest[topic] = message
            else:
                stream.wrong += 1

    def lines(self, writers: dict[str, int] | None = None) -> list[str]:
        """Return the table; ``writers`` says how many write each topic."""
        now = time.monotonic()
        with self._lock:
            made = [f"{'topic':<34}{'Hz':>7}{'age ms':>9}{'messages':>10}{'wrong':>7}{'writers':>9}"]
            for topic in [*SHOWN, *sorted(self._streams.keys() - set(SHOWN))]:
                there = "-" if writers is None or topic not in writers else str(writers[topic])
                stream = self._streams.get(topic)
                if stream is None:
                    made.append(f"{topic:<34}{'-':>7}{'-':>9}{0:>10}{0:>7}{there:>9}")
                    continue
                age = now - stream.times[-1]
                late = "  late" if topic == topics.LOW_STATE and age > STALE_S else ""
                numbers = f"{stream.rate(now):>7.1f}{1e3 * age:>9.1f}{stream.total:>10}{stream.wrong:>7}{there:>9}"
                made.append(f"{topic:<34}{numbers}{late}")
            low, sport = self._newest.get(topics.LOW_STATE), self._newest.get(topics.SPORT_MODE_STATE)
        if low is None:
            return [*made, "", f"no valid {topics.LOW_STATE} yet"]
        return [*made, "", *_body(low, sport), "", *_joints(low)]


def _degrees(values: Any) -> str:
    return "  ".join(f"{math.degrees(v):7.1f}" for v in values)


def _numbers(values: Any, form: str = "7.2f") -> str:
    return "  ".join(format(v, form) for v in values)


def _body(low: LowState, sport: SportModeState | None) -> list[str]:
    made = [
        f"tick {low.tick / 1000:.3f} s   battery {low.bms_state.soc} %  {low.power_v:.1f} V  {low.power_a:.1f} A",
        f"roll pitch yaw  deg    {_degrees(low.imu_state.rpy)}",
        f"gyroscope       rad/s  {_numbers(low.imu_state.gyroscope)}",
        f"acceleration    m/s^2  {_numbers(low.imu_state.accelerometer)}",
        f"foot force             {_numbers(low.foot_force, '7d')}",
    ]
    if sport is not None:
        made += [
            f"position        m      {_numbers(sport.position)}",
            f"velocity        m/s    {_numbers(sport.velocity)}   turning {sport.yaw_speed:.2f} rad/s",
            f"sport mode {sport.mode}  gait {sport.gait_type}  error {sport.error_code}",
        ]
    return made


def _joints(low: LowState) -> list[str]:
    made = [f"{'joint':<18}{'mode':>5}{'q rad':>9}{'dq rad/s':>10}{'tau Nm':>9}{'deg C':>7}{'lost':>7}"]
    for i, joint in enumerate(GO2.joints):
        m = low.motor_state[i]
        made.append(
            f"{joint.name:<18}{m.mode:>5}{m.q:>9.3f}{m.dq:>10.2f}{m.tau_est:>9.2f}{m.temperature:>7}{m.lost:>7}"
        )
    return made
