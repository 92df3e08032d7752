"""A Go2 as a robot that :class:`rfx.comm.RobotNode` can hold; what stands in for it is in :mod:`rfx.go2.node_sim`."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from rfx import arrays
from rfx.comm.node_robot import Effect
from rfx.errors import ConfigError, DTypeError, InvalidValueError, RfxConnectionError
from rfx.go2.client import Go2
from rfx.go2.config import Go2Config

Arguments = dict[str, Any]
Limits = tuple[float, float, float]

# what a robot in sport mode does on command: name -> (what it does to a motion, the arguments it needs)
SPORT_COMMANDS: dict[str, tuple[Effect, tuple[str, ...]]] = {
    "walk": (Effect.Moves, ("vx", "vy", "vyaw")),
    "stand": (Effect.Rests, ()),
    "stand_down": (Effect.Rests, ()),
    "balance_stand": (Effect.Rests, ()),
    "recovery_stand": (Effect.Rests, ()),
    "sit": (Effect.Rests, ()),
    "rise_sit": (Effect.Rests, ()),
    "damp": (Effect.Stops, ()),
    "euler": (Effect.Sets, ("roll", "pitch", "yaw")),
    "body_height": (Effect.Sets, ("offset",)),
    "speed_level": (Effect.Sets, ("level",)),
}
_OPTIONAL = {"walk": {"vx": 0.0, "vy": 0.0, "vyaw": 0.0}}  # what is not said is zero


def checked_arguments(name: str, arguments: Mapping[str, Any]) -> list[Any]:
    """Return the arguments of a sport command in their order.

    Raises ConfigError for an unknown command or argument, DTypeError and InvalidValueError for what is no finite number.
    """
    if name not in SPORT_COMMANDS:
        raise ConfigError(f"expected one of the commands {', '.join(SPORT_COMMANDS)}, got {name!r}")
    names = SPORT_COMMANDS[name][1]
    given = {**_OPTIONAL.get(name, {}), **arguments}
    if set(given) != set(names):
        raise ConfigError(
            f"expected {', '.join(names) or 'no arguments'} for {name}, got {', '.join(arguments) or 'none'}"
        )
    return [given[n] if n == "level" else arrays.number(given[n], n) for n in names]


def checked_velocity(velocity: list[Any], limits: Limits) -> Limits:
    """Return a velocity that is within the limits; InvalidValueError beyond: nothing is clamped behind a caller's back."""
    for value, most, name in zip(velocity, limits, ("vx", "vy", "vyaw"), strict=True):
        if abs(value) > most:
            raise InvalidValueError(f"expected {name} within -{most:g}..{most:g}, got {value:g}")
    vx, vy, vyaw = velocity
    return vx, vy, vyaw


class Go2NodeRobot:
    """A Go2 in sport mode for a node.

    Commands: ``walk`` (vx, vy, vyaw: m/s, m/s, rad/s, within ``config.walk_limits``; has to come again and again), ``stop``,
    ``damp``, ``stand``, ``stand_down``, ``balance_stand``, ``recovery_stand``, ``sit``, ``rise_sit``, ``euler`` (roll,
    pitch, yaw: rad), ``body_height`` (offset: m), ``speed_level`` (level: -1, 0, 1). What the robot refuses raises.

    Parameters
    ----------
    go2 : Go2
        Connected; closed with this.
    hold_s : float, optional
        For how long the robot keeps a velocity should this program hang; by default ``config.walk_hold_s``. The node's own
        dead man is to be shorter.

    Notes
    -----
    The state: ``tick`` (ms, of the robot), ``q``, ``dq``, ``tau`` (12,) float32 in motor order (rad, rad/s, Nm),
    ``quaternion`` (4,) wxyz, ``gyroscope``, ``accelerometer`` (3,) float32, ``foot_force`` (4,) int16,
    ``battery_percent``, ``mode``; ``position``, ``velocity`` (3,) float64 (m, m/s) and ``body_height`` (m), None while the
    robot has not said them. Raises RfxConnectionError when nothing comes from the robot: a state that is old is none.
    """

    kind = "go2"

    def __init__(self, go2: Go2, hold_s: float | None = None) -> None:
        if not isinstance(go2, Go2):
            raise DTypeError(f"expected a connected Go2, got {type(go2).__name__}")
        self.go2 = go2
        self.hold_s = (
            go2.config.walk_hold_s if hold_s is None else arrays.number(hold_s, "hold_s", above=0.0, maximum=3600)
        )
        self.commands = {name: effect for name, (effect, _) in SPORT_COMMANDS.items()}

    @classmethod
    def connect(cls, config: Go2Config | None = None, hold_s: float | None = None) -> Self:
        """Connect, and return the robot; errors as of :meth:`Go2.connect`."""
        return cls(Go2.connect(config), hold_s)

    def state(self) -> dict[str, Any]:
        """Return the newest state."""
        if not self.go2.is_connected():
            stale = self.go2.config.stale_after_s
            raise RfxConnectionError(f"no valid state from the robot for more than {stale:g} s")
        s = self.go2.state()
        return {
            "tick": s.tick,
            "q": s.joint_positions,
            "dq": s.joint_velocities,
            "tau": s.joint_torques,
            "quaternion": np.array(s.imu.quaternion, np.float32),
            "gyroscope": np.array(s.imu.gyroscope, np.float32),
            "accelerometer": np.array(s.imu.accelerometer, np.float32),
            "foot_force": s.foot_force,
            "battery_percent": s.battery_percent,
            "position": s.position,
            "velocity": s.velocity,
            "body_height": s.body_height,
            "mode": "" if s.sport is None else s.sport.mode_name,
        }

    def command(self, name: str, arguments: Arguments) -> Any:
        """Do it, and return when the robot has answered; ``stand`` and the like when it is done."""
        values = checked_arguments(name, arguments)
        if name == "walk":
            return list(self.go2.walk(*checked_velocity(values, self.go2.config.walk_limits), hold_s=self.hold_s))
        return getattr(self.go2, name)(*values)

    def stop(self) -> None:
        """Send no velocity any more, and have the robot stop and stand."""
        self.go2.stop()

    def close(self) -> None:
        """Let go of the robot."""
        self.go2.disconnect()

    def __repr__(self) -> str:
        return f"Go2NodeRobot({self.go2!r})"
