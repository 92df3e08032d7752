"""The Unitree Go2 as plain data.

Motor order is Unitree's own: FR, FL, RR, RL, and in each leg hip, thigh, calf. Travel and torque limits agree with the
MuJoCo Menagerie model of the Go2; the rear thighs travel differently from the front ones.
"""

from types import SimpleNamespace

from rfx.robots.config import JointConfig, RobotConfig

LEGS = ("FR", "FL", "RR", "RL")
PARTS = ("hip", "thigh", "calf")
NUM_MOTORS = 12
MOTOR_NAMES = tuple(f"{leg}_{part}" for leg in LEGS for part in PARTS)

# name -> index, as attributes: motor_idx.FR_HIP == 0
motor_idx = SimpleNamespace(NUM_MOTORS=NUM_MOTORS, **{name.upper(): i for i, name in enumerate(MOTOR_NAMES)})

_TRAVEL = {
    ("F", "hip"): (-1.0472, 1.0472),
    ("R", "hip"): (-1.0472, 1.0472),
    ("F", "thigh"): (-1.5708, 3.4907),
    ("R", "thigh"): (-0.5236, 4.5379),
    ("F", "calf"): (-2.7227, -0.83776),
    ("R", "calf"): (-2.7227, -0.83776),
}
_SPEED = {"hip": 30.1, "thigh": 30.1, "calf": 15.7}
_TORQUE = {"hip": 23.7, "thigh": 23.7, "calf": 45.43}


def motor_index_by_name(name: str) -> int | None:
    """Return where the motor stands in motor order, or None for an unknown name."""
    return MOTOR_NAMES.index(name) if name in MOTOR_NAMES else None


def _joint(index: int, name: str) -> JointConfig:
    leg, part = name.split("_")
    low, high = _TRAVEL[leg[0], part]
    return JointConfig(name, index, low, high, _SPEED[part], _TORQUE[part])


GO2 = RobotConfig(
    name="go2",
    joints=tuple(_joint(i, name) for i, name in enumerate(MOTOR_NAMES)),
    poses={
        "stand": (-0.1, 0.8, -1.6, 0.1, 0.8, -1.6) * 2,  # a stance that takes a push well
        # legs folded and spread, the last pose of Unitree's low-level stand example
        "lie": (-0.35, 1.36, -2.65, 0.35, 1.36, -2.65, -0.5, 1.36, -2.65, 0.5, 1.36, -2.65),
    },
)
