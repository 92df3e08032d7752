"""What a robot in sport mode can be asked for, and who holds its motors."""

import abc
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, HardwareError, InvalidValueError, RfxTimeoutError
from rfx.go2 import topics
from rfx.go2.backends.base import DdsBackend
from rfx.go2.config import Go2Config
from rfx.go2.keeper import Keeper, Velocity, move_parameter
from rfx.go2.messages import LowState, SportModeState
from rfx.go2.rpc_client import RpcClient, RpcError
from rfx.go2.topics import RpcCode, SportApi, SportModeId, SwitcherApi
from rfx.sim.gait import feet_of

STANDING_HEIGHT = 0.2  # m of the trunk over the feet; lower than this it does not stand
AT_REST = 1.0  # rad/s of every joint
UNDER_WAY_S = 0.1  # so old may a sport state be when it comes
UPRIGHT = 0.9  # cosine of the tilt
RELEASES = 5  # how often the mode is released before giving up
EULER = (0.75, 0.75, 0.6)  # rad; these and the next two are the ranges that Unitree gives
BODY_HEIGHT = (-0.18, 0.03)  # m
FOOT_RAISE_HEIGHT = (-0.06, 0.03)  # m
TRICKS = {
    "hello": SportApi.HELLO,
    "stretch": SportApi.STRETCH,
    "wallow": SportApi.WALLOW,
    "dance1": SportApi.DANCE1,
    "dance2": SportApi.DANCE2,
    "scrape": SportApi.SCRAPE,
    "front_flip": SportApi.FRONT_FLIP,
    "front_jump": SportApi.FRONT_JUMP,
    "front_pounce": SportApi.FRONT_POUNCE,
    "wiggle_hips": SportApi.WIGGLE_HIPS,
    "heart": SportApi.HEART,
}
# functions that have a method of ours which keeps them within limits
GUARDED: dict[int, str] = {
    SportApi.MOVE: "walk",
    SportApi.EULER: "euler",
    SportApi.BODY_HEIGHT: "body_height",
    SportApi.FOOT_RAISE_HEIGHT: "foot_raise_height",
    SportApi.SPEED_LEVEL: "speed_level",
}
GAITS = {
    "static_walk": SportApi.STATIC_WALK,
    "trot_run": SportApi.TROT_RUN,
    "economic": SportApi.ECONOMIC_GAIT,
}


class SportCommands(abc.ABC):
    """The part of :class:`rfx.go2.Go2` that talks to the robot's services.

    Every call waits for the robot's answer. A code other than 0 raises :class:`rfx.go2.RpcError`, no answer in
    ``config.rpc_timeout_s`` raises RfxTimeoutError.
    """

    config: Go2Config
    backend: DdsBackend
    rpc: RpcClient
    _keeper: Keeper
    _commanded: bool
    _answered_after_s = 0.0  # how long the last request took

    @abc.abstractmethod
    def _check_open(self) -> None: ...

    @abc.abstractmethod
    def sport_state(self) -> SportModeState | None:
        """Return the newest sport state."""

    @abc.abstractmethod
    def low_state(self) -> LowState:
        """Return the newest low-level state."""

    @abc.abstractmethod
    def _pass_time(self) -> None:
        """Wait a little for the robot; in lockstep, answer its state."""

    def request(self, api_id: int, *, timeout_s: float | None = None, **parameter: Any) -> str:
        """Call a function of the sport service by number, with its JSON parameter as keywords; returns the data.

        Raises ConfigError for the functions in ``GUARDED``, InvalidValueError for what JSON cannot carry.
        """
        self._check_open()
        number = arrays.integer(api_id, "api_id", minimum=0, maximum=2**63 - 1)
        if number in GUARDED:
            raise ConfigError(
                f"expected {SportApi(number).name} to go through {GUARDED[number]}(), which knows its limits"
            )
        return self._ask(number, timeout_s, **parameter)

    def _ask(self, api_id: int, timeout_s: float | None = None, **parameter: Any) -> str:
        self._check_open()
        try:
            text = json.dumps(parameter, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValueError(f"expected parameters that JSON can carry, got {error}") from error
        began = time.monotonic()
        answer = self.rpc.call(
            topics.SPORT, api_id, text, self.config.rpc_timeout_s if timeout_s is None else timeout_s
        )
        self._answered_after_s = time.monotonic() - began
        return answer

    def wait(self, seconds: float) -> None:
        """Let so much of the robot's own time pass; RfxTimeoutError when its clock does not go on."""
        begun = self.low_state().tick
        ms = 1000 * arrays.number(seconds, "seconds", minimum=0, maximum=3600)
        self._wait_for("go on", lambda: (self.low_state().tick - begun) % 2**32 >= ms, seconds + 5.0)

    def _wait_for(self, what: str, reached: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the robot has done something; timeouts count by the robot's own clock."""
        start, began = self.low_state().tick, time.monotonic()
        while not reached():
            if (self.low_state().tick - start) % 2**32 > 1000 * timeout_s or time.monotonic() - began > 20 * timeout_s:
                seen = f"mode {self._mode()}, trunk {self._trunk_height():.2f} m over its feet"
                raise RfxTimeoutError(f"expected the robot to {what} within {timeout_s:g} s, got {seen}")
            self._pass_time()

    def _trunk_height(self) -> float:
        """How high the trunk is over its feet, by the joint angles (m); the feet are below a robot that lies, too."""
        return -float(feet_of(self.low_state().q)[:, 2].mean())

    def _at_rest(self, high: bool) -> bool:
        """Whether it stands (or, not ``high``, has its legs folded), upright and still, by its joints and its IMU."""
        low, state = self.low_state(), self.sport_state()
        _, x, y, _ = low.imu_state.quaternion
        still = float(np.abs(low.dq).max()) < AT_REST and (state is None or not 0 < state.progress < 1)
        return still and 1 - 2 * (x * x + y * y) > UPRIGHT and (self._trunk_height() > STANDING_HEIGHT) == high

    # -- postures

    def stand(self, timeout_s: float = 10.0) -> None:
        """Stand up from lying and balance: StandUp, wait until it is up, BalanceStand.

        Raises RpcError when the robot refuses, RfxTimeoutError when it is not up in ``timeout_s`` of its own seconds.
        """
        self._keeper.rest()
        self._ask(SportApi.STAND_UP)
        self._begun()
        self._wait_for("stand", lambda: self._at_rest(high=True), timeout_s)
        self._ask(SportApi.BALANCE_STAND)
        self._begun()

    def stand_up(self) -> None:
        """Stand up and lock the joints; walking needs :meth:`balance_stand` then."""
        self._keeper.rest()
        self._ask(SportApi.STAND_UP)

    def balance_stand(self) -> None:
        """Unlock the joints and balance."""
        self._keeper.rest()
        self._ask(SportApi.BALANCE_STAND)

    def stand_down(self, timeout_s: float = 10.0) -> None:
        """Lie down, and return when it lies."""
        self._keeper.rest()
        self._ask(SportApi.STAND_DOWN)
        self._begun()
        self._wait_for("lie down", lambda: self._at_rest(high=False), timeout_s)

    def sit(self) -> None:
        """Sit down."""
        self._keeper.rest()
        self._ask(SportApi.SIT)

    def rise_sit(self) -> None:
        """Stand up from sitting."""
        self._ask(SportApi.RISE_SIT)

    def recovery_stand(self, timeout_s: float = 20.0) -> None:
        """Stand up from wherever it lies, also from its back, and return when it stands."""
        self._keeper.rest()
        self._ask(SportApi.RECOVERY_STAND)
        self._begun()
        self._wait_for("recover", lambda: self._at_rest(True) and self._mode() != SportModeId.RECOVERY_STAND, timeout_s)

    def _begun(self) -> None:
        """Wait for a sport state that was made after the last request; a robot that publishes none is not waited for.

        That is the second new one; but on a slow link several are under way at once, so one is waited for that is later than
        the newest known one by as long as the answer took, and by 100 ms at least. In lockstep none is under way.
        """
        state = self.sport_state()
        if state is None:
            return
        behind_s = 0.0 if self.config.lockstep else max(self._answered_after_s, UNDER_WAY_S)
        enough = _seconds(state) + behind_s
        for _ in range(2):
            stamp = self._stamp()
            self._wait_for("publish its sport state", lambda stamp=stamp: self._stamp() != stamp, 2.0)  # type: ignore[misc]
        self._wait_for("publish its sport state", lambda: _seconds(self.sport_state()) >= enough, 2.0 + behind_s)

    def _stamp(self) -> tuple[int, int]:
        state = self.sport_state()
        return (-1, -1) if state is None else (state.stamp.sec, state.stamp.nanosec)

    def _mode(self) -> int:
        """The sport mode's number, -1 while no sport state has come."""
        state = self.sport_state()
        return -1 if state is None else state.mode

    # -- walking

    def walk(self, vx: float, vy: float, vyaw: float, *, hold_s: float | None = None) -> Velocity:
        """Walk with this velocity until it is changed.

        It is sent again ``config.move_rate_hz`` times a second. If this is not called again within ``hold_s`` the robot is
        told to stop: a caller that hangs must not leave a robot walking. ``walk(0, 0, 0)`` stops. A :meth:`stop` that another
        thread calls meanwhile has the last word.

        Parameters
        ----------
        vx, vy, vyaw : float
            Forwards and to the left (m/s), turning to the left (rad/s); clamped to ``config.walk_limits``.
        hold_s : float, optional
            By default ``config.walk_hold_s``; at most 3600.

        Returns
        -------
        tuple of float
            The velocity after clamping; zeros if there was a stop while the robot was told.

        Raises
        ------
        InvalidValueError, DTypeError
            Not finite numbers: nothing is sent, and a robot that walks goes on as before.
        RpcError
            The robot refuses; it may have to stand first.
        """
        self._check_open()
        given = (arrays.number(vx, "vx"), arrays.number(vy, "vy"), arrays.number(vyaw, "vyaw"))
        hold = self.config.walk_hold_s if hold_s is None else arrays.number(hold_s, "hold_s", above=0, maximum=3600)
        x, y, z = (min(max(v, -most), most) for v, most in zip(given, self.config.walk_limits, strict=True))
        velocity = (x, y, z)
        if velocity == (0.0, 0.0, 0.0):
            self.stop()
            return velocity
        rests = self._keeper.rests
        if self._keeper.velocity is None:  # the first one is asked with an answer, to hear whether it may walk
            self.rpc.call(topics.SPORT, SportApi.MOVE, move_parameter(velocity), self.config.rpc_timeout_s)
        try:
            kept = self._keeper.walk(velocity, hold, rests)
        except RuntimeError as error:  # no thread is left
            self.stop()
            raise HardwareError(f"the velocity cannot be kept up, so the robot was stopped: {error}") from error
        if not kept:  # it may have heard of the stop first
            self.stop()
            return (0.0, 0.0, 0.0)
        return velocity

    @property
    def why_stopped(self) -> str:
        """Why walking ended without being asked to; empty when it did not."""
        return self._keeper.why_stopped

    def stop(self) -> None:
        """Stop walking and stand."""
        self._check_open()
        self._keeper.rest()
        self._ask(SportApi.STOP_MOVE)

    def euler(self, roll: float, pitch: float, yaw: float) -> None:
        """Turn the trunk over standing feet (rad), within ``EULER``; InvalidValueError beyond."""
        given = zip((roll, pitch, yaw), ("roll", "pitch", "yaw"), EULER, strict=True)
        x, y, z = (arrays.number(value, name, minimum=-most, maximum=most) for value, name, most in given)
        self._ask(SportApi.EULER, x=x, y=y, z=z)

    def body_height(self, offset: float) -> None:
        """Raise or lower the trunk against its usual height (m), within ``BODY_HEIGHT``."""
        low, high = BODY_HEIGHT
        self._ask(SportApi.BODY_HEIGHT, data=arrays.number(offset, "offset", minimum=low, maximum=high))

    def foot_raise_height(self, offset: float) -> None:
        """Swing the feet higher or lower than usual (m), within ``FOOT_RAISE_HEIGHT``."""
        low, high = FOOT_RAISE_HEIGHT
        self._ask(SportApi.FOOT_RAISE_HEIGHT, data=arrays.number(offset, "offset", minimum=low, maximum=high))

    def speed_level(self, level: int) -> None:
        """Choose slow (-1), normal (0) or fast (1)."""
        self._ask(SportApi.SPEED_LEVEL, data=arrays.integer(level, "level", minimum=-1, maximum=1))

    def gait(self, gait: str | int) -> None:
        """Choose a gait: ``static_walk``, ``trot_run``, ``economic``, or a number of SwitchGait (0 to 4)."""
        if isinstance(gait, str):
            self._ask(_named(gait, GAITS, "gait"))
        else:
            self._ask(SportApi.SWITCH_GAIT, data=arrays.integer(gait, "gait", minimum=0, maximum=4))

    def trick(self, name: str) -> None:
        """Do a trick by name, see ``rfx.go2.sport_client.TRICKS``; RpcError 3203 from a robot that does not know it."""
        api_id = _named(name, TRICKS, "trick")
        self._keeper.rest()
        self._ask(api_id)

    # -- who holds the motors

    def take_lease(self, name: str = "rfx") -> int:
        """Become the only one who may command the sport service; renewed until :meth:`drop_lease` or disconnecting."""
        self._check_open()
        return self._keeper.take_lease(name, self.config.rpc_timeout_s)

    def drop_lease(self) -> None:
        """Let others command again, when the lease's term is over."""
        self._keeper.drop_lease()

    def check_mode(self) -> str:
        """Return the name of the motion mode that holds the motors, ``""`` when low-level commands are obeyed."""
        self._check_open()
        data = self._switch(SwitcherApi.CHECK_MODE)
        try:
            name = json.loads(data)["name"]
        except (ValueError, KeyError, TypeError) as error:
            raise RpcError(topics.MOTION_SWITCHER, SwitcherApi.CHECK_MODE, RpcCode.DATA, data) from error
        return str(name)

    def select_mode(self, name: str = "normal") -> None:
        """Give the motors to a motion mode (``normal``, ``ai`` or ``advanced``; newer robots ``mcf``)."""
        self._check_open()
        if not isinstance(name, str) or not name:
            raise ConfigError(f"expected name to be a mode's name, got {name!r}")
        self._switch(SwitcherApi.SELECT_MODE, name=name)
        self._commanded = False  # from here on the mode drives, and it is the mode that damps

    def release_mode(self, *, lie_down: bool = True) -> None:
        """Take the motors from the motion mode, so that low-level commands are obeyed.

        A robot that stands lies down first: without its motion mode it would fall.

        Raises
        ------
        HardwareError
            A mode still holds the motors after five tries.
        """
        self._keeper.rest()
        for _ in range(RELEASES):
            if not self.check_mode():
                return
            if lie_down and self._trunk_height() > STANDING_HEIGHT:
                self._ask(SportApi.STOP_MOVE)
                self._wait_for("stop", lambda: self._mode() != SportModeId.LOCOMOTION, 5.0)
                self.stand_down()
            self._switch(SwitcherApi.RELEASE_MODE)
        name = self.check_mode()
        if name:
            raise HardwareError(f"expected the motors to be free after {RELEASES} releases, mode {name!r} holds them")

    def other_commanders(self) -> list[str]:
        """Who else writes low-level commands: program, process and host of each, as far as discovery has come."""
        self._check_open()
        return self.backend.other_commanders()

    def take_low_level(self) -> None:
        """Make ready for low-level commands: the motion mode released, nobody else at the motors.

        Raises
        ------
        HardwareError
            Somebody else writes ``rt/lowcmd``; the text says which process.
        """
        self.release_mode()
        others = self.other_commanders()
        if others:
            raise HardwareError(
                f"expected nobody else to write {topics.LOW_CMD}, {', '.join(others)} does: stop it first"
            )

    def _switch(self, api_id: int, **parameter: Any) -> str:
        return self.rpc.call(topics.MOTION_SWITCHER, api_id, json.dumps(parameter), self.config.rpc_timeout_s)


def _seconds(state: SportModeState | None) -> float:
    """Return the robot's time of a sport state (s)."""
    return -math.inf if state is None else state.stamp.sec + 1e-9 * state.stamp.nanosec


def _named(name: Any, known: dict[str, SportApi], what: str) -> SportApi:
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"expected {what} to be one of {', '.join(known)}, got {name!r}")
    return known[name]
