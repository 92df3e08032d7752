"""The continuous sender: a thread that carries the last low-level command to the robot at a steady rate."""

import contextlib
import logging
import threading
import time
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.control import ControlLoop, ControlLoopStats
from rfx.control.clock import Clock
from rfx.errors import HardwareError, InvalidStateError
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.events import Verdict
from rfx.go2.messages import NO_POSITION, NO_VELOCITY, LowCmd, LowState
from rfx.go2.order import Order

log = logging.getLogger("rfx.go2")

FAREWELLS = 3  # damping commands sent at the end
LONGEST_S = 0.02  # of a pause between two ticks, what the way in moves on by; at low rates two ticks
JOIN_S = 2.0
GROUPS = ("q", "dq", "tau", "kp", "kd")


class Link(Protocol):
    """What the sender needs of the robot."""

    _motors: Order

    @property
    def safety(self) -> SafetyEnvelope:
        """The envelope below it."""

    def _put(self, cmd: LowCmd) -> Verdict:
        """Bring a command inside of the envelope, in place, and publish it."""

    def _brake_once(self) -> None:
        """Publish one damping command."""

    def _newest(self) -> LowState:
        """Take the newest state."""

    def _stopped(self) -> bool:
        """Whether the emergency stop holds."""


def blend(cmd: LowCmd, share: float, q: NDArray[np.float32], kd: float) -> None:
    """Make a command the part ``share`` of the way from damping (gain kd) at these joint positions to itself, in place."""
    s = share * share * (3.0 - 2.0 * share)
    target, speed, tau, kp, kd_end = (getattr(cmd, name).astype(np.float64) for name in GROUPS)
    cmd.set_motors(
        mode=None,
        q=np.where(target >= NO_POSITION, target, q + s * (target - q)),
        dq=s * np.where(speed >= NO_VELOCITY, 0.0, speed),
        tau=s * tau,
        kp=s * kp,
        kd=kd + s * (kd_end - kd),
    )


class Sender:
    """Send the last command for all twelve joints at a steady rate, whatever its caller does. Made by ``Go2.start_sending``.

    It begins in damping. The first command is led in over ``ramp_s``: targets from the measured posture, stiffness from
    zero; where this thread is held up, the way in goes on from where it was. It goes to damping, and goes on sending that,
    when no new command came for ``hold_s``, when the envelope asks for it (a stale state among its reasons), when sending
    fails, when the main thread has ended, or when told to. From then on commands are refused with the reason; start sending
    again to go on. Closing it leaves the robot in damping.

    Attributes
    ----------
    rate_hz, ramp_s, hold_s : float
    state : {"waiting", "ramping", "sending", "damping", "stopped"}
        ``waiting`` is damping, too: no command has come yet.
    why : str
        Why it went to damping.
    sent : int
        Commands sent, damping among them.
    """

    def __init__(
        self, link: Link, rate_hz: float, *, ramp_s: float, hold_s: float, look_every: int, clock: Clock | None = None
    ) -> None:
        self.rate_hz = rate_hz
        self.ramp_s = arrays.number(ramp_s, "ramp_s", minimum=0, maximum=60)
        self.hold_s = arrays.number(hold_s, "hold_s", above=0, maximum=3600)
        self.state = "waiting"
        self.why = ""
        self.sent = 0
        self._link, self._every, self._clock = link, look_every, clock
        self._lock = threading.RLock()  # a signal handler may damp while its own thread is inside
        self._wanted: LowCmd | None = None
        self._verdict = Verdict()
        self._fresh = False  # a command came since the last tick
        self._told = False  # the log was told why it damps
        self._heard_s = self._ramped_s = self._ticked_s = 0.0
        self._posture = np.zeros(12, np.float32)
        self._braked = threading.Event()
        self._loop = ControlLoop(rate_hz, self._tick, name="rfx go2 sender", clock=clock)
        self._thread = threading.Thread(target=self._main, name="rfx go2 sender", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # Ctrl+C while it was starting: nobody will hold it
            self.state = "stopped"
            raise

    def __repr__(self) -> str:
        why = f", why={self.why!r}" if self.why else ""
        return f"Sender({self.rate_hz:g} Hz, {self.state}, sent={self.sent}{why})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def is_running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    @property
    def wanted(self) -> LowCmd | None:
        """The command that it carries; None while that is damping."""
        with self._lock:
            return None if self._wanted is None else self._wanted.copy()

    def stats(self) -> ControlLoopStats:
        """Return how punctual it was."""
        return self._loop.stats()

    def put(self, cmd: LowCmd) -> Verdict:
        """Take over a command, to be sent from the next tick on; returns what the envelope did to the one before.

        Raises
        ------
        HardwareError
            It has gone to damping; the text says why.
        InvalidStateError
            It was stopped.
        """
        copied = cmd.copy()
        with self._lock:
            if self.state == "damping":
                raise HardwareError(f"the motors are damped: {self.why}; start sending again to go on")
            if self.state == "stopped":
                raise InvalidStateError("this sender is stopped; start sending again")
            self._wanted, self._fresh = copied, True
            return self._verdict

    def damp(self, reason: str) -> None:
        """Go to damping with the next tick, and stay there."""
        with self._lock:
            self._go(reason)

    def settle(self) -> None:
        """Nothing: what was on its way when it was damped is kept from leaving by the link."""

    def brake(self, reason: str, timeout_s: float = 0.1) -> bool:
        """Go to damping and wait until that was sent; whether it was."""
        if not self.is_running():
            return False
        with self._lock:
            self._braked.clear()
            self._go(reason)
        return self._braked.wait(timeout_s)

    def stop(self) -> None:
        """Send damping a few times and end the thread; calling it again does nothing more than wait for that."""
        with self._lock:
            self.state, self._wanted = "stopped", None
        self._loop.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)

    # -- the thread

    def _main(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:  # of the clock: the robot is gone
            self.damp(str(error))
        finally:
            for _ in range(FAREWELLS):
                self._send_damping()
            self._tell()

    def _now(self) -> float:
        return time.monotonic() if self._clock is None else self._clock.now_ns() / 1e9

    def _go(self, reason: str) -> None:
        """With the lock held: to damping, where it is not there yet."""
        if self.state in ("damping", "stopped"):
            return
        self.state, self.why, self._wanted = "damping", reason, None

    def _tick(self, iteration: int, dt: float) -> bool:
        try:
            if iteration % self._every == 0:
                self._link._newest()
            self._one()
        except Exception as error:  # whatever it is, the motors are not left to themselves
            self.damp(f"{type(error).__name__}: {error}")
            self._send_damping()
        self._tell()
        return self.state != "stopped"

    def _tell(self) -> None:
        """Tell the log why it damps, once and from here: whoever asked for damping does not wait for the log."""
        if self.why and not self._told:
            self._told = True
            log.warning("the motors are damped: %s", self.why)

    def _one(self) -> None:
        with self._link._motors.motion():  # what is damped between the next two lines does not leave
            cmd = self._next()
            verdict = None if cmd is None else self._link._put(cmd)
        if verdict is None:
            self._send_damping()
            self._braked.set()
            return
        self.sent += 1
        with self._lock:
            self._verdict = verdict
            if verdict.damping:
                self._go(verdict.reason)

    def _next(self) -> LowCmd | None:
        """Return what is to be sent now; None for damping."""
        now = self._now()
        low = self._link._newest() if self.state == "waiting" and self._wanted is not None else None
        with self._lock:
            if self._link._stopped():
                self._go("emergency stop")
            elif not threading.main_thread().is_alive():
                self._go("the program has ended")
            if (
                self._wanted is None
                or self.state in ("damping", "stopped")
                or (self.state == "waiting" and low is None)
            ):
                return None
            if self._fresh:
                self._fresh, self._heard_s = False, now
            elif now - self._heard_s > self.hold_s:
                self._go(f"no new command for {self.hold_s:g} s")
                return None
            if self.state == "waiting":
                self.state, self._ramped_s, self._ticked_s = "ramping", 0.0, now
                self._posture = low.q  # type: ignore[union-attr]
                self._link.safety.restart()
            cmd = self._wanted.copy()
            if self.state == "ramping":
                self._ramped_s += min(now - self._ticked_s, max(LONGEST_S, 2.0 / self.rate_hz))
                self._ticked_s = now
                share = 1.0 if self.ramp_s == 0 else min(1.0, self._ramped_s / self.ramp_s)
                if share < 1.0:
                    blend(cmd, share, self._posture, self._link.safety.limits.damping_kd)
                else:
                    self.state = "sending"
            return cmd

    def _send_damping(self) -> None:
        with contextlib.suppress(Exception):  # the next tick tries again
            self._link._brake_once()
            self.sent += 1
