"""The low level of :class:`rfx.go2.Go2`: motor commands inside of the safety envelope, and the continuous sender."""

import contextlib
import math
import threading
import time

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, HardwareError, InvalidValueError
from rfx.go2 import guard
from rfx.go2.emergency import EmergencyStop
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.events import Verdict
from rfx.go2.messages import LowCmd, LowState
from rfx.go2.order import Order
from rfx.go2.sender import FAREWELLS, Sender
from rfx.go2.topics import SportApi
from rfx.robots.go2 import GO2, MOTOR_NAMES

RAMP_S = 1.0


class LowLevelCommands(EmergencyStop):
    """The part of :class:`rfx.go2.Go2` that commands motors. Every command passes :attr:`safety` on its way out."""

    _safety: SafetyEnvelope
    _low: LowState | None
    _received_s: float
    _last_cmd: LowCmd | None
    _closed: bool

    def _begin(self) -> None:
        """Set up what this part keeps."""
        self._safety = SafetyEnvelope(self.config.limits)
        self._order, self._motors = Order(self._check_allowed), Order(self._check_allowed)
        self._out = self._motors.lock  # held from the envelope to the wire, so that steps follow what was sent
        self._giving = threading.RLock()  # held by who gives a command, so that each builds on the one before
        self._wanted: LowCmd | None = None  # the last whole command of the caller, for set_motor_position
        self._sender: Sender | None = None
        self._change = threading.RLock()  # held while a sender comes or goes
        self._emergency = self._letting_go = False
        self._commanded = False

    @property
    def safety(self) -> SafetyEnvelope:
        """The envelope: its limits, what it did (``counts``, ``events``), what holds (``latched``, ``reset()``).

        What :func:`rfx.go2.run_policy` bounds on this robot is counted here, too, while it runs.
        """
        return self._safety

    # -- one command

    def send(self, cmd: LowCmd) -> Verdict:
        """Send one low-level command for all motors, brought inside of the safety envelope.

        While the continuous sender runs it takes the command over and repeats it. The caller's message is not changed.

        Returns
        -------
        Verdict
            What the envelope did to it; to the one before, where the sender runs.

        Raises
        ------
        InvalidValueError
            NaN, infinity or a negative gain in any slot: nothing is sent.
        ConfigError
            ``config.edu_mode`` is False: nothing is sent.
        HardwareError
            The envelope asks for damping, which is sent instead; the text says why.
        InvalidStateError
            The emergency stop holds.
        """
        self._check_open()
        if not isinstance(cmd, LowCmd):
            raise DTypeError(f"expected a LowCmd, got {type(cmd).__name__}")
        if not self.config.edu_mode:
            raise ConfigError("expected edu_mode for low-level commands, the configuration says edu_mode=False")
        if not cmd.is_safe:
            raise InvalidValueError(
                "expected every motor command to be finite and every gain at least 0; nothing was sent"
            )
        self._check_allowed()
        with self._giving, self._motors.motion():
            return self._send(cmd)

    def _send(self, cmd: LowCmd) -> Verdict:
        sender = self._sender
        if sender is not None and sender.state != "stopped":
            return sender.put(cmd)
        out = cmd.copy()
        if not self.config.lockstep:
            self._newest()
        verdict = self._put(out, cmd.copy())
        if verdict.damping:
            holds = "; safety.reset() lets commands through again" if verdict.latched else ""
            raise HardwareError(f"{verdict.reason}; damping was sent{holds}")
        return verdict

    def _newest(self) -> LowState:
        return self.low_state()

    def _put(self, cmd: LowCmd, wanted: LowCmd | None = None) -> Verdict:
        """Bring a command inside of the envelope, in place, and publish it; ``wanted`` is what the caller gave."""
        with self._motors.sending("a command"):
            low = self._low
            assert low is not None
            age_s = 0.0 if self.config.lockstep else max(0.0, time.monotonic() - self._received_s)
            verdict = self._safety.apply(cmd, low, age_s, report=False)
            self._publish(cmd)
            self._wanted = None if verdict.damping else wanted
        if verdict.kinds:
            self._safety.report()  # here, as no stop should wait for a log
        return verdict

    def _publish(self, cmd: LowCmd) -> None:
        self._commanded = True
        if not (self._letting_go or guard.watched(self)):
            guard.watch(self, self._brake)
            if self._letting_go:  # a signal handler did meanwhile
                guard.release(self)
        low = self._low
        if self.config.lockstep and low is not None:
            cmd.reserve = low.tick
            self._last_cmd = cmd.copy()
        self.backend.publish_low_cmd(cmd)

    def set_motor_positions(self, positions: ArrayLike, kp: ArrayLike = 20.0, kd: ArrayLike = 0.5) -> Verdict:
        """Send position targets for the 12 motors.

        Parameters
        ----------
        positions : array_like, shape (12,)
            Motor order FR, FL, RR, RL x hip, thigh, calf (rad).
        kp, kd : array_like, shape (12,), or a number for all
            Gains (Nm/rad, Nm s/rad), at least 0.

        Returns
        -------
        Verdict
            As of :meth:`send`.

        Raises
        ------
        InvalidValueError
            NaN, infinity, a negative gain, or a position outside of its joint's travel: nothing is sent then.
        ShapeError, DTypeError
            Not twelve real numbers.
        """
        q = arrays.finite(arrays.floats(positions, "positions", (len(GO2.joints),)), "positions")
        for i, value in enumerate(q):
            self._check_travel(i, float(value))
        cmd = LowCmd()
        cmd.set_motors(q=q, dq=0.0, tau=0.0, kp=kp, kd=kd)
        return self.send(cmd)

    def set_motor_position(self, motor: int | str, position: float, kp: float = 20.0, kd: float = 0.5) -> Verdict:
        """Send a position target for one motor; the other eleven keep the command that they were sent last.

        Those that were sent none since the start, or since damping, hold the measured posture with the same gains.

        Parameters
        ----------
        motor : int or str
            Index in motor order, or a name such as ``FR_thigh``.
        position : float
            Within the joint's travel (rad).
        kp, kd : float
            Gains (Nm/rad, Nm s/rad), at least 0.

        Returns
        -------
        Verdict
            As of :meth:`send`.

        Raises
        ------
        ConfigError, InvalidValueError, DTypeError
            An unknown motor, or numbers out of range: nothing is sent.
        """
        self._check_open()
        last = len(MOTOR_NAMES) - 1
        i = GO2.index_of(motor) if isinstance(motor, str) else arrays.integer(motor, "motor", minimum=0, maximum=last)
        q = arrays.number(position, "position")
        self._check_travel(i, q)
        gains = arrays.number(kp, "kp", minimum=0), arrays.number(kd, "kd", minimum=0)
        with self._giving:
            sender = self._sender
            last_one = self._wanted if sender is None or sender.state == "stopped" else sender.wanted
            cmd = self._hold(*gains) if last_one is None else last_one.copy()
            rows = {name: getattr(cmd, name) for name in ("q", "dq", "tau", "kp", "kd")}
            for row, value in zip(rows.values(), (q, 0.0, 0.0, *gains), strict=True):
                row[i] = value
            cmd.set_motors(**rows)
            return self.send(cmd)

    def _hold(self, kp: float, kd: float) -> LowCmd:
        """Return a command that holds the measured posture."""
        low, high = np.array(self.config.limits.position).T
        cmd = LowCmd()
        cmd.set_motors(q=self._newest().q.clip(low, high), dq=0.0, tau=0.0, kp=kp, kd=kd)
        return cmd

    def _check_travel(self, i: int, value: float) -> None:
        low, high = self.config.limits.position[i]
        if not low <= value <= high:
            raise InvalidValueError(f"expected {MOTOR_NAMES[i]} within {low:g}..{high:g} rad, got {value:g}")

    # -- damping

    def damp(self, kd: float | None = None) -> None:
        """Let the motors brake, whoever drives them: a robot that stands sinks to the floor.

        After low-level commands one with no stiffness and kd (Nm s/rad, by default that of ``config.limits``) is sent, and
        the continuous sender stays in damping; else the sport mode is asked to.
        """
        self._check_open()
        gain = self.config.limits.damping_kd if kd is None else arrays.number(kd, "kd", minimum=0)
        self._order.stop("damp()", self._say_damp)
        self._motors.stop("damp()", self._brake_once)
        sender = self._sender
        if sender is not None:
            sender.damp("damp() was called")
        with self._out:  # what was on its way has left
            low_level = self._commanded
            if low_level:
                self._brake_once(gain)
        self._keeper.rest()
        if sender is not None:
            sender.settle()
        if not low_level:
            self._ask(SportApi.DAMP)

    def _brake_once(self, kd: float | None = None) -> None:
        """Publish one damping command; allowed whatever holds."""
        cmd = LowCmd()
        cmd.set_damping(self.config.limits.damping_kd if kd is None else kd)
        with self._out:
            self._wanted = None
            self._safety.restart()
            self._publish(cmd)

    def _brake(self, reason: str) -> None:
        """Damp because the program is ended."""
        if self._closed:
            return
        sender = self._sender
        if sender is None or not sender.brake(reason):
            for _ in range(FAREWELLS):
                with contextlib.suppress(Exception):
                    self._brake_once()
        self._keeper.rest()

    # -- the continuous sender

    @property
    def sender(self) -> Sender | None:
        """The continuous sender; None while none was started."""
        return self._sender

    def start_sending(
        self, rate_hz: float | None = None, *, ramp_s: float = RAMP_S, hold_s: float | None = None
    ) -> Sender:
        """Start a thread that sends the last command for all twelve joints at a steady rate.

        From then on :meth:`send`, :meth:`set_motor_positions` and :meth:`set_motor_position` hand their command to it. A
        sender that is running is stopped first: starting again is the way out of its damping. Also a context manager.

        Parameters
        ----------
        rate_hz : float, optional
            By default ``config.command_rate_hz``.
        ramp_s : float
            Over how long the first command is led in from the measured posture (s).
        hold_s : float, optional
            It goes to damping when no new command came for so long (s). By default ``config.command_hold_s``.

        Returns
        -------
        Sender

        Raises
        ------
        ConfigError
            ``config.edu_mode`` is False.
        InvalidStateError
            The emergency stop holds.

        Notes
        -----
        In lockstep it answers each of the robot's states with one command, and counts time by the robot's clock. How many
        states pass between two commands of the caller then depends on the machine. Without a state for
        ``config.connect_timeout_s`` (real time) the robot counts as gone.

        Examples
        --------
        >>> with go2.start_sending() as sender:  # doctest: +SKIP
        ...     go2.set_motor_positions(GO2.pose("stand"), kp=60.0, kd=4.0)
        """
        from rfx.go2.lockstep import RobotClock

        self._check_open()
        if not self.config.edu_mode:
            raise ConfigError("expected edu_mode for low-level commands, the configuration says edu_mode=False")
        self._check_allowed()
        config = self.config
        rate = config.command_rate_hz if rate_hz is None else arrays.number(rate_hz, "rate_hz", minimum=1, maximum=1000)
        self._newest()
        with self._change:
            self._check_allowed()  # nobody has let go meanwhile
            self._drop_sender()
            guard.watch(self, self._brake)  # from here, as signals can only be watched from the main thread
            made = self._sender = Sender(
                self,
                rate,
                ramp_s=ramp_s,
                hold_s=config.command_hold_s if hold_s is None else hold_s,
                look_every=max(1, math.floor(rate / config.state_rate_hz)),
                clock=RobotClock(self, config.connect_timeout_s) if config.lockstep else None,  # type: ignore[arg-type]
            )
            if self._letting_go:  # a signal handler did meanwhile
                self._drop_sender()
                guard.release(self)
        self._check_open()
        return made

    def stop_sending(self) -> None:
        """End the continuous sender, in damping; without one nothing happens."""
        with self._change:
            self._drop_sender()

    def _drop_sender(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    # -- who holds the motors

    def select_mode(self, name: str = "normal") -> None:
        """Give the motors to a motion mode (``normal``, ``ai`` or ``advanced``; newer robots ``mcf``)."""
        self.stop_sending()
        super().select_mode(name)
        guard.release(self)

    def take_low_level(self) -> None:
        """Make ready for low-level commands, as a real robot needs it.

        A robot that stands lies down (StandDown), its motion mode is released until it is, and nobody else may be at the
        motors. What an envelope found earlier is forgotten. The first command then starts from the measured posture:
        with :meth:`start_sending` it is led in.

        Raises
        ------
        HardwareError
            A mode still holds the motors, or somebody else writes ``rt/lowcmd``; the text says which process.
        InvalidStateError
            The emergency stop holds.
        """
        self._check_allowed()
        super().take_low_level()
        self._safety.reset()

    def _let_go(self) -> None:
        """From here on nothing but stops and damping leaves."""
        self._order.stop("disconnect()")
        with self._change:
            try:
                self._drop_sender()
            finally:
                self._letting_go = True
                self._motors.stop("disconnect()")

    def _farewell(self) -> None:
        """Leave the motors in damping, if they were commanded."""
        with self._out:
            for _ in range(FAREWELLS if self._commanded else 0):
                with contextlib.suppress(Exception):  # whatever it is, the next one may get through
                    self._brake_once()
        self._safety.report(final=True)
        guard.release(self)
