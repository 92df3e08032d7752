"""The Go2's low-level and sport messages, byte for byte as the robot speaks them.

Field names, order and types are Unitree's. ``X.from_cdr(data)`` and ``x.to_cdr()`` translate, ``X.TYPE_NAME`` is the
name on DDS, ``X.CDR_SIZE`` the length with its header. The C struct behind a message has the layout that the robot's
checksum covers; it differs from the CDR layout.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.go2.octets import crc32_mpeg2
from rfx.go2.rpc import Request, RequestHeader, Response, ResponseHeader
from rfx.go2.types import (
    F32,
    U8,
    U16,
    U32,
    BmsCmd,
    BmsState,
    Floats,
    IMUState,
    Ints,
    MotorCmd,
    MotorState,
    PathPoint,
    TimeSpec,
)
from rfx.go2.wire import Struct, StructArray, wire

__all__ = [
    "NO_POSITION",
    "NO_VELOCITY",
    "BmsCmd",
    "BmsState",
    "IMUState",
    "LowCmd",
    "LowState",
    "MotorCmd",
    "MotorState",
    "PathPoint",
    "Request",
    "RequestHeader",
    "Response",
    "ResponseHeader",
    "SportModeState",
    "TimeSpec",
    "WirelessController",
    "crc32_mpeg2",
]

N = 12  # motors in use, of 20 slots
SERVO = 1
NO_POSITION = 2.146e9  # motor_cmd.q that stands for "no position command"
NO_VELOCITY = 16000.0  # motor_cmd.dq that stands for "no velocity command"


class Sealed(Struct):
    """A message whose last word is a checksum over its C struct."""

    __slots__ = ()
    crc: U32

    def compute_crc(self) -> int:
        """Return the CRC-32/MPEG-2 over the little-endian words of the C struct, the last one left out."""
        return self._word_crc()

    @property
    def crc_ok(self) -> bool:
        """Whether the stored checksum is the right one."""
        return self.crc == self._word_crc()

    def seal(self) -> Any:
        """Store the right checksum; returns the message."""
        self.crc = self._word_crc()
        return self

    def to_cdr(self, seal: bool = True) -> bytes:
        """Return the message as CDR bytes; the checksum is computed and stored first unless ``seal`` is False."""
        if seal:
            self.crc = self._word_crc()
        return super().to_cdr()


@wire("unitree_go::msg::dds_::LowCmd_")
class LowCmd(Sealed):
    """Commands for the 20 motor slots, of which the Go2 uses 12 (FR, FL, RR, RL x hip, thigh, calf).

    A new one has head FE EF, level_flag FF, and in every slot mode 1 with no position, no velocity and no gains: the
    robot does nothing with it.
    """

    __slots__ = ()
    head: Annotated[Ints, ("u8", 2)]
    level_flag: U8
    frame_reserve: U8
    sn: Annotated[Ints, ("u32", 2)]
    version: Annotated[Ints, ("u32", 2)]
    bandwidth: U16
    motor_cmd: Annotated[StructArray, (MotorCmd, 20)]
    bms_cmd: Annotated[BmsCmd, BmsCmd]
    wireless_remote: Annotated[Ints, ("u8", 40)]
    led: Annotated[Ints, ("u8", 12)]
    fan: Annotated[Ints, ("u8", 2)]
    gpio: U8
    reserve: U32
    crc: U32

    def __init__(self, **fields: Any) -> None:
        self.set_idle()
        super().__init__(**fields)

    def set_idle(self) -> None:
        """Set what a new message has; every other field is zeroed."""
        self.clear()
        self.head = (0xFE, 0xEF)
        self.level_flag = 0xFF
        self._scatter_bytes(_CMD["mode"], _CMD_STRIDE, np.full(20, SERVO, np.uint8))
        self._set_floats({"q": NO_POSITION, "dq": NO_VELOCITY}, _CMD, _CMD_STRIDE, 20)

    @property
    def is_safe(self) -> bool:
        """Whether every motor slot is finite and no gain is negative."""
        return self._all_finite(_CMD["q"], _CMD_STRIDE, 20, 5, 3)

    def set_damping(self, kd: float) -> None:
        """Make the 12 motors brake: mode 1, kp 0, kd (Nm s/rad), target velocity 0."""
        self.set_motors(mode=SERVO, q=NO_POSITION, dq=0.0, tau=0.0, kp=0.0, kd=arrays.number(kd, "kd", minimum=0))

    def set_motors(
        self,
        *,
        mode: int | ArrayLike | None = SERVO,
        q: ArrayLike | None = None,
        dq: ArrayLike | None = None,
        tau: ArrayLike | None = None,
        kp: ArrayLike | None = None,
        kd: ArrayLike | None = None,
    ) -> None:
        """Set fields of the 12 motors, each from a number or a (12,) array in motor order; None leaves one as it is.

        Raises ShapeError, DTypeError or InvalidValueError (NaN, infinity) before anything has changed.
        """
        modes = None if mode is None else _octets(mode, "mode")
        self._set_floats({"q": q, "dq": dq, "tau": tau, "kp": kp, "kd": kd}, _CMD, _CMD_STRIDE, N)
        if modes is not None:
            self._scatter_bytes(_CMD["mode"], _CMD_STRIDE, modes)

    @property
    def q(self) -> NDArray[np.float32]:
        """Target positions (12,), rad, a copy."""
        return self._gather(_CMD["q"], _CMD_STRIDE, N)

    @property
    def dq(self) -> NDArray[np.float32]:
        """Target velocities (12,), rad/s, a copy."""
        return self._gather(_CMD["dq"], _CMD_STRIDE, N)

    @property
    def tau(self) -> NDArray[np.float32]:
        """Feed-forward torques (12,), Nm, a copy."""
        return self._gather(_CMD["tau"], _CMD_STRIDE, N)

    @property
    def kp(self) -> NDArray[np.float32]:
        """Position gains (12,), Nm/rad, a copy."""
        return self._gather(_CMD["kp"], _CMD_STRIDE, N)

    @property
    def kd(self) -> NDArray[np.float32]:
        """Velocity gains (12,), Nm s/rad, a copy."""
        return self._gather(_CMD["kd"], _CMD_STRIDE, N)


@wire("unitree_go::msg::dds_::LowState_")
class LowState(Sealed):
    """What the robot measures, 500 times a second. ``tick`` counts milliseconds."""

    __slots__ = ()
    head: Annotated[Ints, ("u8", 2)]
    level_flag: U8
    frame_reserve: U8
    sn: Annotated[Ints, ("u32", 2)]
    version: Annotated[Ints, ("u32", 2)]
    bandwidth: U16
    imu_state: Annotated[IMUState, IMUState]
    motor_state: Annotated[StructArray, (MotorState, 20)]
    bms_state: Annotated[BmsState, BmsState]
    foot_force: Annotated[Ints, ("i16", 4)]
    foot_force_est: Annotated[Ints, ("i16", 4)]
    tick: U32
    wireless_remote: Annotated[Ints, ("u8", 40)]
    bit_flag: U8
    adc_reel: F32
    temperature_ntc1: U8
    temperature_ntc2: U8
    power_v: F32
    power_a: F32
    fan_frequency: Annotated[Ints, ("u16", 4)]
    reserve: U32
    crc: U32

    def __init__(self, **fields: Any) -> None:
        self.head = (0xFE, 0xEF)
        super().__init__(**fields)

    def set_motors(
        self,
        *,
        mode: int | ArrayLike | None = SERVO,
        q: ArrayLike | None = None,
        dq: ArrayLike | None = None,
        ddq: ArrayLike | None = None,
        tau_est: ArrayLike | None = None,
        temperature: int | ArrayLike | None = None,
    ) -> None:
        """Set fields of the 12 motors, each from a number or a (12,) array in motor order; None leaves one as it is."""
        whole = {"mode": mode, "temperature": temperature}
        octets = {name: _octets(value, name) for name, value in whole.items() if value is not None}
        self._set_floats({"q": q, "dq": dq, "ddq": ddq, "tau_est": tau_est}, _STATE, _STATE_STRIDE, N)
        for name, octet in octets.items():
            self._scatter_bytes(_STATE[name], _STATE_STRIDE, octet)

    @property
    def q(self) -> NDArray[np.float32]:
        """Positions (12,), rad, a copy."""
        return self._gather(_STATE["q"], _STATE_STRIDE, N)

    @property
    def dq(self) -> NDArray[np.float32]:
        """Velocities (12,), rad/s, a copy."""
        return self._gather(_STATE["dq"], _STATE_STRIDE, N)

    @property
    def ddq(self) -> NDArray[np.float32]:
        """Accelerations (12,), rad/s^2, a copy."""
        return self._gather(_STATE["ddq"], _STATE_STRIDE, N)

    @property
    def tau_est(self) -> NDArray[np.float32]:
        """Estimated torques (12,), Nm, a copy."""
        return self._gather(_STATE["tau_est"], _STATE_STRIDE, N)

    @property
    def lost(self) -> NDArray[np.uint32]:
        """How often each motor was not measured (12,), a copy."""
        return self._gather(_STATE["lost"], _STATE_STRIDE, N).view(np.uint32)


@wire("unitree_go::msg::dds_::SportModeState_")
class SportModeState(Struct):
    """What the robot's own locomotion controller knows: pose and velocity of the body, gait, feet."""

    __slots__ = ()
    stamp: Annotated[TimeSpec, TimeSpec]
    error_code: U32
    imu_state: Annotated[IMUState, IMUState]
    mode: U8
    progress: F32
    gait_type: U8
    foot_raise_height: F32
    position: Annotated[Floats, ("f32", 3)]
    body_height: F32
    velocity: Annotated[Floats, ("f32", 3)]
    yaw_speed: F32
    range_obstacle: Annotated[Floats, ("f32", 4)]
    foot_force: Annotated[Ints, ("i16", 4)]
    foot_position_body: Annotated[Floats, ("f32", 12)]
    foot_speed_body: Annotated[Floats, ("f32", 12)]
    path_point: Annotated[StructArray, (PathPoint, 10)]


@wire("unitree_go::msg::dds_::WirelessController_")
class WirelessController(Struct):
    """The hand controller: two sticks within -1..1 and a bit field of keys."""

    __slots__ = ()
    lx: F32
    ly: F32
    rx: F32
    ry: F32
    keys: U16


def _offsets(field: Any) -> dict[str, int]:
    return {name: field.offset + inner.offset for name, inner in field.kind.LAYOUT.fields.items()}


_CMD = _offsets(LowCmd.LAYOUT.fields["motor_cmd"])
_CMD_STRIDE = MotorCmd.LAYOUT.size
_STATE = _offsets(LowState.LAYOUT.fields["motor_state"])
_STATE_STRIDE = MotorState.LAYOUT.size


def _octets(value: Any, name: str) -> NDArray[np.uint8]:
    """Return (12,) octets from a number for all, or twelve of them."""
    if isinstance(value, int) or not np.ndim(value):
        return np.full(N, arrays.integer(value, name, minimum=0, maximum=255), np.uint8)
    whole = [arrays.integer(v, name, minimum=0, maximum=255) for v in value]
    arrays.floats(whole, name, (N,))
    return np.array(whole, np.uint8)
