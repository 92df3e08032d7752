"""rfx: from a trained robot policy to a Unitree Go2 that walks, and the data plane behind it.

The names below load on first use, so that ``import rfx`` is quick and needs no optional library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rfx._version import __version__

if TYPE_CHECKING:
    from rfx.buffers import ConcurrentReplayBuffer as ConcurrentReplayBuffer
    from rfx.buffers import EpisodeTracker as EpisodeTracker
    from rfx.buffers import ExperienceTable as ExperienceTable
    from rfx.buffers import FrameStackReplayBuffer as FrameStackReplayBuffer
    from rfx.buffers import HERBuffer as HERBuffer
    from rfx.buffers import MixedSampler as MixedSampler
    from rfx.buffers import MmapReplayBuffer as MmapReplayBuffer
    from rfx.buffers import OfflineDataset as OfflineDataset
    from rfx.buffers import PrioritizedReplayBuffer as PrioritizedReplayBuffer
    from rfx.buffers import ReplayBuffer as ReplayBuffer
    from rfx.buffers import SequenceReplayBuffer as SequenceReplayBuffer
    from rfx.buffers import sample_mixed as sample_mixed
    from rfx.control import ControlLoop as ControlLoop
    from rfx.control import ControlLoopHandle as ControlLoopHandle
    from rfx.control import ControlLoopStats as ControlLoopStats
    from rfx.control import Pid as Pid
    from rfx.control import PidArray as PidArray
    from rfx.control import PidConfig as PidConfig
    from rfx.control import StateMachine as StateMachine
    from rfx.control import run_control_loop as run_control_loop
    from rfx.envs import CartPole as CartPole
    from rfx.envs import Pendulum as Pendulum
    from rfx.envs import VecEnv as VecEnv
    from rfx.errors import RfxError as RfxError
    from rfx.estimators import ImageAugmentation as ImageAugmentation
    from rfx.estimators import RandomShift as RandomShift
    from rfx.estimators import RunningStats as RunningStats
    from rfx.estimators import RunningStatsVec as RunningStatsVec
    from rfx.estimators import average_weight_vectors as average_weight_vectors
    from rfx.estimators import compute_gae as compute_gae
    from rfx.estimators import compute_vtrace as compute_vtrace
    from rfx.estimators import discounted_returns as discounted_returns
    from rfx.estimators import gae as gae
    from rfx.estimators import n_step_returns as n_step_returns
    from rfx.estimators import polyak_update as polyak_update
    from rfx.estimators import random_shift as random_shift
    from rfx.estimators import reptile_update as reptile_update
    from rfx.estimators import retrace as retrace
    from rfx.estimators import shape_rewards_pbrs as shape_rewards_pbrs
    from rfx.estimators import td_lambda as td_lambda
    from rfx.estimators import upgo as upgo
    from rfx.estimators import vtrace as vtrace
    from rfx.go2 import Go2 as Go2
    from rfx.go2 import Go2Config as Go2Config
    from rfx.go2 import Go2State as Go2State
    from rfx.llm import DPOPair as DPOPair
    from rfx.llm import VarLenStore as VarLenStore
    from rfx.llm import compute_group_advantages as compute_group_advantages
    from rfx.llm import compute_token_kl as compute_token_kl
    from rfx.llm import group_advantages as group_advantages
    from rfx.llm import pack_sequences as pack_sequences
    from rfx.llm import token_kl as token_kl
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
    "CartPole": "rfx.envs",
    "Pendulum": "rfx.envs",
    "VecEnv": "rfx.envs",
    "Quaternion": "rfx.math",
    "Transform": "rfx.math",
    "LowPassFilter": "rfx.math",
    "MovingAverageFilter": "rfx.math",
    "DerivativeFilter": "rfx.math",
    "Vector3Filter": "rfx.math",
    "ButterworthFilter": "rfx.math",
    "ReplayBuffer": "rfx.buffers",
    "PrioritizedReplayBuffer": "rfx.buffers",
    "SequenceReplayBuffer": "rfx.buffers",
    "HERBuffer": "rfx.buffers",
    "ConcurrentReplayBuffer": "rfx.buffers",
    "MmapReplayBuffer": "rfx.buffers",
    "FrameStackReplayBuffer": "rfx.buffers",
    "ExperienceTable": "rfx.buffers",
    "EpisodeTracker": "rfx.buffers",
    "OfflineDataset": "rfx.buffers",
    "MixedSampler": "rfx.buffers",
    "sample_mixed": "rfx.buffers",
    "gae": "rfx.estimators",
    "compute_gae": "rfx.estimators",
    "vtrace": "rfx.estimators",
    "compute_vtrace": "rfx.estimators",
    "discounted_returns": "rfx.estimators",
    "n_step_returns": "rfx.estimators",
    "td_lambda": "rfx.estimators",
    "retrace": "rfx.estimators",
    "upgo": "rfx.estimators",
    "RunningStats": "rfx.estimators",
    "RunningStatsVec": "rfx.estimators",
    "shape_rewards_pbrs": "rfx.estimators",
    "polyak_update": "rfx.estimators",
    "reptile_update": "rfx.estimators",
    "average_weight_vectors": "rfx.estimators",
    "random_shift": "rfx.estimators",
    "RandomShift": "rfx.estimators",
    "ImageAugmentation": "rfx.estimators",
    "compute_group_advantages": "rfx.llm",
    "group_advantages": "rfx.llm",
    "compute_token_kl": "rfx.llm",
    "token_kl": "rfx.llm",
    "VarLenStore": "rfx.llm",
    "pack_sequences": "rfx.llm",
    "DPOPair": "rfx.llm",
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
_ROOMS = (
    "arrays",
    "buffers",
    "control",
    "envs",
    "errors",
    "estimators",
    "go2",
    "kernels",
    "llm",
    "math",
    "robots",
    "seeding",
    "sim",
)

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
