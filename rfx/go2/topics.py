"""Names and numbers that Unitree gave: topics, service functions, result codes."""

from enum import IntEnum

LOW_STATE = "rt/lowstate"
LOW_CMD = "rt/lowcmd"
SPORT_MODE_STATE = "rt/sportmodestate"
WIRELESS_CONTROLLER = "rt/wirelesscontroller"
SPORT_REQUEST = "rt/api/sport/request"
SPORT_RESPONSE = "rt/api/sport/response"
MOTION_SWITCHER_REQUEST = "rt/api/motion_switcher/request"
MOTION_SWITCHER_RESPONSE = "rt/api/motion_switcher/response"


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
    STATIC_WALK = 1061
    TROT_RUN = 1062


class RpcCode(IntEnum):
    """Result codes of calls (``header.status.code``, or found by the caller)."""

    OK = 0
    SEND_FAILED = 3102
    NOT_REGISTERED = 3103
    TIMEOUT = 3104
    API_MISMATCH = 3105
    SERVER = 3202
    NOT_IMPLEMENTED = 3203
    LEASE_DENIED = 3205
