"""What skills need of a robot, and the real one behind it."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rfx.errors import HardwareError, RfxTimeoutError
from rfx.go2 import Go2
from rfx.go2.messages import SportModeState
from rfx.go2.sport_client import STANDING_HEIGHT
from rfx.go2.topics import SportModeId
from rfx.sim.gait import feet_of

_FALLEN = 1.0  # rad of roll or pitch
_REST = SportModeId.BALANCE_STAND, SportModeId.POSE
_NOT_FREE = SportModeId.IDLE, SportModeId.JOINT_LOCK, SportModeId.DAMPING, SportModeId.RECOVERY_STAND


@dataclass(frozen=True)
class RobotPose:
    """Where a robot is and how it holds itself.

    Attributes
    ----------
    x, y, yaw : float
        Of the trunk, by the robot's own odometry (m, m, rad).
    age_s : float
        How long ago this was so.
    posture : str
        "standing", "walking", "sitting", "lying", "fallen" or "moving" (between two of them).
    battery_percent : int
    """

    x: float
    y: float
    yaw: float
    age_s: float = 0.0
    posture: str = "standing"
    battery_percent: int = 100


@runtime_checkable
class SkillRobot(Protocol):
    """What skills need of a robot. Every method may be called from any thread at any time, ``stop`` beside all others."""

    @property
    def time_s(self) -> float:
        """A clock that does not go back: the robot's own, or ours (s)."""
        ...

    def wait(self, seconds: float) -> None:
        """Let so much of that time pass."""
        ...

    def pose(self) -> RobotPose:
        """Return where the robot is; never waits."""
        ...

    def drive(self, vx: float, vy: float, vyaw: float, until_s: float) -> None:
        """Walk with this velocity (m/s, m/s, rad/s), and stop by itself when ``time_s`` is that, unless told again."""
        ...

    def stop(self) -> None:
        """Stop walking, and begin nothing that was asked for before."""
        ...

    def stand(self) -> None:
        """Stand up, and return when it stands."""
        ...

    def sit(self) -> None:
        """Sit down, and return when it sits."""
        ...

    def look(self, pitch: float, yaw: float) -> None:
        """Turn the trunk over standing feet (rad): nose down and to the left are positive."""
        ...


class Go2Robot:
    """A :class:`rfx.go2.Go2` as skills need it. Whoever made the client disconnects it.

    Parameters
    ----------
    go2 : Go2
        Connected, in sport mode.
    posture_s : float
        Longest time for standing up and sitting down (s).

    Raises
    ------
    HardwareError
        No sport state comes, which has the odometry.
    """

    def __init__(self, go2: Go2, posture_s: float = 10.0) -> None:
        self._go2, self._posture_s = go2, posture_s
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._stamped_s = -math.inf
        self._stops = 0
        end = time.monotonic() + go2.config.connect_timeout_s
        while go2.sport_state() is None:
            if time.monotonic() > end:
                raise HardwareError(
                    "expected a robot that says where it is, no sport state came: is a motion mode active?"
                )
            time.sleep(0.01)

    @property
    def time_s(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def pose(self) -> RobotPose:
        state, sport, now = self._go2.state(), self._go2.sport_state(), time.monotonic()
        if sport is None:
            return RobotPose(math.nan, math.nan, math.nan, math.inf, "moving", state.battery_percent)
        stamp = sport.stamp.sec, sport.stamp.nanosec
        with self._lock:
            if stamp != self._stamp:
                self._stamp, self._stamped_s = stamp, now
            age = now - min(self._stamped_s, state.timestamp)
        x, y, _ = sport.position
        roll, pitch, yaw = (float(angle) for angle in state.imu.rpy)
        posture = "fallen" if max(abs(roll), abs(pitch)) > _FALLEN else self._posture(sport)
        return RobotPose(float(x), float(y), yaw, age, posture, state.battery_percent)

    def _posture(self, sport: SportModeState) -> str:
        if 0 < sport.progress < 1:
            return "moving"
        if sport.mode == SportModeId.LOCOMOTION:
            return "walking"
        if sport.mode == SportModeId.SIT:
            return "sitting"
        if sport.mode in _REST:
            return "standing"
        if -float(feet_of(self._go2.low_state().q)[:, 2].mean()) <= STANDING_HEIGHT:
            return "lying"
        return "moving" if sport.mode in _NOT_FREE else "standing"

    def drive(self, vx: float, vy: float, vyaw: float, until_s: float) -> None:
        hold = until_s - time.monotonic()
        if hold > 0:
            self._go2.walk(vx, vy, vyaw, hold_s=hold)

    def stop(self) -> None:
        with self._lock:
            self._stops += 1
        self._go2.stop()

    def stand(self) -> None:
        stops, posture = self._stops, self.pose().posture
        if posture in ("standing", "walking"):
            self._go2.stop()
        elif posture == "sitting":
            self._begin(stops, self._go2.rise_sit)
            self._until("standing", stops)
        elif posture == "fallen":
            self._begin(stops, lambda: self._go2.recovery_stand(2 * self._posture_s))
        else:
            self._begin(stops, lambda: self._go2.stand(self._posture_s))

    def sit(self) -> None:
        stops = self._stops
        if self.pose().posture == "sitting":
            return
        self._still(stops)
        self._begin(stops, self._go2.sit)
        self._until("sitting", stops)

    def look(self, pitch: float, yaw: float) -> None:
        stops = self._stops
        self._still(stops)
        self._begin(stops, lambda: self._go2.euler(0.0, pitch, yaw))

    def _begin(self, stops: int, motion: Callable[[], None]) -> None:
        """Ask for a motion, unless there was a stop since it was wanted."""
        if stops == self._stops:
            motion()

    def _still(self, stops: int) -> None:
        """Let it take its last step: sitting down and looking need a robot that stands."""
        if self.pose().posture == "walking":
            self._go2.stop()
            self._until("standing", stops)

    def _until(self, posture: str, stops: int) -> None:
        end = time.monotonic() + self._posture_s
        time.sleep(0.1)  # a state that was made after the request
        while self._stops == stops and self.pose().posture != posture:
            if time.monotonic() > end:
                seen = self.pose().posture
                raise RfxTimeoutError(f"expected the robot to be {posture} within {self._posture_s:g} s, it is {seen}")
            time.sleep(0.05)

    def __repr__(self) -> str:
        return f"Go2Robot({self._go2!r})"
