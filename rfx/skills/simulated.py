"""Simulated robots for skills, in this process and without DDS: what they have in common, and one of numbers only.

They keep a clock of their own. In virtual time it advances while somebody waits, and so as fast as the machine can; in real
time (``real_time=True``) a thread advances it with the wall clock. They write down what they received, so that tests can
look at the robot's side of an envelope.
"""

import abc
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rfx import arrays
from rfx.errors import HardwareError, InvalidStateError
from rfx.skills.limits import REST, Velocity
from rfx.skills.robots import RobotPose

_POSTURE_S = 1.5
_FALLEN = 1.0  # rad


@dataclass
class Received:
    """What a simulated robot was told.

    Attributes
    ----------
    drives, stops, expired : int
        Velocities and stops that came, and velocities that ended because no other came in time.
    fastest : tuple of three float
        Greatest absolute value of each part of a velocity that came.
    longest_hold_s : float
        Longest time that a velocity was to be kept up without another.
    """

    drives: int = 0
    stops: int = 0
    expired: int = 0
    fastest: Velocity = REST
    longest_hold_s: float = 0.0


class Simulated(abc.ABC):
    """What simulated robots have in common: the clock, the velocity that is kept up, and what was received.

    ``trips`` has when it was under way, by its own clock (s): from a first velocity to the stop.
    """

    def __init__(self, real_time: bool) -> None:
        self._lock = threading.RLock()
        self._real_time = real_time
        self._velocity: Velocity = REST
        self._until_s = -math.inf
        self._began_s: float | None = None
        self._closed = threading.Event()
        self._watchers: list[Callable[[float, float, float], None]] = []
        self._stops = 0
        self._advanced_s = time.monotonic()
        self.received = Received()
        self.trips: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._live, name="rfx simulated robot", daemon=True)
        if real_time:
            self._thread.start()

    @property
    @abc.abstractmethod
    def time_s(self) -> float:
        """Its own clock (s)."""

    @abc.abstractmethod
    def _advance(self, seconds: float) -> None: ...

    @abc.abstractmethod
    def _set_off(self, velocity: Velocity) -> None: ...

    def _live(self) -> None:
        last = time.monotonic()
        while not self._closed.wait(0.01):
            now = time.monotonic()
            with self._lock:
                if self._closed.is_set():
                    return
                try:
                    self._advance(min(now - last, 0.05))  # a machine that stalls lets simulated time fall behind
                except InvalidStateError:
                    if self._closed.is_set():  # a watcher has closed it, in this very step
                        return
                    raise
                self._advanced_s = now
            last = now

    def _age(self) -> float:
        return time.monotonic() - self._advanced_s if self._real_time else 0.0

    def wait(self, seconds: float) -> None:
        """Let so much time pass; InvalidStateError when the robot is closed meanwhile, since its clock stands then."""
        arrays.number(seconds, "seconds", minimum=0.0, maximum=3600.0)
        if self._real_time:
            self._closed.wait(seconds)
            self._check_open()
            return
        with self._lock:
            self._check_open()
            self._advance(seconds)

    def drive(self, vx: float, vy: float, vyaw: float, until_s: float) -> None:
        """Walk with this velocity until its clock says so; HardwareError for a robot that does not stand."""
        given = (arrays.number(vx, "vx"), arrays.number(vy, "vy"), arrays.number(vyaw, "vyaw"))
        until = arrays.number(until_s, "until_s")
        with self._lock:
            self._check_open()
            self._set_off(given)
            seen = self.received
            seen.drives += 1
            seen.longest_hold_s = max(seen.longest_hold_s, until - self.time_s)
            x, y, z = (max(most, abs(v)) for most, v in zip(seen.fastest, given, strict=True))
            seen.fastest = (x, y, z)
            self._velocity, self._until_s = given, until
            if self._began_s is None and given != REST:
                self._began_s = self.time_s

    def stop(self) -> None:
        """Stop walking, and leave off standing up and sitting down where that is under way."""
        with self._lock:
            self._check_open()
            self.received.stops += 1
            self._stops += 1
            self._rest()

    def _rest(self) -> None:
        if self._began_s is not None:
            self.trips.append((self._began_s, self.time_s))
        self._velocity, self._until_s, self._began_s = REST, -math.inf, None

    def on_step(self, watcher: Callable[[float, float, float], None]) -> None:
        """Call ``watcher(time_s, x, y)`` after every step of the simulation."""
        self._watchers.append(watcher)

    def _tell(self, x: float, y: float) -> None:
        for watcher in self._watchers:
            watcher(self.time_s, x, y)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise InvalidStateError("this simulated robot is closed")

    def close(self) -> None:
        """End the thread of real time. Calling it again does nothing."""
        self._closed.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class KinematicGo2(Simulated):
    """A robot that does at once and exactly what it is told: a point with a heading. For tests and for drafts of skills.

    Parameters
    ----------
    real_time : bool
        Follow the wall clock; else time passes while somebody waits.
    step_s : float
        Longest step of its motion (s).

    Examples
    --------
    >>> robot = KinematicGo2()
    >>> robot.stand()
    >>> robot.drive(0.5, 0.0, 0.0, until_s=robot.time_s + 1.0)
    >>> robot.wait(2.0)
    >>> round(robot.pose().x, 3), robot.received.expired
    (0.5, 1)
    """

    def __init__(self, real_time: bool = False, step_s: float = 0.02) -> None:
        self._now_s = 0.0
        self._at = REST
        self._posture = "lying"
        self._looks = (0.0, 0.0)
        self._step_s = arrays.number(step_s, "step_s", above=0.0, maximum=1.0)
        super().__init__(real_time)

    @property
    def time_s(self) -> float:
        """Its own clock (s)."""
        return self._now_s

    @property
    def looks(self) -> tuple[float, float]:
        """Pitch and yaw of the trunk (rad)."""
        return self._looks

    def pose(self) -> RobotPose:
        """Return where it is."""
        with self._lock:
            self._check_open()
            posture = "walking" if self._velocity != REST else self._posture
            return RobotPose(*self._at, self._age(), posture)

    def _advance(self, seconds: float) -> None:
        while seconds > 0:
            moving = self._velocity != REST
            dt = min(seconds, self._step_s) if moving else seconds
            if moving and self._until_s - self._now_s <= 1e-9:
                self.received.expired += 1
                self._rest()
                continue
            if moving:
                dt = min(dt, self._until_s - self._now_s)
                x, y, yaw = self._at
                vx, vy, vyaw = self._velocity
                c, s = math.cos(yaw + 0.5 * dt * vyaw), math.sin(yaw + 0.5 * dt * vyaw)
                self._at = (x + dt * (c * vx - s * vy), y + dt * (s * vx + c * vy), yaw + dt * vyaw)
            self._now_s += dt
            seconds -= dt
            self._tell(self._at[0], self._at[1])

    def _set_off(self, velocity: Velocity) -> None:
        if self._posture != "standing":
            raise HardwareError(f"expected a robot that stands, this one is {self._posture}")
        self._looks = (0.0, 0.0)

    def _become(self, posture: str) -> None:
        with self._lock:
            self._rest()
            stops = self._stops
        if posture != self._posture:
            end = self.time_s + _POSTURE_S
            while self._real_time and stops == self._stops and self.time_s < end:
                self.wait(0.02)
            self.wait(0.0 if self._real_time else _POSTURE_S)
        with self._lock:
            if stops == self._stops:
                self._posture = posture

    def stand(self) -> None:
        """Stand up."""
        self._become("standing")

    def sit(self) -> None:
        """Sit down."""
        self._become("sitting")

    def look(self, pitch: float, yaw: float) -> None:
        """Turn the trunk (rad)."""
        given = arrays.number(pitch, "pitch"), arrays.number(yaw, "yaw")
        with self._lock:
            self._set_off(REST)
            self._looks = given

    def __repr__(self) -> str:
        x, y, yaw = self._at
        return f"KinematicGo2({self._posture} at {x:.2f}, {y:.2f}, heading {math.degrees(yaw):.0f} degrees)"
