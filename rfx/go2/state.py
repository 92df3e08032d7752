"""What a user of the robot sees of it: one consistent snapshot, arrays in motor order, joints by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.go2.messages import LowState, SportModeState
from rfx.robots.go2 import GO2, MOTOR_NAMES

CONTACT_FORCE = 20  # raw foot force above which a foot counts as on the ground


@dataclass(frozen=True)
class ImuState:
    """The inertial unit: quaternion wxyz, gyroscope (rad/s) and accelerometer (m/s^2) in the body, rpy (rad)."""

    quaternion: tuple[float, float, float, float]
    gyroscope: tuple[float, float, float]
    accelerometer: tuple[float, float, float]
    rpy: tuple[float, float, float]

    @property
    def roll(self) -> float:
        """Roll (rad)."""
        return self.rpy[0]

    @property
    def pitch(self) -> float:
        """Pitch (rad)."""
        return self.rpy[1]

    @property
    def yaw(self) -> float:
        """Yaw (rad)."""
        return self.rpy[2]


@dataclass(frozen=True)
class MotorReading:
    """One motor: position (rad), velocity (rad/s), estimated torque (Nm), temperature (degrees Celsius)."""

    name: str
    q: float
    dq: float
    tau_est: float
    temperature: int


@dataclass(frozen=True, eq=False)
class Go2State:
    """A snapshot of the robot.

    Attributes
    ----------
    tick : int
        The robot's own clock (ms).
    timestamp : float
        Our monotonic clock when it came (s).
    imu : ImuState
    joint_positions, joint_velocities, joint_torques : ndarray, shape (12,), float32
        In motor order FR, FL, RR, RL x hip, thigh, calf; rad, rad/s, Nm.
    foot_force : ndarray, shape (4,), int16
        Raw, FR, FL, RR, RL.
    battery_percent : int
    position, velocity : ndarray, shape (3,) or None
        Of the body, from the robot's own estimate (m, m/s); None while no sport state has come.
    body_height : float or None
    """

    tick: int
    timestamp: float
    imu: ImuState
    joint_positions: NDArray[np.float32]
    joint_velocities: NDArray[np.float32]
    joint_torques: NDArray[np.float32]
    foot_force: NDArray[np.int16]
    battery_percent: int
    temperatures: tuple[int, ...]
    position: NDArray[np.float64] | None
    velocity: NDArray[np.float64] | None
    body_height: float | None

    @classmethod
    def from_messages(cls, low: LowState, sport: SportModeState | None, timestamp: float) -> "Go2State":
        """Build a snapshot from the robot's messages."""
        imu: Any = low.imu_state
        return cls(
            tick=low.tick,
            timestamp=timestamp,
            imu=ImuState(imu.quaternion, imu.gyroscope, imu.accelerometer, imu.rpy),
            joint_positions=low.q,
            joint_velocities=low.dq,
            joint_torques=low.tau_est,
            foot_force=np.array(low.foot_force, np.int16),
            battery_percent=low.bms_state.soc,
            temperatures=tuple(low.motor_state[i].temperature for i in range(len(MOTOR_NAMES))),
            position=None if sport is None else np.array(sport.position),
            velocity=None if sport is None else np.array(sport.velocity),
            body_height=None if sport is None else sport.body_height,
        )

    @property
    def foot_contact(self) -> NDArray[np.bool_]:
        """Which feet FR, FL, RR, RL are on the ground (4,)."""
        return self.foot_force > CONTACT_FORCE

    def motor(self, name: str) -> MotorReading:
        """Return one motor by name, such as ``FR_thigh``; ConfigError for an unknown one."""
        i = GO2.index_of(name)
        return MotorReading(
            name,
            float(self.joint_positions[i]),
            float(self.joint_velocities[i]),
            float(self.joint_torques[i]),
            self.temperatures[i],
        )

    def __repr__(self) -> str:
        r, p, y = self.imu.rpy
        return f"Go2State(tick={self.tick}, rpy=({r:.3f}, {p:.3f}, {y:.3f}), battery={self.battery_percent} %)"
