"""What a user of the robot sees of it: one consistent snapshot, arrays in motor order, joints by name."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.go2.messages import LowState, SportModeState
from rfx.go2.topics import Key, SportModeId
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
class SportState:
    """What the robot's sport mode says of itself.

    Attributes
    ----------
    mode : int
        See :class:`rfx.go2.topics.SportModeId`; newer firmware may use further numbers.
    gait_type, error_code : int
    progress : float
        0..1 during a motion.
    body_height, foot_raise_height : float
        In metres.
    position, velocity : ndarray, shape (3,)
        Of the body, in the frame of the robot's own odometry (m, m/s).
    yaw_speed : float
        rad/s.
    foot_positions, foot_velocities : ndarray, shape (4, 3)
        FR, FL, RR, RL in the body (m, m/s).
    """

    mode: int
    gait_type: int
    error_code: int
    progress: float
    body_height: float
    foot_raise_height: float
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    yaw_speed: float
    foot_positions: NDArray[np.float64]
    foot_velocities: NDArray[np.float64]

    @classmethod
    def from_message(cls, m: SportModeState) -> "SportState":
        """Build it from the robot's message."""
        return cls(
            m.mode,
            m.gait_type,
            m.error_code,
            m.progress,
            m.body_height,
            m.foot_raise_height,
            np.array(m.position),
            np.array(m.velocity),
            m.yaw_speed,
            np.array(m.foot_position_body).reshape(4, 3),
            np.array(m.foot_speed_body).reshape(4, 3),
        )

    @property
    def mode_name(self) -> str:
        """The mode in words, or its number."""
        return SportModeId(self.mode).name if self.mode in list(SportModeId) else str(self.mode)


@dataclass(frozen=True)
class Remote:
    """The hand controller as the robot hears it: sticks within -1..1, keys as flags."""

    lx: float
    ly: float
    rx: float
    ry: float
    keys: Key

    @classmethod
    def from_bytes(cls, octets: bytes) -> "Remote":
        """Read ``LowState.wireless_remote``."""
        _, keys, lx, rx, ry, _, ly = struct.unpack_from("<2sH5f", octets)
        return cls(lx, ly, rx, ry, Key(keys))


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
    sport : SportState or None
        None while no sport state has come.
    remote : Remote
    lost : ndarray, shape (12,), uint32
        How often each motor was not measured.
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
    sport: SportState | None
    remote: Remote
    lost: NDArray[np.uint32]

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
            sport=None if sport is None else SportState.from_message(sport),
            remote=Remote.from_bytes(bytes(low.wireless_remote)),
            lost=low.lost,
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
