"""Names and numbers that Unitree gave: topics, service functions, result codes, modes."""

from enum import IntEnum, IntFlag

LOW_STATE = "rt/lowstate"
LOW_CMD = "rt/lowcmd"
SPORT_MODE_STATE = "rt/sportmodestate"
WIRELESS_CONTROLLER = "rt/wirelesscontroller"

SPORT = "sport"
SPORT_LEASE = "sport_lease"
MOTION_SWITCHER = "motion_switcher"

SPORT_VERSION = "1.0.0.1"
MOTION_SWITCHER_VERSION = "1.0.0.1"


def request_topic(service: str) -> str:
    """Return where requests to a service go."""
    return f"rt/api/{service}/request"


def response_topic(service: str) -> str:
    """Return where a service answers."""
    return f"rt/api/{service}/response"


SPORT_REQUEST, SPORT_RESPONSE = request_topic(SPORT), response_topic(SPORT)
MOTION_SWITCHER_REQUEST, MOTION_SWITCHER_RESPONSE = request_topic(MOTION_SWITCHER), response_topic(MOTION_SWITCHER)


class ServiceApi(IntEnum):
    """Functions that every service has."""

    VERSION = 1
    LEASE_APPLY = 101
    LEASE_RENEWAL = 102


class SportApi(IntEnum):
    """Functions of the sport service (``header.identity.api_id``)."""

    DAMP = 1001
    BALANCE_STAND = 1002
    STOP_MOVE = 1003
    STAND_UP = 1004
    STAND_DOWN = 1005
    RECOVERY_STAND = 1006
    EULER = 1007
    MOVE = 1008
    SIT = 1009
    RISE_SIT = 1010
    SWITCH_GAIT = 1011
    BODY_HEIGHT = 1013
    FOOT_RAISE_HEIGHT = 1014
    SPEED_LEVEL = 1015
    HELLO = 1016
    STRETCH = 1017
    CONTINUOUS_GAIT = 1019
    WALLOW = 1021
    DANCE1 = 1022
    DANCE2 = 1023
    GET_BODY_HEIGHT = 1024
    GET_FOOT_RAISE_HEIGHT = 1025
    GET_SPEED_LEVEL = 1026
    SWITCH_JOYSTICK = 1027
    POSE = 1028
    SCRAPE = 1029
    FRONT_FLIP = 1030
    FRONT_JUMP = 1031
    FRONT_POUNCE = 1032
    WIGGLE_HIPS = 1033
    HEART = 1036
    STATIC_WALK = 1061
    TROT_RUN = 1062
    ECONOMIC_GAIT = 1063


class SwitcherApi(IntEnum):
    """Functions of the motion switcher, which says who drives the motors."""

    CHECK_MODE = 1001
    SELECT_MODE = 1002
    RELEASE_MODE = 1003
    SET_SILENT = 1004
    GET_SILENT = 1005


class RpcCode(IntEnum):
    """Result codes of calls (``header.status.code``, or found by the caller)."""

    OK = 0
    UNKNOWN = 3001
    SEND_FAILED = 3102
    NOT_REGISTERED = 3103
    TIMEOUT = 3104
    API_MISMATCH = 3105
    DATA = 3106
    LEASE_INVALID = 3107
    SERVER_SEND = 3201
    SERVER = 3202
    NOT_IMPLEMENTED = 3203
    PARAMETER = 3204
    LEASE_DENIED = 3205
    LEASE_NOT_EXIST = 3206
    LEASE_EXIST = 3207
    SPORT_PATH = 4101
    SPORT_OVERTIME = 4201
    SPORT_NOT_INIT = 4202


MEANING = {
    RpcCode.OK: "done",
    RpcCode.UNKNOWN: "unknown error",
    RpcCode.SEND_FAILED: "the request could not be sent",
    RpcCode.NOT_REGISTERED: "the caller does not know this function",
    RpcCode.TIMEOUT: "no answer in time",
    RpcCode.API_MISMATCH: "the answer belongs to another function",
    RpcCode.DATA: "the answer's data is not what was expected",
    RpcCode.LEASE_INVALID: "the caller has no lease",
    RpcCode.SERVER_SEND: "the robot could not send its answer",
    RpcCode.SERVER: "the robot's service refused or failed",
    RpcCode.NOT_IMPLEMENTED: "the robot does not have this function",
    RpcCode.PARAMETER: "the robot does not understand the parameter",
    RpcCode.LEASE_DENIED: "somebody else holds the lease",
    RpcCode.LEASE_NOT_EXIST: "the lease has run out",
    RpcCode.LEASE_EXIST: "somebody else holds a lease",
    RpcCode.SPORT_PATH: "the path does not have the right number of points",
    RpcCode.SPORT_OVERTIME: "the motion took too long",
    RpcCode.SPORT_NOT_INIT: "the sport service is not running (its mode was released)",
}


class SportModeId(IntEnum):
    """What ``SportModeState.mode`` says."""

    IDLE = 0
    BALANCE_STAND = 1
    POSE = 2
    LOCOMOTION = 3
    LIE_DOWN = 5
    JOINT_LOCK = 6
    DAMPING = 7
    RECOVERY_STAND = 8
    SIT = 10


class Key(IntFlag):
    """Buttons of the hand controller (``WirelessController.keys``)."""

    R1 = 1 << 0
    L1 = 1 << 1
    START = 1 << 2
    SELECT = 1 << 3
    R2 = 1 << 4
    L2 = 1 << 5
    F1 = 1 << 6
    F2 = 1 << 7
    A = 1 << 8
    B = 1 << 9
    X = 1 << 10
    Y = 1 << 11
    UP = 1 << 12
    RIGHT = 1 << 13
    DOWN = 1 << 14
    LEFT = 1 << 15


def meaning(code: int) -> str:
    """Return what a result code says, in words."""
    return MEANING.get(code, "a code that this version does not know")  # type: ignore[call-overload]
