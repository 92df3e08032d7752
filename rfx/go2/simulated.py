"""The simulated robot: a plant behind the robot's own DDS topics, so that a controller cannot tell it from a Go2.

It publishes ``rt/lowstate`` with a checksum and ``rt/sportmodestate``, answers the sport service and the motion switcher,
and listens to the hand controller. While a motion mode holds the motors, the sport mode drives them and low-level commands
are counted and left out. With the mode released it obeys ``rt/lowcmd`` (PD per motor, torque limits, checksum checked) and
goes to damping when commands stop. Two ways to pass the time:

real time
    500 Hz by the wall clock, the command that came last is held. When the machine stalls, simulated time falls behind.
lockstep
    Simulated time stands still until the state that was published last is answered. The answer carries that state's
    tick in ``LowCmd.reserve``, also while the sport mode drives. A state without an answer is published again every
    50 ms. The result does not depend on how fast the machine is.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rfx import arrays
from rfx.control import ControlLoop, ControlLoopStats
from rfx.errors import CodecError, ConfigError
from rfx.go2 import topics
from rfx.go2.faults import Faults, Line
from rfx.go2.messages import LowCmd, LowState, SportModeState, WirelessController
from rfx.go2.push import Push
from rfx.go2.robot_messages import RobotMessages
from rfx.go2.services import FORMS, Leases, MotionSwitcher, Service
from rfx.go2.sport_mode import SportMode
from rfx.robots.go2 import NUM_MOTORS
from rfx.sim.plant import JointCommand, Plant, PlantState

__all__ = ["PERIOD_S", "SPORT_STATE_EVERY", "Push", "RobotCounters", "SimulatedGo2"]

PERIOD_S = 0.002
RESEND_S = 0.05
SPORT_STATE_EVERY = 5
DAMPING_KD = 3.0
SETTLE_S = 1.0


@dataclass
class RobotCounters:
    """What the simulated robot has seen since it started.

    ``refused`` are commands with a wrong length, a wrong checksum, NaN or a negative gain; ``repeated`` those that answer
    an older state in lockstep; ``ignored`` those that came while a motion mode held the motors; ``reasons`` say why it
    went to damping.
    """

    steps: int = 0
    commands: int = 0
    refused: int = 0
    repeated: int = 0
    ignored: int = 0
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
    mode : {"", "normal", "ai", "advanced"}
        The motion mode at the start, as the motion switcher names it; ``""`` leaves the motors to low-level commands. A
        robot out of the box starts in one.
    faults : Faults, optional
        What goes wrong.
    watch : callable, optional
        Takes the true state of the plant after each step; it is called from the robot's loop and has to be quick.

    Attributes
    ----------
    stats : ControlLoopStats or None
        How well the wall clock was kept, after a run in real time.
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
        mode: str = "",
        faults: Faults | None = None,
        watch: Callable[[PlantState], None] | None = None,
    ) -> None:
        if mode not in ("", *FORMS):
            raise ConfigError(f"expected mode to be '' or one of {', '.join(FORMS)}, got {mode!r}")
        self.plant = plant
        self.lockstep = lockstep
        self.command_timeout_s = arrays.number(command_timeout_s, "command_timeout_s", above=0)
        self.counters = RobotCounters()
        self.faults = Faults() if faults is None else faults
        self.stats: ControlLoopStats | None = None
        self._say = say
        self._watch = watch
        self._pushes = sorted(pushes, key=lambda p: p.start_s)
        if self._pushes and not plant.can_fall:
            say("the base is fixed: pushes are left out")
            self._pushes = []
        self._stop = threading.Event()
        self._orphaned = threading.Event()
        self._now = self._sensed = plant.state
        self._received = LowCmd()
        self._messages = RobotMessages()
        self._command = JointCommand()
        self._damping = JointCommand.damping(DAMPING_KD)
        self._last_command_s: float | None = None
        self._damped = False
        self._states = self._line(domain.writer(topics.LOW_STATE, LowState), "lowstate")
        self._sport_states = self._line(domain.writer(topics.SPORT_MODE_STATE, SportModeState), "sportmodestate")
        self._incoming = domain.reader(topics.LOW_CMD, LowCmd)
        self._commands = self._line(self._incoming, "lowcmd")
        self._controllers = domain.reader(topics.WIRELESS_CONTROLLER, WirelessController)
        self.sport = SportMode(say)
        self.switcher = MotionSwitcher(mode, self._mode_changed)
        leases = Leases(lambda: self._now.time)
        sport = leases.guard(lambda request: self._ask_sport(request.header.identity.api_id, request.parameter))
        self.services = [
            Service(domain, topics.SPORT, topics.SPORT_VERSION, sport, self._line),
            Service(domain, topics.SPORT_LEASE, topics.SPORT_VERSION, leases.handle, self._line),
            Service(domain, topics.MOTION_SWITCHER, topics.MOTION_SWITCHER_VERSION, self.switcher.handle, self._line),
        ]
        for service in self.services:
            self._incoming.watch(service.requests)
        if mode:
            self.sport.begin(self._now)

    def __repr__(self) -> str:
        kind = "lockstep" if self.lockstep else "real time"
        return f"SimulatedGo2(plant={self.plant.name}, {kind}, mode={self.mode}, steps={self.counters.steps})"

    def _line(self, endpoint: Any, name: str) -> Line:
        return Line(endpoint, name, self.faults, lambda: self._now.time)

    @property
    def tick(self) -> int:
        """Milliseconds of simulated time, as ``LowState.tick`` carries them."""
        return self.counters.steps * 2

    @property
    def activity(self) -> str:
        """What it does, in words: the sport mode's own mode, or :attr:`mode`."""
        return self.sport.mode.name.lower().replace("_", " ") if self.switcher.name else self.mode

    @property
    def mode(self) -> str:
        """``sport`` while a motion mode holds the motors; else ``waiting`` for a first command, ``commanded``, ``damping``."""
        if self.switcher.name:
            return "sport"
        if self._damped:
            return "damping"
        return "waiting" if self._last_command_s is None else "commanded"

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread."""
        self._stop.set()
        self._incoming.wake()

    def commander_gone(self) -> None:
        """Go to damping at once, lie for a second, then end :meth:`run`; may be called from any thread."""
        self._orphaned.set()
        self._incoming.wake()

    def run(self, seconds: float | None = None) -> RobotCounters:
        """Run until stopped, or for so many simulated seconds."""
        last = math.inf if seconds is None else round(arrays.number(seconds, "seconds", above=0) / PERIOD_S)
        if self.lockstep:
            self._run_lockstep(last)
        else:
            self._run_real_time(last)
        if self._orphaned.is_set():
            self.switcher.release()
            self._enter_damping("the commander is gone")
            self._free_run(SETTLE_S)
        return self.counters

    # -- passing the time

    def _over(self, last: float) -> bool:
        return self._stop.is_set() or self._orphaned.is_set() or self.counters.steps >= last

    def _run_real_time(self, last: float) -> None:
        def tick(iteration: int, dt: float) -> bool:
            self._take_commands()
            self._listen()
            self._check_staleness()
            self._advance()
            self._publish()
            return not self._over(last)

        self.stats = ControlLoop(1.0 / PERIOD_S, tick, name="simulated go2", late_policy="skip").run()

    def _run_lockstep(self, last: float) -> None:
        self._publish()
        sent = time.monotonic()
        while not self._over(last):
            woken = self._incoming.wait(RESEND_S)
            self._listen()
            if woken and self._take_commands():
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
            self._listen()
            if self._stop.is_set() or (waiting and (self._orphaned.is_set() or self._take_commands(any_tick=True))):
                return False
            self._advance()
            self._publish()
            return time.monotonic() < end and not (waiting and self.switcher.name)

        ControlLoop(1.0 / PERIOD_S, tick, name="simulated go2, damping", late_policy="skip").run()

    # -- commands

    def _listen(self) -> None:
        """Answer requests, and obey the hand controller."""
        for service in self.services:
            service.poll()
        for data in self._controllers.take():
            try:
                controller = WirelessController.from_cdr(data)
            except CodecError:
                self.counters.refused += 1
                continue
            self._messages.remote(controller)
            if self.switcher.name:
                self.sport.sticks(controller.lx, controller.ly, controller.rx, controller.keys)

    def _ask_sport(self, api_id: int, parameter: str) -> tuple[int, str]:
        if not self.switcher.name:
            return topics.RpcCode.SPORT_NOT_INIT, ""
        return self.sport.handle(api_id, parameter)

    def _mode_changed(self, name: str) -> None:
        self._say(f"motion mode {name!r} at {self._now.time:.3f} s" if name else "motion mode released")
        self._last_command_s, self._damped = None, False
        if name:
            self.sport.begin(self._sensed)
        else:
            self._command = JointCommand.damping(DAMPING_KD)

    def _take_commands(self, any_tick: bool = False) -> bool:
        """Take what has come; whether a command was obeyed, or answers the state in lockstep."""
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
            if self.switcher.name:
                self.counters.ignored += 1
            else:
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
        if self._last_command_s is None or self._damped or self.switcher.name:
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
        if self.switcher.name:
            self.sport.update(self._sensed, self._command, self.faults.complaint())
        command = self._damping if self._damped else self._command
        self._now = self.plant.step(self.faults.bend(command))
        if self._watch is not None:
            self._watch(self._now)
        self._sensed = self.faults.measure(self._now)
        self.counters.steps += 1

    def _publish(self) -> None:
        faults = self.faults
        self._states.write(self._messages.low_state(self._sensed, self.tick, faults.lost, faults.bad_motors()))
        if self.counters.steps % SPORT_STATE_EVERY == 0:
            mode = self.sport if self.switcher.name else None
            self._sport_states.write(self._messages.sport_state(self._sensed, self.tick, mode))
        for service in self.services:
            service.flush()
