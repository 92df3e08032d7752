"""What a simulated robot takes and gives: :class:`JointCommand`, :class:`PlantState`, :class:`Plant`.

All joint arrays are in Unitree's motor order: FR, FL, RR, RL, and in each leg hip, thigh, calf.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError
from rfx.robots.go2 import GO2
from rfx.sim.core import motor_law

Array = NDArray[np.float64]
Pose = Literal["lie", "stand"]

N_MOTORS = 12
TIMESTEP = 0.002
MOST_STEPS = 1_000_000
NO_POSITION = 2.146e9
NO_VELOCITY = 16000.0


class JointCommand:
    """What each motor is to do; the law is evaluated anew at every physics step.

    ``torque = clip(tau + kp (q - q_measured) + kd (dq - dq_measured), -limit, +limit)``. A motor whose ``q`` is
    2.146e9 has no position term, one whose ``dq`` is 16000 no velocity term. Damping is kp 0, kd > 0, dq 0. A motor
    that is not ``enabled`` gives no torque.

    Parameters
    ----------
    q, dq, tau, kp, kd : array_like, shape (12,) or a number for all
        Position (rad), velocity (rad/s), torque (Nm), stiffness (Nm/rad), damping (Nm s/rad).
    enabled : array_like, shape (12,) of bool, or one bool for all

    Attributes
    ----------
    q, dq, tau, kp, kd : ndarray, shape (12,), float64
        Views into one block; write into them to reuse the object. They are checked at each step.
    enabled : ndarray, shape (12,), bool

    Raises
    ------
    InvalidValueError
        NaN, infinity, or a gain below zero.
    ShapeError, DTypeError
        Not twelve real numbers.
    """

    __slots__ = ("_block", "dq", "enabled", "kd", "kp", "q", "tau")

    def __init__(
        self,
        q: ArrayLike = NO_POSITION,
        dq: ArrayLike = 0.0,
        tau: ArrayLike = 0.0,
        kp: ArrayLike = 0.0,
        kd: ArrayLike = 0.0,
        enabled: ArrayLike = True,
    ) -> None:
        self._block: Array = np.empty((5, N_MOTORS))
        for i, (name, value) in enumerate([("q", q), ("dq", dq), ("tau", tau), ("kp", kp), ("kd", kd)]):
            self._block[i] = arrays.floats(value, name, () if np.ndim(value) == 0 else (N_MOTORS,))
        self.q, self.dq, self.tau, self.kp, self.kd = self._block
        self.enabled: NDArray[np.bool_] = np.empty(N_MOTORS, np.bool_)
        self.enabled[:] = arrays.floats(enabled, "enabled", () if np.ndim(enabled) == 0 else (N_MOTORS,)) != 0
        self.write_law(np.empty((N_MOTORS, 3)))

    @classmethod
    def damping(cls, kd: ArrayLike = 3.0) -> "JointCommand":
        """A command that only brakes: kp 0, dq 0."""
        return cls(kd=kd)

    def write_law(self, out: Array) -> None:
        """Write offset, kp and kd of each motor into ``out`` of shape (12, 3); raises InvalidValueError."""
        motor_law(self._block, self.enabled.view(np.uint8), out)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JointCommand):
            return NotImplemented
        return bool(np.array_equal(self._block, other._block) and np.array_equal(self.enabled, other.enabled))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return JointCommand, (*(row.copy() for row in self._block), self.enabled.copy())

    def __repr__(self) -> str:
        on = int(self.enabled.sum())
        return f"JointCommand(enabled={on}, kp={_span(self.kp)}, kd={_span(self.kd)})"


def _span(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"


@dataclass(slots=True, eq=False)
class PlantState:
    """A snapshot; its arrays are copies that nobody else changes.

    Attributes
    ----------
    time : float
        Simulated seconds since reset.
    steps : int
        Physics steps since reset.
    q, dq : ndarray, shape (12,)
        Joint positions (rad) and velocities (rad/s).
    ddq, tau_est : ndarray, shape (12,)
        Joint accelerations (rad/s^2) and motor torques after clipping (Nm), as they were evaluated at the start of the
        last physics step.
    quaternion : ndarray, shape (4,)
        wxyz, world from body.
    gyroscope : ndarray, shape (3,)
        Angular velocity in the body frame (rad/s).
    accelerometer : ndarray, shape (3,)
        Specific force in the body frame (m/s^2) over the last physics step: +9.81 along z when level and at rest, 0 in
        free fall.
    position : ndarray, shape (3,)
        Of the trunk, in the world (m).
    velocity, velocity_body : ndarray, shape (3,)
        Of the trunk, in the world and in the body frame (m/s).
    foot_force : ndarray, shape (4,)
        Normal force on the feet FR, FL, RR, RL over the last physics step (N).
    """

    time: float
    steps: int
    q: Array
    dq: Array
    ddq: Array
    tau_est: Array
    quaternion: Array
    gyroscope: Array
    accelerometer: Array
    position: Array
    velocity: Array
    velocity_body: Array
    foot_force: Array

    @property
    def tilt(self) -> float:
        """Angle between the body's z axis and the vertical (rad), 0 to pi."""
        _, x, y, _ = self.quaternion
        return float(np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlantState):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __repr__(self) -> str:
        height, tilt = float(self.position[2]), np.degrees(self.tilt)
        return f"PlantState(time={self.time:.3f}, height={height:.3f} m, tilt={tilt:.1f} deg)"


@runtime_checkable
class Plant(Protocol):
    """A simulated Go2: takes joint commands, gives states. One object belongs to one owner; calls from several threads
    queue up, they do not mix.
    """

    name: str
    description: str
    timestep: float
    can_fall: bool
    """True where the trunk is free: it falls, walks and can be pushed."""

    @property
    def state(self) -> PlantState:
        """The present state, a copy."""
        ...

    def reset(self, pose: Pose = "lie") -> PlantState:
        """Put the robot back, at rest, lying on the floor or in the standing pose; time starts at 0 again."""
        ...

    def step(self, command: JointCommand, n: int = 1) -> PlantState:
        """Advance by ``n`` steps of ``timestep`` seconds under one command."""
        ...

    def push(self, force: ArrayLike, duration: float) -> None:
        """Push the trunk with a force (N, world frame) for the next ``duration`` simulated seconds."""
        ...

    def render(self, width: int = 480, height: int = 360, camera: Any = "corner") -> NDArray[np.uint8]:
        """Draw the robot; shape (height, width, 3)."""
        ...

    def close(self) -> None:
        """Let go of memory; the plant cannot be used afterwards."""
        ...


def joint_pose(pose: object) -> Array:
    """Joint positions of a pose that a plant can start in, shape (12,); ConfigError for other names."""
    if pose == "lie":
        return GO2.pose("lie")
    if pose == "stand":
        return GO2.pose("stand")
    raise ConfigError(f"expected pose to be 'lie' or 'stand', got {pose!r}")


def checked_steps(n: object) -> int:
    """The number of steps as an int in 1..1 000 000."""
    return arrays.integer(n, "n", minimum=1, maximum=MOST_STEPS)


def checked_push(force: ArrayLike, duration: object) -> tuple[Array, int]:
    """A push as (force, number of steps)."""
    vector = arrays.finite(arrays.floats(force, "force", (3,), np.float64), "force")
    if float(np.abs(vector).max()) > 1e5:
        raise InvalidValueError(f"expected force within 100 000 N, got {vector.tolist()}")
    return vector, round(arrays.number(duration, "duration", above=0.0, maximum=3600.0) / TIMESTEP)
