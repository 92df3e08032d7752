"""The robot as its user holds it: connect, look, command, let go."""

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError, InvalidStateError, RfxConnectionError, RfxTimeoutError
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.backends.choose import open_backend
from rfx.go2.config import Go2Config
from rfx.go2.keeper import Keeper
from rfx.go2.low_level import LowLevelCommands
from rfx.go2.messages import LowCmd, LowState, SportModeState
from rfx.go2.rpc_client import RpcClient
from rfx.go2.state import Go2State

PAUSE_S = 0.02
LATE_MS = 100  # a state that is older than the newest by more is from a robot that was started again


class Go2(LowLevelCommands):
    """A robot that is there. Made by :meth:`connect`; safe to use from several threads.

    In sport mode the robot's own controller stands and walks: :meth:`stand`, :meth:`walk`, :meth:`stop`. While it walks, or
    while a lease is held, one thread of ours keeps that up; else nothing runs in the background. The newest state is taken
    when somebody asks for it.

    For low-level commands the motors have to be free (:meth:`take_low_level`). Every one of them passes the safety envelope
    (:attr:`safety`). A command is sent when somebody sends it, and the robot's own watchdog needs them to go on coming:
    :meth:`start_sending` sees to that.

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
        self._lock, self._going = threading.RLock(), threading.RLock()
        self._low: LowState | None = None
        self._sport: SportModeState | None = None
        self._received_s = -np.inf
        self._last_cmd: LowCmd | None = None
        self._closed = False
        self._begin()
        self.rpc = RpcClient(backend)
        self._keeper = Keeper(self.rpc, config.move_rate_hz, self.is_connected, self._order)

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
            behind_ms = -1 if self._low is None else (self._low.tick - low.tick) % 2**32
            if 0 < behind_ms <= LATE_MS:
                return False  # another thread, which took the next one, was faster
            repeated = behind_ms == 0
            if not repeated:
                self._safety.observe(low)
            self._low = low
            self._received_s = time.monotonic()
        if self.config.lockstep and repeated:
            with self._out:
                answer = self._last_cmd
                if answer is not None and answer.reserve == low.tick:
                    self.backend.publish_low_cmd(answer)  # the robot asks again: our answer was lost
        return not repeated

    def lost_motors(self) -> tuple[str, ...]:
        """Names of the motors that the robot does not measure any more."""
        self._poll()
        return self._safety.lost_motors

    def _pass_time(self) -> None:
        """Wait a little for the robot; in lockstep answer its state with a command that commands nothing."""
        low, sender = self._low, self._sender
        if self.config.lockstep and low is not None and not (sender is not None and sender.is_running()):
            cmd = LowCmd(reserve=low.tick)
            with self._out:
                if self._emergency:
                    cmd.set_damping(self.config.limits.damping_kd)
                self._last_cmd = cmd
                self.backend.publish_low_cmd(cmd)
        self.wait_state(PAUSE_S)

    def _poll(self) -> None:
        self._check_open()
        self._keep(self._receiver.latest())
        with self._lock:
            self._sport = self.backend.sport_state() or self._sport

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

    # -- letting go

    def disconnect(self) -> None:
        """Let go: a robot that walks is told to stop, one that was commanded is left in damping, then the link is closed.

        Calling it again does nothing.
        """
        # who comes second returns when the link is closed; each step is taken whatever the others raise
        with self._going, contextlib.ExitStack() as steps:
            if not self._closed:
                steps.callback(self._close)
                steps.callback(self._farewell)
                steps.callback(self._keeper.close)
                steps.callback(self._let_go)

    def _close(self) -> None:
        self._closed = True
        self.backend.disconnect()
