"""The robot as its user holds it: connect, look, command, let go."""

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays
from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxConnectionError,
    RfxError,
    RfxTimeoutError,
)
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.backends.choose import open_backend
from rfx.go2.config import Go2Config
from rfx.go2.keeper import Keeper
from rfx.go2.messages import LowCmd, LowState, SportModeState
from rfx.go2.rpc_client import RpcClient
from rfx.go2.sport_client import SportCommands
from rfx.go2.state import Go2State
from rfx.go2.topics import SportApi
from rfx.robots.go2 import GO2, MOTOR_NAMES

DAMPING_KD = 3.0
FAREWELLS = 3  # damping commands sent on disconnecting
LOST_STATES = 4  # so many states in a row in which a motor was lost mean that it is not measured any more
PAUSE_S = 0.02


class Go2(SportCommands):
    """A robot that is there. Made by :meth:`connect`; safe to use from several threads.

    In sport mode the robot's own controller stands and walks: :meth:`stand`, :meth:`walk`, :meth:`stop`. While it walks, or
    while a lease is held, one thread of ours keeps that up; else nothing runs in the background. The newest state is taken
    when somebody asks for it.

    For low-level commands the motors have to be free (:meth:`take_low_level`). A command is sent when somebody sends it, and
    the robot's own watchdog needs them to go on coming.

    Examples
    --------
    >>> from rfx.go2 import Go2, Go2Config
    >>> with Go2.connect(Go2Config.loopback(domain_id=1)) as go2:  # doctest: +SKIP
    ...     print(go2.state().joint_positions)
    """

    def __init__(self, config: Go2Config, backend: DdsBackend) -> None:
        self.config = config
        self.backend = backend
        self._receiver = backend.subscribe_state()
        self._lock = threading.Lock()
        self._low: LowState | None = None
        self._sport: SportModeState | None = None
        self._received_s = -np.inf
        self._last_cmd: LowCmd | None = None
        self._commanded = False
        self._closed = False
        self._command = LowCmd()
        self._lost = np.zeros(len(MOTOR_NAMES), np.uint32)
        self._losses = np.zeros(len(MOTOR_NAMES), np.int64)
        self.rpc = RpcClient(backend)
        self._keeper = Keeper(self.rpc, config.move_rate_hz, self.is_connected)

    @classmethod
    def connect(cls, config: Go2Config | None = None, ip_address: str | None = None) -> Self:
        """Return once a valid state has come from the robot.

        Parameters
        ----------
        config : Go2Config, optional
            How to reach it; by default over whatever interface DDS chooses, in domain 0.
        ip_address : str, optional
            Where no config is given: of the robot.

        Raises
        ------
        RfxTimeoutError
            No valid state within ``config.connect_timeout_s``; the text says what was tried and what is likely wrong.
        RfxConnectionError
            The network interface does not exist, or DDS could not start on it.
        MissingDependencyError
            cyclonedds is not installed.
        """
        if config is None:
            config = Go2Config() if ip_address is None else Go2Config(ip_address)
        if not isinstance(config, Go2Config):
            raise DTypeError(f"expected config to be a Go2Config, got {type(config).__name__}")
        backend = open_backend(config)
        try:
            go2 = cls(config, backend)
            go2._await_first_state()
        except BaseException:
            backend.disconnect()
            raise
        return go2

    def _await_first_state(self) -> None:
        end = time.monotonic() + self.config.connect_timeout_s
        while not (self._low is not None and self.backend.is_connected()):
            left = end - time.monotonic()
            if left <= 0:
                raise RfxTimeoutError(self._why_nobody_answers())
            self.wait_state(min(left, 0.05))

    def _why_nobody_answers(self) -> str:
        c, refused = self.config, self._receiver.refused
        where = f"domain {c.domain_id} on interface {c.interface or 'chosen by DDS'}"
        text = f"no valid {topics.LOW_STATE} within {c.connect_timeout_s:g} s in {where} (robot at {c.ip_address}): "
        if refused:
            return text + f"{refused} samples came and were refused, the last one for: {self._receiver.last_refusal}"
        if self._low is not None:
            return text + f"states come, but nobody listens to {topics.LOW_CMD}: is this the robot, or a recording?"
        return text + (
            "nobody publishes it there. Likely causes: the interface does not lead to the robot (name it in "
            "Go2Config.interface), the robot is off or still starting, another domain id, a firewall that stops UDP"
        )

    def __repr__(self) -> str:
        link = "closed" if self._closed else "connected" if self.is_connected() else "stale"
        return f"Go2(domain_id={self.config.domain_id}, interface={self.config.interface!r}, {link})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.disconnect()

    # -- looking

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("this Go2 is disconnected; connect again")

    def _keep(self, low: LowState | None) -> bool:
        """Remember a state that came; whether it is a new one."""
        if low is None:
            return False
        with self._lock:
            repeated = self._low is not None and low.tick == self._low.tick
            if not repeated:
                self._count_losses(low)
            self._low = low
            self._received_s = time.monotonic()
            answer = self._last_cmd if self.config.lockstep and repeated else None
        if answer is not None and answer.reserve == low.tick:
            self.backend.publish_low_cmd(answer)  # the robot asks again: our answer was lost
        return not repeated

    def _count_losses(self, low: LowState) -> None:
        """Count in how many states in a row each motor was lost."""
        lost = low.lost
        if self._low is not None:
            self._losses = np.where(lost > self._lost, self._losses + 1, 0)
        self._lost = lost

    def lost_motors(self) -> tuple[str, ...]:
        """Names of the motors that the robot does not measure any more."""
        self._poll()
        return self._unmeasured()

    def _unmeasured(self) -> tuple[str, ...]:
        losses = self._losses
        if losses.max() < LOST_STATES:
            return ()
        return tuple(name for name, count in zip(MOTOR_NAMES, losses, strict=True) if count >= LOST_STATES)

    def _pass_time(self) -> None:
        """Wait a little for the robot; in lockstep answer its state with a command that commands nothing."""
        low = self._low
        if self.config.lockstep and low is not None:
            cmd = LowCmd(reserve=low.tick)
            self._last_cmd = cmd
            self.backend.publish_low_cmd(cmd)
        self.wait_state(PAUSE_S)

    def _poll(self) -> None:
        self._check_open()
        self._keep(self._receiver.latest())
        sport = self.backend.sport_state()
        if sport is not None:
            self._sport = sport

    def wait_state(self, timeout_s: float) -> bool:
        """Wait for a state that is newer than the last one; False when the time is over."""
        self._check_open()
        return self._keep(self._receiver.recv(arrays.number(timeout_s, "timeout_s", minimum=0)))

    @property
    def newest_tick(self) -> int:
        """The tick (ms) of the newest state that was taken; -1 before the first."""
        low = self._low
        return -1 if low is None else low.tick

    def low_state(self) -> LowState:
        """Return the newest low-level state as the robot sent it; do not change it."""
        self._poll()
        assert self._low is not None
        return self._low

    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state as the robot sent it, or None while none has come."""
        self._poll()
        return self._sport

    def state(self) -> Go2State:
        """Return a snapshot of the robot; look at :meth:`is_connected` to know whether it is fresh."""
        self._poll()
        assert self._low is not None
        return Go2State.from_messages(self._low, self._sport, self._received_s)

    def is_connected(self) -> bool:
        """Whether a valid state came within ``config.stale_after_s``, by our own clock."""
        if self._closed:
            return False
        with contextlib.suppress(InvalidStateError, RfxConnectionError):
            self._poll()
        return time.monotonic() - self._received_s <= self.config.stale_after_s

    # -- commanding

    def send(self, cmd: LowCmd) -> None:
        """Send one low-level command for all motors.

        Raises
        ------
        InvalidValueError
            NaN, infinity or a negative gain in any slot: nothing is sent.
        ConfigError
            ``config.edu_mode`` is False: nothing is sent.
        HardwareError
            The robot does not measure a motor any more: damping is sent instead.
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
        lost = self._unmeasured()
        if lost:
            self._damp_motors(DAMPING_KD)
            raise HardwareError(f"expected all motors to be measured, {', '.join(lost)} not any more; damping was sent")
        self._publish(cmd)

    def _publish(self, cmd: LowCmd) -> None:
        low = self._low
        if self.config.lockstep and low is not None:
            cmd.reserve = low.tick
            self._last_cmd = cmd.copy()
        self._commanded = True
        self.backend.publish_low_cmd(cmd)

    def set_motor_positions(self, positions: ArrayLike, kp: ArrayLike = 20.0, kd: ArrayLike = 0.5) -> None:
        """Send position targets for the 12 motors.

        Parameters
        ----------
        positions : array_like, shape (12,)
            Motor order FR, FL, RR, RL x hip, thigh, calf (rad).
        kp, kd : array_like, shape (12,), or a number for all
            Gains (Nm/rad, Nm s/rad), at least 0.

        Raises
        ------
        InvalidValueError
            NaN, infinity, a negative gain, or a position outside of its joint's travel: nothing is sent then.
        ShapeError, DTypeError
            Not twelve real numbers.
        """
        q = arrays.finite(arrays.floats(positions, "positions", (len(GO2.joints),)), "positions")
        for value, joint in zip(q, GO2.joints, strict=True):
            if not joint.position_min <= value <= joint.position_max:
                raise InvalidValueError(
                    f"expected {joint.name} within {joint.position_min:g}..{joint.position_max:g} rad, got {value:g}"
                )
        with self._lock:
            self._command.set_motors(q=q, dq=0.0, tau=0.0, kp=kp, kd=kd)
            cmd = self._command.copy()
        self.send(cmd)

    def damp(self, kd: float = DAMPING_KD) -> None:
        """Let the motors brake, whoever drives them: a robot that stands sinks to the floor.

        After low-level commands one with no stiffness and kd (Nm s/rad) is sent, else the sport mode is asked to.
        """
        self._check_open()
        kd = arrays.number(kd, "kd", minimum=0)
        self._keeper.rest()
        if self._commanded:
            self._damp_motors(kd)
        else:
            self._ask(SportApi.DAMP)

    def _damp_motors(self, kd: float) -> None:
        cmd = LowCmd()
        cmd.set_damping(kd)
        self._publish(cmd)

    def disconnect(self) -> None:
        """Let go: a robot that walks is told to stop, one that was commanded is left in damping, then the link is closed.

        Calling it again does nothing.
        """
        if self._closed:
            return
        try:
            self._keeper.close()
            if self._commanded:
                for _ in range(FAREWELLS):
                    with contextlib.suppress(RfxError):
                        self._damp_motors(DAMPING_KD)
        finally:
            self._closed = True
            self.backend.disconnect()
