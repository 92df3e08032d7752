"""rfx: from a trained robot policy to a Unitree Go2 that walks, and the data plane behind it.

The names below load on first use, so that ``import rfx`` is quick and needs no optional library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rfx._version import __version__

if TYPE_CHECKING:
    from rfx.buffers import ReplayBuffer as ReplayBuffer
    from rfx.control import ControlLoop as ControlLoop
    from rfx.control import ControlLoopHandle as ControlLoopHandle
    from rfx.control import ControlLoopStats as ControlLoopStats
    from rfx.control import Pid as Pid
    from rfx.control import PidArray as PidArray
    from rfx.control import PidConfig as PidConfig
    from rfx.control import StateMachine as StateMachine
    from rfx.control import run_control_loop as run_control_loop
    from rfx.errors import RfxError as RfxError
    from rfx.go2 import Go2 as Go2
    from rfx.go2 import Go2Config as Go2Config
    from rfx.go2 import Go2State as Go2State
    from rfx.math import ButterworthFilter as ButterworthFilter
    from rfx.math import DerivativeFilter as DerivativeFilter
    from rfx.math import LowPassFilter as LowPassFilter
    from rfx.math import MovingAverageFilter as MovingAverageFilter
    from rfx.math import Quaternion as Quaternion
    from rfx.math import Transform as Transform
    from rfx.math import Vector3Filter as Vector3Filter
    from rfx.robots import GO2 as GO2
    from rfx.robots import MOTOR_NAMES as MOTOR_NAMES
    from rfx.robots import JointConfig as JointConfig
    from rfx.robots import RobotConfig as RobotConfig
    from rfx.robots import motor_idx as motor_idx
    from rfx.robots import motor_index_by_name as motor_index_by_name
    from rfx.seeding import derive_seed as derive_seed
    from rfx.seeding import rng_from_seed as rng_from_seed
    from rfx.sim import make_plant as make_plant

# public name -> the room it lives in
_HOME = {
    "RfxError": "rfx.errors",
    "Quaternion": "rfx.math",
    "Transform": "rfx.math",
    "LowPassFilter": "rfx.math",
    "MovingAverageFilter": "rfx.math",
    "DerivativeFilter": "rfx.math",
    "Vector3Filter": "rfx.math",
    "ButterworthFilter": "rfx.math",
    "ReplayBuffer": "rfx.buffers",
    "ControlLoop": "rfx.control",
    "ControlLoopHandle": "rfx.control",
    "ControlLoopStats": "rfx.control",
    "Pid": "rfx.control",
    "PidArray": "rfx.control",
    "PidConfig": "rfx.control",
    "StateMachine": "rfx.control",
    "run_control_loop": "rfx.control",
    "Go2": "rfx.go2",
    "Go2Config": "rfx.go2",
    "Go2State": "rfx.go2",
    "GO2": "rfx.robots",
    "JointConfig": "rfx.robots",
    "RobotConfig": "rfx.robots",
    "MOTOR_NAMES": "rfx.robots",
    "motor_idx": "rfx.robots",
    "motor_index_by_name": "rfx.robots",
    "derive_seed": "rfx.seeding",
    "make_plant": "rfx.sim",
    "rng_from_seed": "rfx.seeding",
}
_ROOMS = ("arrays", "buffers", "control", "errors", "go2", "kernels", "math", "robots", "seeding", "sim")

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"rfx.{name}")
    else:
        raise AttributeError(f"module 'rfx' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_ROOMS})
