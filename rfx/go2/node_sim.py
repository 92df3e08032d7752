"""What stands in for a Go2 in a node, in this process and without DDS: its sport mode on a plant, or a simulation backend."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rfx import arrays
from rfx.comm.node_robot import Effect
from rfx.control import ControlLoop
from rfx.errors import (
    ConfigError,
    DTypeError,
    InvalidStateError,
    InvalidValueError,
    RfxConnectionError,
    RfxTimeoutError,
)
from rfx.go2 import topics
from rfx.go2.config import Go2Config
from rfx.go2.node import SPORT_COMMANDS, checked_arguments, checked_velocity
from rfx.go2.order import Order, motion
from rfx.go2.rpc_client import RpcError
from rfx.go2.sport_mode import SportMode
from rfx.go2.topics import RpcCode, SportApi, SportModeId
from rfx.robots.go2 import GO2
from rfx.sim import make_plant
from rfx.sim.backends import SimBackend
from rfx.sim.plant import JointCommand

PERIOD_S = 0.002
MOVE_EVERY_S = 0.25  # of simulated time; the sport mode obeys a Move for a second
MOTION_S = 20.0  # simulated seconds that a motion may take

# command -> (function of the sport mode, names in its JSON, the mode in which it is done or None for at once)
_SPORT: dict[str, tuple[SportApi, tuple[str, ...], SportModeId | None]] = {
    "stand_down": (SportApi.STAND_DOWN, (), SportModeId.LIE_DOWN),
    "balance_stand": (SportApi.BALANCE_STAND, (), None),
    "recovery_stand": (SportApi.RECOVERY_STAND, (), SportModeId.BALANCE_STAND),
    "sit": (SportApi.SIT, (), SportModeId.SIT),
    "rise_sit": (SportApi.RISE_SIT, (), SportModeId.BALANCE_STAND),
    "euler": (SportApi.EULER, ("x", "y", "z"), None),
    "body_height": (SportApi.BODY_HEIGHT, ("data",), None),
    "speed_level": (SportApi.SPEED_LEVEL, ("data",), None),
}


class _Paced:
    """A thread that steps at a rate; what it raises is what every later call raises."""

    def __init__(self, rate_hz: float, step: Callable[[], None], name: str) -> None:
        self._step = step
        self.error: Exception | None = None
        self._handle = ControlLoop(rate_hz, self._tick, name=name, spin_s=0.0).spawn()

    def _tick(self, iteration: int, dt: float) -> bool:
        try:
            self._step()
        except Exception as error:
            self.error = error
        return self.error is None

    def check(self) -> None:
        """Raise RfxConnectionError when it steps no more."""
        if not self._handle.is_running():
            why = "it was closed" if self.error is None else f"{type(self.error).__name__}: {self.error}"
            raise RfxConnectionError(f"the simulation does not run: {why}") from self.error

    def close(self) -> None:
        self._handle.stop()
        self._handle.join()


class SimNodeRobot:
    """A simulated Go2 with its sport mode, for a node: the commands and the state of :class:`rfx.go2.node.Go2NodeRobot`.

    It runs in real time in a thread of its own; where the machine stalls, simulated time falls behind.

    Parameters
    ----------
    plant : {"auto", "mujoco", "joint"}
        The physics; see :func:`rfx.sim.make_plant`.
    pose : {"lie", "stand"}
        How it begins; standing it balances.
    hold_s : float
        For how long a velocity is kept without another ``walk`` (simulated s).
    walk_limits : tuple of three float
        What ``walk`` accepts: m/s, m/s, rad/s.
    """

    kind = "sim"

    def __init__(
        self,
        plant: str = "auto",
        pose: str = "lie",
        *,
        hold_s: float = 1.0,
        walk_limits: tuple[float, float, float] = Go2Config.walk_limits,
    ) -> None:
        self.hold_s = arrays.number(hold_s, "hold_s", above=0.0, maximum=3600.0)
        self.walk_limits = Go2Config(walk_limits=walk_limits).walk_limits
        self.commands = {name: effect for name, (effect, _) in SPORT_COMMANDS.items()}
        self.plant = make_plant(plant)
        self.sport = SportMode()
        self._order = Order()
        self._lock = self._order.lock
        self._command = JointCommand()
        self._velocity: dict[str, float] | None = None
        self._walked_s = self._moved_s = 0.0
        try:
            self._now = self.plant.reset(pose)  # type: ignore[arg-type]
        except Exception:
            self.plant.close()
            raise
        self.sport.begin(self._now)
        if pose == "stand":
            self.sport.update(self._now, self._command)
            self.sport._on_feet()
        self._paced = _Paced(1.0 / PERIOD_S, self._step, "rfx simulated go2")

    def _step(self) -> None:
        with self._lock:
            now = self._now.time
            if self._velocity is not None and now - self._walked_s > self.hold_s:
                self._velocity = None
                self.sport.handle(SportApi.STOP_MOVE, "")
            if self._velocity is not None and now - self._moved_s >= MOVE_EVERY_S:
                self._moved_s = now
                self.sport.handle(SportApi.MOVE, json.dumps(self._velocity))
            self.sport.update(self._now, self._command)
            self._now = self.plant.step(self._command)

    def state(self) -> dict[str, Any]:
        """Return the present state."""
        self._paced.check()
        with self._lock:
            s, mode = self._now, self.sport.mode
        return {
            "tick": round(s.time * 1000) % 2**32,
            "q": s.q.astype(np.float32),
            "dq": s.dq.astype(np.float32),
            "tau": s.tau_est.astype(np.float32),
            "quaternion": s.quaternion.astype(np.float32),
            "gyroscope": s.gyroscope.astype(np.float32),
            "accelerometer": s.accelerometer.astype(np.float32),
            "foot_force": s.foot_force.clip(-32768, 32767).astype(np.int16),
            "battery_percent": 100,
            "position": s.position,
            "velocity": s.velocity,
            "body_height": float(s.position[2]),
            "mode": mode.name,
        }

    @motion
    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do it; ``stand`` and the like return when it is done. InvalidStateError where a stop or damping came before."""
        self._paced.check()
        values = checked_arguments(name, arguments)
        if name == "walk":
            return self._walk(checked_velocity(values, self.walk_limits))
        with self._lock:
            if SPORT_COMMANDS[name][0] != Effect.Sets:
                self._velocity = None
            if name == "damp":
                self._order.stop("damp")
                self._ask(SportApi.DAMP, "{}", free=True)
                return None
        if name == "stand":
            self._ask(SportApi.STAND_UP, "")
            self._wait("stand", lambda: not self.sport._plan_runs() and self.sport.mode == SportModeId.JOINT_LOCK)
            self._ask(SportApi.BALANCE_STAND, "")
            return None
        api_id, names, done = _SPORT[name]
        self._ask(api_id, json.dumps(dict(zip(names, values, strict=True))))
        if done is not None:
            self._wait(name, lambda: not self.sport._plan_runs() and self.sport.mode == done)
        return None

    def _walk(self, velocity: tuple[float, float, float]) -> list[float]:
        wish = dict(zip("xyz", velocity, strict=True))
        with self._lock:
            self._ask(SportApi.MOVE, json.dumps(wish))
            self._velocity, self._walked_s, self._moved_s = wish, self._now.time, self._now.time
        return list(velocity)

    def _ask(self, api_id: SportApi, parameter: str, *, free: bool = False) -> None:
        with self._lock if free else self._order.sending(api_id.name):
            code, data = self.sport.handle(api_id, parameter)
        if code != RpcCode.OK:
            raise RpcError(topics.SPORT, api_id, code, data)

    def _wait(self, what: str, reached: Callable[[], bool]) -> None:
        with self._lock:
            began = self._now.time
        while True:
            with self._lock:
                done, mode, seconds = reached(), self.sport.mode, self._now.time - began
            if done:
                return
            self._order.check(f"what was to make it {what}")
            if mode == SportModeId.DAMPING or seconds > MOTION_S:
                why = f" ({self.sport.reason})" if mode == SportModeId.DAMPING else ""
                raise RfxTimeoutError(
                    f"expected the robot to {what} within {MOTION_S:g} s, it is in mode {mode.name}{why}"
                )
            self._paced.check()
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop walking and stand."""
        self._paced.check()
        with self._lock:
            self._order.stop("stop")
            self._velocity = None
            self._ask(SportApi.STOP_MOVE, "", free=True)

    def close(self) -> None:
        """End the simulation."""
        self._paced.close()
        self.plant.close()

    def __repr__(self) -> str:
        return f"SimNodeRobot({self.plant.name}, mode={self.sport.mode.name}, time={self._now.time:.3f})"


class BackendNodeRobot:
    """A :class:`rfx.sim.SimBackend` for a node: twelve joints that follow targets, in real time.

    Commands: ``joints`` (``targets``: twelve angles in motor order, rad, within each joint's travel; has to come again and
    again), ``stop`` (hold the joints where they are), ``reset``. The state: ``time`` (s), ``q`` and ``dq`` (12,) float32
    (rad, rad/s), ``fallen``.

    Parameters
    ----------
    backend : SimBackend
        From :func:`rfx.sim.make_backend`; nobody else is to step it. Closed with this.
    """

    kind = "sim backend"

    def __init__(self, backend: SimBackend) -> None:
        if not isinstance(backend, SimBackend):
            raise DTypeError(f"expected a SimBackend, got {type(backend).__name__}")
        self.backend = backend
        self.commands = {"joints": Effect.Moves, "reset": Effect.Rests}
        self._lock = threading.Lock()
        self._now = backend.state()
        self._targets = self._now.joint_positions()
        self._paced = _Paced(1.0 / backend.config.steps.dt, self._step, f"rfx {backend.name()} backend")

    def _step(self) -> None:
        with self._lock:
            if not self._now.terminated:
                self._now, _ = self.backend.step(self._targets)

    def state(self) -> dict[str, Any]:
        """Return the present state."""
        self._paced.check()
        s = self._now
        q, dq = s.q.astype(np.float32), s.dq.astype(np.float32)
        return {"time": s.sim_time, "q": q, "dq": dq, "fallen": s.terminated}

    def command(self, name: str, arguments: dict[str, Any]) -> None:
        """Follow targets from now on, or begin anew."""
        self._paced.check()
        expected = {"joints": {"targets"}, "reset": set()}
        if name not in expected:
            raise ConfigError(f"expected one of the commands joints, reset, stop, got {name!r}")
        if set(arguments) != expected[name]:
            names = ", ".join(expected[name]) or "no arguments"
            raise ConfigError(f"expected {names} for {name}, got {', '.join(arguments) or 'none'}")
        if name == "reset":
            with self._lock:
                self._now = self.backend.reset()
                self._targets = self._now.joint_positions()
            return
        given = arguments["targets"]
        targets = arrays.finite(arrays.floats(given, "targets", (len(GO2.joints),), np.float64), "targets")
        for value, joint in zip(targets, GO2.joints, strict=True):
            if not joint.position_min <= value <= joint.position_max:
                raise InvalidValueError(
                    f"expected {joint.name} within {joint.position_min:g}..{joint.position_max:g} rad, got {value:g}"
                )
        with self._lock:
            if self._now.terminated:
                raise InvalidStateError("the robot has fallen: reset it first")
            self._targets = targets.copy()

    def stop(self) -> None:
        """Hold the joints where they are."""
        self._paced.check()
        with self._lock:
            self._targets = self._now.joint_positions()

    def close(self) -> None:
        """End the simulation."""
        self._paced.close()
        self.backend.close()

    def __repr__(self) -> str:
        return f"BackendNodeRobot({self.backend!r})"
