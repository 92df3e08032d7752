"""The simulated robot: a plant behind the robot's own DDS topics, so that a controller cannot tell it from a Go2.

It publishes ``rt/lowstate`` with a checksum, obeys ``rt/lowcmd`` (PD per motor, torque limits, checksum checked) and
goes to damping when commands stop. Two ways to pass the time:

real time
    500 Hz by the wall clock, the command that came last is held. When the machine stalls, simulated time falls behind.
lockstep
    Simulated time stands still until the state that was published last is answered. The answer carries that state's
    tick in ``LowCmd.reserve``. A state without an answer is published again every 50 ms. The result does not depend
    on how fast the machine is.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rfx import arrays
from rfx.control import ControlLoop
from rfx.errors import CodecError, ConfigError, RfxError
from rfx.go2 import topics
from rfx.go2.messages import LowCmd, LowState, SportModeState
from rfx.robots.go2 import NUM_MOTORS
from rfx.sim.plant import JointCommand, Plant

PERIOD_S = 0.002
RESEND_S = 0.05
SPORT_STATE_EVERY = 5
DAMPING_KD = 3.0
SETTLE_S = 1.0


@dataclass(frozen=True)
class Push:
    """A force on the trunk: when it starts and how long it lasts (simulated seconds), and what it is (world, N)."""

    start_s: float
    duration_s: float
    force_n: tuple[float, float, float]

    def __post_init__(self) -> None:
        arrays.number(self.start_s, "start_s", minimum=0)
        arrays.number(self.duration_s, "duration_s", above=0)
        if len(self.force_n) != 3:
            raise ConfigError(f"expected force_n to have 3 components, got {len(self.force_n)}")
        for axis, value in zip("xyz", self.force_n, strict=True):
            arrays.number(value, f"force_n {axis}")

    @classmethod
    def parse(cls, text: str) -> "Push":
        """Read ``START:DURATION:FX,FY,FZ``."""
        try:
            start, duration, force = text.split(":")
            x, y, z = (float(part) for part in force.split(","))
            return cls(float(start), float(duration), (x, y, z))
        except ValueError as error:
            if isinstance(error, RfxError):
                raise
            raise ConfigError(f"expected a push as START:DURATION:FX,FY,FZ, got {text!r} ({error})") from error

    def __str__(self) -> str:
        x, y, z = self.force_n
        return f"{self.start_s:g}:{self.duration_s:g}:{x:g},{y:g},{z:g}"


@dataclass
class RobotCounters:
    """What the simulated robot has seen since it started.

    ``refused`` are commands with a wrong length, a wrong checksum, NaN or a negative gain; ``repeated`` those that answer
    an older state in lockstep; ``reasons`` say why it went to damping.
    """

    steps: int = 0
    commands: int = 0
    refused: int = 0
    repeated: int = 0
    damped: int = 0
    reasons: list[str] = field(default_factory=list)


class SimulatedGo2:
    """Run a plant as a Go2 on DDS.

    Parameters
    ----------
    plant : Plant
        The physics, stepped at 500 Hz.
    domain : CycloneDomain
        An open DDS domain; the caller closes it.
    lockstep : bool
        Wait for the answer to each state (see the module's text) instead of following the wall clock.
    command_timeout_s : float
        Without a valid command for so long, counted by the wall clock, the robot goes to damping.
    pushes : sequence of Push
        Forces on the trunk, by simulated time.
    say : callable
        Takes one line about what happens.
    """

    def __init__(
        self,
        plant: Plant,
        domain: Any,
        *,
        lockstep: bool = False,
        command_timeout_s: float = 0.1,
        pushes: Sequence[Push] = (),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.plant = plant
        self.lockstep = lockstep
        self.command_timeout_s = arrays.number(command_timeout_s, "command_timeout_s", above=0)
        self.counters = RobotCounters()
        self._say = say
        self._pushes = sorted(pushes, key=lambda p: p.start_s)
        if self._pushes and not plant.can_fall:
            say("the base is fixed: pushes are left out")
            self._pushes = []
        self._stop = threading.Event()
        self._orphaned = threading.Event()
        self._states = domain.writer(topics.LOW_STATE, LowState)
        self._sport = domain.writer(topics.SPORT_MODE_STATE, SportModeState)
        self._commands = domain.reader(topics.LOW_CMD, LowCmd)
        self._now = plant.state
        self._received = LowCmd()
        self._state = LowState()
        self._sport_state = SportModeState()
        self._command = JointCommand()
        self._damping = JointCommand.damping(DAMPING_KD)
        self._last_command_s: float | None = None
        self._damped = False

    def __repr__(self) -> str:
        kind = "lockstep" if self.lockstep else "real time"
        return f"SimulatedGo2(plant={self.plant.name}, {kind}, mode={self.mode}, steps={self.counters.steps})"

    @property
    def tick(self) -> int:
        """Milliseconds of simulated time, as ``LowState.tick`` carries them."""
        return self.counters.steps * 2

    @property
    def mode(self) -> str:
        """``waiting`` for a first command, ``commanded``, or ``damping``."""
        if self._damped:
            return "damping"
        return "waiting" if self._last_command_s is None else "commanded"

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread."""
        self._stop.set()
        self._commands.wake()

    def commander_gone(self) -> None:
        """Go to damping at once, lie for a second, then end :meth:`run`; may be called from any thread."""
        self._orphaned.set()
        self._commands.wake()

    def run(self, seconds: float | None = None) -> RobotCounters:
        """Run until stopped, or for so many simulated seconds."""
        last = math.inf if seconds is None else round(arrays.number(seconds, "seconds", above=0) / PERIOD_S)
        if self.lockstep:
            self._run_lockstep(last)
        else:
            self._run_real_time(last)
        if self._orphaned.is_set():
            self._enter_damping("the commander is gone")
            self._free_run(SETTLE_S)
        return self.counters

    # -- passing the time

    def _over(self, last: float) -> bool:
        return self._stop.is_set() or self._orphaned.is_set() or self.counters.steps >= last

    def _run_real_time(self, last: float) -> None:
        def tick(iteration: int, dt: float) -> bool:
            self._take_commands()
            self._check_staleness()
            self._advance()
            self._publish()
            return not self._over(last)

        ControlLoop(1.0 / PERIOD_S, tick, name="simulated go2", late_policy="skip").run()

    def _run_lockstep(self, last: float) -> None:
        self._publish()
        sent = time.monotonic()
        while not self._over(last):
            if self._commands.wait(RESEND_S) and self._take_commands():
                self._advance()
                self._publish()
                sent = time.monotonic()
                continue
            self._check_staleness()
            if self._damped:
                self._free_run(math.inf)
                sent = 0.0
            if time.monotonic() - sent >= RESEND_S:
                self._publish()
                sent = time.monotonic()

    def _free_run(self, seconds: float) -> None:
        """Follow the wall clock in damping: for so long, or until a command comes or the commander is gone."""
        end = time.monotonic() + seconds
        waiting = seconds == math.inf  # for a commander; without one there is nobody to obey

        def tick(iteration: int, dt: float) -> bool:
            if self._stop.is_set() or (waiting and (self._orphaned.is_set() or self._take_commands(any_tick=True))):
                return False
            self._advance()
            self._publish()
            return time.monotonic() < end

        ControlLoop(1.0 / PERIOD_S, tick, name="simulated go2, damping", late_policy="skip").run()

    # -- commands

    def _take_commands(self, any_tick: bool = False) -> bool:
        """Take what has come; whether a command may be obeyed now."""
        obeyed = False
        for data in self._commands.take():
            try:
                self._received.update_from_cdr(data)
            except CodecError:
                self.counters.refused += 1
                continue
            if not (self._received.crc_ok and self._received.is_safe):
                self.counters.refused += 1
                continue
            if self.lockstep and not any_tick and self._received.reserve != self.tick:
                self.counters.repeated += 1
                continue
            self._obey()
            obeyed = True
        return obeyed

    def _obey(self) -> None:
        if self._last_command_s is None:
            self._say(f"first command at {self._now.time:.3f} s")
        elif self._damped:
            self._say(f"commands are back at {self._now.time:.3f} s")
        self._last_command_s = time.monotonic()
        self._damped = False
        self.counters.commands += 1
        source, command = self._received, self._command
        command.q[:] = source.q
        command.dq[:] = source.dq
        command.tau[:] = source.tau
        command.kp[:] = source.kp
        command.kd[:] = source.kd
        command.enabled[:] = [source.motor_cmd[i].mode == 1 for i in range(NUM_MOTORS)]

    def _check_staleness(self) -> None:
        if self._last_command_s is None or self._damped:
            return
        age = time.monotonic() - self._last_command_s
        if age > self.command_timeout_s:
            self._enter_damping(f"no command for {age:.2f} s")

    def _enter_damping(self, reason: str) -> None:
        self._damped = True
        self.counters.damped += 1
        self.counters.reasons.append(reason)
        self._say(f"damping at {self._now.time:.3f} s: {reason}")

    # -- physics and states

    def _advance(self) -> None:
        while self._pushes and self._pushes[0].start_s <= self._now.time:
            push = self._pushes.pop(0)
            self._say(f"push of {push.force_n} N for {push.duration_s:g} s at {self._now.time:.3f} s")
            self.plant.push(push.force_n, push.duration_s)
        self._now = self.plant.step(self._damping if self._damped else self._command)
        self.counters.steps += 1

    def _publish(self) -> None:
        plant, message = self._now, self._state
        message.tick = self.tick
        message.set_motors(q=plant.q, dq=plant.dq, ddq=plant.ddq, tau_est=plant.tau_est, temperature=35, mode=1)
        _fill_imu(message.imu_state, plant)
        message.foot_force = _to_i16(plant.foot_force)
        message.foot_force_est = message.foot_force
        message.power_v = 28.8
        message.power_a = float(np.abs(np.asarray(plant.tau_est) * np.asarray(plant.dq)).sum()) / 28.8 + 1.0
        message.bms_state.soc = 100
        self._states.write(message.to_cdr())
        if self.counters.steps % SPORT_STATE_EVERY == 0:
            self._publish_sport_state()

    def _publish_sport_state(self) -> None:
        plant, message = self._now, self._sport_state
        message.stamp.sec, message.stamp.nanosec = divmod(self.tick * 1_000_000, 1_000_000_000)
        _fill_imu(message.imu_state, plant)
        message.position = tuple(map(float, plant.position))
        message.velocity = tuple(map(float, plant.velocity))
        message.body_height = float(plant.position[2])
        message.yaw_speed = float(plant.gyroscope[2])
        message.foot_force = _to_i16(plant.foot_force)
        self._sport.write(message.to_cdr())


def _fill_imu(imu: Any, plant: Any) -> None:
    w, x, y, z = quaternion = tuple(map(float, plant.quaternion))
    imu.quaternion = quaternion
    imu.gyroscope = tuple(map(float, plant.gyroscope))
    imu.accelerometer = tuple(map(float, plant.accelerometer))
    imu.rpy = (
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )
    imu.temperature = 40


def _to_i16(forces: Any) -> tuple[int, ...]:
    return tuple(int(min(32767.0, max(-32768.0, f))) for f in forces)
