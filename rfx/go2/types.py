"""The parts that Unitree's messages are made of, and short names for their fields' types."""

from typing import Annotated

from rfx.go2.wire import Struct, wire

U8 = Annotated[int, "u8"]
U16 = Annotated[int, "u16"]
U32 = Annotated[int, "u32"]
I32 = Annotated[int, "i32"]
I64 = Annotated[int, "i64"]
Flag = Annotated[bool, "bool"]
F32 = Annotated[float, "f32"]
Ints = tuple[int, ...]
Floats = tuple[float, ...]


@wire("unitree_go::msg::dds_::BmsCmd_")
class BmsCmd(Struct):
    """Switch the battery off."""

    __slots__ = ()
    off: U8
    reserve: Annotated[Ints, ("u8", 3)]


@wire("unitree_go::msg::dds_::BmsState_")
class BmsState(Struct):
    """The battery: soc in percent, current in mA, cell voltages in mV."""

    __slots__ = ()
    version_high: U8
    version_low: U8
    status: U8
    soc: U8
    current: I32
    cycle: U16
    bq_ntc: Annotated[Ints, ("u8", 2)]
    mcu_ntc: Annotated[Ints, ("u8", 2)]
    cell_vol: Annotated[Ints, ("u16", 15)]


@wire("unitree_go::msg::dds_::IMUState_")
class IMUState(Struct):
    """The inertial unit: quaternion wxyz, gyroscope rad/s, accelerometer m/s^2, rpy rad."""

    __slots__ = ()
    quaternion: Annotated[Floats, ("f32", 4)]
    gyroscope: Annotated[Floats, ("f32", 3)]
    accelerometer: Annotated[Floats, ("f32", 3)]
    rpy: Annotated[Floats, ("f32", 3)]
    temperature: U8


@wire("unitree_go::msg::dds_::MotorCmd_")
class MotorCmd(Struct):
    """One motor: torque = tau + kp (q - q_measured) + kd (dq - dq_measured) in mode 1."""

    __slots__ = ()
    mode: U8
    q: F32
    dq: F32
    tau: F32
    kp: F32
    kd: F32
    reserve: Annotated[Ints, ("u32", 3)]


@wire("unitree_go::msg::dds_::MotorState_")
class MotorState(Struct):
    """One motor as measured: rad, rad/s, rad/s^2, Nm, degrees Celsius."""

    __slots__ = ()
    mode: U8
    q: F32
    dq: F32
    ddq: F32
    tau_est: F32
    q_raw: F32
    dq_raw: F32
    ddq_raw: F32
    temperature: U8
    lost: U32
    reserve: Annotated[Ints, ("u32", 2)]


@wire("unitree_go::msg::dds_::TimeSpec_")
class TimeSpec(Struct):
    """Seconds and nanoseconds."""

    __slots__ = ()
    sec: I32
    nanosec: U32


@wire("unitree_go::msg::dds_::PathPoint_")
class PathPoint(Struct):
    """One point of the planned path."""

    __slots__ = ()
    t_from_start: F32
    x: F32
    y: F32
    yaw: F32
    vx: F32
    vy: F32
    vyaw: F32


@wire("unitree_api::msg::dds_::RequestIdentity_")
class RequestIdentity(Struct):
    """Which request this is, and which function of the service it calls."""

    __slots__ = ()
    id: I64
    api_id: I64


@wire("unitree_api::msg::dds_::RequestLease_")
class RequestLease(Struct):
    """The lease under which the caller acts; 0 for none."""

    __slots__ = ()
    id: I64


@wire("unitree_api::msg::dds_::RequestPolicy_")
class RequestPolicy(Struct):
    """Priority, and whether an answer is wanted."""

    __slots__ = ()
    priority: I32
    noreply: Flag


@wire("unitree_api::msg::dds_::RequestHeader_")
class RequestHeader(Struct):
    """What stands before every request."""

    __slots__ = ()
    identity: Annotated[RequestIdentity, RequestIdentity]
    lease: Annotated[RequestLease, RequestLease]
    policy: Annotated[RequestPolicy, RequestPolicy]


@wire("unitree_api::msg::dds_::ResponseStatus_")
class ResponseStatus(Struct):
    """The service's result code, 0 for success."""

    __slots__ = ()
    code: I32


@wire("unitree_api::msg::dds_::ResponseHeader_")
class ResponseHeader(Struct):
    """What stands before every response: the request's identity and the result."""

    __slots__ = ()
    identity: Annotated[RequestIdentity, RequestIdentity]
    status: Annotated[ResponseStatus, ResponseStatus]
