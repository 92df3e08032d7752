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
    from rfx.comm import Discovery as Discovery
    from rfx.comm import Effect as Effect
    from rfx.comm import KeyExpr as KeyExpr
    from rfx.comm import NodeRobot as NodeRobot
    from rfx.comm import NodeState as NodeState
    from rfx.comm import Parameter as Parameter
    from rfx.comm import ParameterClient as ParameterClient
    from rfx.comm import ParameterServer as ParameterServer
    from rfx.comm import QoS as QoS
    from rfx.comm import Receiver as Receiver
    from rfx.comm import RobotClient as RobotClient
    from rfx.comm import RobotNode as RobotNode
    from rfx.comm import Sender as Sender
    from rfx.comm import Service as Service
    from rfx.comm import ServiceClient as ServiceClient
    from rfx.comm import ServiceError as ServiceError
    from rfx.comm import ServiceGoneError as ServiceGoneError
    from rfx.comm import Stream as Stream
    from rfx.comm import Topic as Topic
    from rfx.comm import Transport as Transport
    from rfx.comm import TransportEnvelope as TransportEnvelope
    from rfx.comm import TransportSubscription as TransportSubscription
    from rfx.comm import channel as channel
    from rfx.comm import list_nodes as list_nodes
    from rfx.control import ControlLoop as ControlLoop
    from rfx.control import ControlLoopHandle as ControlLoopHandle
    from rfx.control import ControlLoopStats as ControlLoopStats
    from rfx.control import Pid as Pid
    from rfx.control import PidArray as PidArray
    from rfx.control import PidConfig as PidConfig
    from rfx.control import StateMachine as StateMachine
    from rfx.control import run_control_loop as run_control_loop
    from rfx.envs import Acrobot as Acrobot
    from rfx.envs import Box as Box
    from rfx.envs import CartPole as CartPole
    from rfx.envs import Discrete as Discrete
    from rfx.envs import Drift as Drift
    from rfx.envs import MountainCar as MountainCar
    from rfx.envs import MountainCarContinuous as MountainCarContinuous
    from rfx.envs import Pendulum as Pendulum
    from rfx.envs import Transition as Transition
    from rfx.envs import VecEnv as VecEnv
    from rfx.envs import make_vec as make_vec
    from rfx.errors import RfxError as RfxError
    from rfx.estimators import EmaRunningStats as EmaRunningStats
    from rfx.estimators import EmaRunningStatsVec as EmaRunningStatsVec
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
    from rfx.go2 import Fault as Fault
    from rfx.go2 import Faults as Faults
    from rfx.go2 import FlightLog as FlightLog
    from rfx.go2 import Go2 as Go2
    from rfx.go2 import Go2BackendHint as Go2BackendHint
    from rfx.go2 import Go2Config as Go2Config
    from rfx.go2 import Go2State as Go2State
    from rfx.go2 import McapReader as McapReader
    from rfx.go2 import PolicyRun as PolicyRun
    from rfx.go2 import RecordedBackend as RecordedBackend
    from rfx.go2 import RpcError as RpcError
    from rfx.go2 import SafetyEnvelope as SafetyEnvelope
    from rfx.go2 import SafetyLimits as SafetyLimits
    from rfx.go2 import SimulatedGo2 as SimulatedGo2
    from rfx.go2 import check_log as check_log
    from rfx.go2 import free_domain as free_domain
    from rfx.go2 import replay_commands as replay_commands
    from rfx.go2 import run_policy as run_policy
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
    from rfx.nn import MLP as MLP
    from rfx.nn import ActorCritic as ActorCritic
    from rfx.nn import CompiledPolicy as CompiledPolicy
    from rfx.nn import JitPolicy as JitPolicy
    from rfx.nn import ObservationNormalizer as ObservationNormalizer
    from rfx.nn import Policy as Policy
    from rfx.nn import PolicyContract as PolicyContract
    from rfx.nn import TorchJitPolicy as TorchJitPolicy
    from rfx.nn import check_policy as check_policy
    from rfx.nn import go2_actor_critic as go2_actor_critic
    from rfx.nn import go2_mlp as go2_mlp
    from rfx.nn import register_policy as register_policy
    from rfx.robots import GO2 as GO2
    from rfx.robots import LAYOUTS as LAYOUTS
    from rfx.robots import MOTOR_NAMES as MOTOR_NAMES
    from rfx.robots import JointConfig as JointConfig
    from rfx.robots import PolicyLayout as PolicyLayout
    from rfx.robots import RobotConfig as RobotConfig
    from rfx.robots import motor_idx as motor_idx
    from rfx.robots import motor_index_by_name as motor_index_by_name
    from rfx.robots import policy_layout as policy_layout
    from rfx.seeding import derive_seed as derive_seed
    from rfx.seeding import rng_from_seed as rng_from_seed
    from rfx.sim import GaitController as GaitController
    from rfx.sim import Go2Env as Go2Env
    from rfx.sim import Go2Task as Go2Task
    from rfx.sim import Go2VecEnv as Go2VecEnv
    from rfx.sim import MockSimBackend as MockSimBackend
    from rfx.sim import PhysicsConfig as PhysicsConfig
    from rfx.sim import SimConfig as SimConfig
    from rfx.sim import SimState as SimState
    from rfx.sim import VelocityEstimator as VelocityEstimator
    from rfx.sim import make_plant as make_plant
    from rfx.skills import Agent as Agent
    from rfx.skills import AgentConfig as AgentConfig
    from rfx.skills import AgentResult as AgentResult
    from rfx.skills import AuditLog as AuditLog
    from rfx.skills import Bound as Bound
    from rfx.skills import CancelToken as CancelToken
    from rfx.skills import GaitGo2 as GaitGo2
    from rfx.skills import Go2Skills as Go2Skills
    from rfx.skills import KinematicGo2 as KinematicGo2
    from rfx.skills import Length as Length
    from rfx.skills import MockAgent as MockAgent
    from rfx.skills import MockModel as MockModel
    from rfx.skills import ScriptedServer as ScriptedServer
    from rfx.skills import ServerTurn as ServerTurn
    from rfx.skills import Skill as Skill
    from rfx.skills import SkillCancelled as SkillCancelled
    from rfx.skills import SkillError as SkillError
    from rfx.skills import SkillLimits as SkillLimits
    from rfx.skills import SkillRegistry as SkillRegistry
    from rfx.skills import SkillResult as SkillResult
    from rfx.skills import SkillServer as SkillServer
    from rfx.skills import Transcript as Transcript
    from rfx.skills import skill as skill

# public name -> the room it lives in
_HOME = {
    "ConcurrentReplayBuffer": "rfx.buffers",
    "EpisodeTracker": "rfx.buffers",
    "ExperienceTable": "rfx.buffers",
    "FrameStackReplayBuffer": "rfx.buffers",
    "HERBuffer": "rfx.buffers",
    "MixedSampler": "rfx.buffers",
    "MmapReplayBuffer": "rfx.buffers",
    "OfflineDataset": "rfx.buffers",
    "PrioritizedReplayBuffer": "rfx.buffers",
    "ReplayBuffer": "rfx.buffers",
    "SequenceReplayBuffer": "rfx.buffers",
    "sample_mixed": "rfx.buffers",
    "Discovery": "rfx.comm",
    "Effect": "rfx.comm",
    "KeyExpr": "rfx.comm",
    "NodeRobot": "rfx.comm",
    "NodeState": "rfx.comm",
    "Parameter": "rfx.comm",
    "ParameterClient": "rfx.comm",
    "ParameterServer": "rfx.comm",
    "QoS": "rfx.comm",
    "Receiver": "rfx.comm",
    "RobotClient": "rfx.comm",
    "RobotNode": "rfx.comm",
    "Sender": "rfx.comm",
    "Service": "rfx.comm",
    "ServiceClient": "rfx.comm",
    "ServiceError": "rfx.comm",
    "ServiceGoneError": "rfx.comm",
    "Stream": "rfx.comm",
    "Topic": "rfx.comm",
    "Transport": "rfx.comm",
    "TransportEnvelope": "rfx.comm",
    "TransportSubscription": "rfx.comm",
    "channel": "rfx.comm",
    "list_nodes": "rfx.comm",
    "ControlLoop": "rfx.control",
    "ControlLoopHandle": "rfx.control",
    "ControlLoopStats": "rfx.control",
    "Pid": "rfx.control",
    "PidArray": "rfx.control",
    "PidConfig": "rfx.control",
    "StateMachine": "rfx.control",
    "run_control_loop": "rfx.control",
    "Acrobot": "rfx.envs",
    "Box": "rfx.envs",
    "CartPole": "rfx.envs",
    "Discrete": "rfx.envs",
    "Drift": "rfx.envs",
    "MountainCar": "rfx.envs",
    "MountainCarContinuous": "rfx.envs",
    "Pendulum": "rfx.envs",
    "Transition": "rfx.envs",
    "VecEnv": "rfx.envs",
    "make_vec": "rfx.envs",
    "RfxError": "rfx.errors",
    "EmaRunningStats": "rfx.estimators",
    "EmaRunningStatsVec": "rfx.estimators",
    "ImageAugmentation": "rfx.estimators",
    "RandomShift": "rfx.estimators",
    "RunningStats": "rfx.estimators",
    "RunningStatsVec": "rfx.estimators",
    "average_weight_vectors": "rfx.estimators",
    "compute_gae": "rfx.estimators",
    "compute_vtrace": "rfx.estimators",
    "discounted_returns": "rfx.estimators",
    "gae": "rfx.estimators",
    "n_step_returns": "rfx.estimators",
    "polyak_update": "rfx.estimators",
    "random_shift": "rfx.estimators",
    "reptile_update": "rfx.estimators",
    "retrace": "rfx.estimators",
    "shape_rewards_pbrs": "rfx.estimators",
    "td_lambda": "rfx.estimators",
    "upgo": "rfx.estimators",
    "vtrace": "rfx.estimators",
    "Fault": "rfx.go2",
    "Faults": "rfx.go2",
    "FlightLog": "rfx.go2",
    "Go2": "rfx.go2",
    "Go2BackendHint": "rfx.go2",
    "Go2Config": "rfx.go2",
    "Go2State": "rfx.go2",
    "McapReader": "rfx.go2",
    "PolicyRun": "rfx.go2",
    "RecordedBackend": "rfx.go2",
    "RpcError": "rfx.go2",
    "SafetyEnvelope": "rfx.go2",
    "SafetyLimits": "rfx.go2",
    "SimulatedGo2": "rfx.go2",
    "check_log": "rfx.go2",
    "free_domain": "rfx.go2",
    "replay_commands": "rfx.go2",
    "run_policy": "rfx.go2",
    "DPOPair": "rfx.llm",
    "VarLenStore": "rfx.llm",
    "compute_group_advantages": "rfx.llm",
    "compute_token_kl": "rfx.llm",
    "group_advantages": "rfx.llm",
    "pack_sequences": "rfx.llm",
    "token_kl": "rfx.llm",
    "ButterworthFilter": "rfx.math",
    "DerivativeFilter": "rfx.math",
    "LowPassFilter": "rfx.math",
    "MovingAverageFilter": "rfx.math",
    "Quaternion": "rfx.math",
    "Transform": "rfx.math",
    "Vector3Filter": "rfx.math",
    "ActorCritic": "rfx.nn",
    "CompiledPolicy": "rfx.nn",
    "JitPolicy": "rfx.nn",
    "MLP": "rfx.nn",
    "ObservationNormalizer": "rfx.nn",
    "Policy": "rfx.nn",
    "PolicyContract": "rfx.nn",
    "TorchJitPolicy": "rfx.nn",
    "check_policy": "rfx.nn",
    "go2_actor_critic": "rfx.nn",
    "go2_mlp": "rfx.nn",
    "register_policy": "rfx.nn",
    "GO2": "rfx.robots",
    "JointConfig": "rfx.robots",
    "LAYOUTS": "rfx.robots",
    "MOTOR_NAMES": "rfx.robots",
    "PolicyLayout": "rfx.robots",
    "RobotConfig": "rfx.robots",
    "motor_idx": "rfx.robots",
    "motor_index_by_name": "rfx.robots",
    "policy_layout": "rfx.robots",
    "derive_seed": "rfx.seeding",
    "rng_from_seed": "rfx.seeding",
    "GaitController": "rfx.sim",
    "Go2Env": "rfx.sim",
    "Go2Task": "rfx.sim",
    "Go2VecEnv": "rfx.sim",
    "MockSimBackend": "rfx.sim",
    "PhysicsConfig": "rfx.sim",
    "SimConfig": "rfx.sim",
    "SimState": "rfx.sim",
    "VelocityEstimator": "rfx.sim",
    "make_plant": "rfx.sim",
    "Agent": "rfx.skills",
    "AgentConfig": "rfx.skills",
    "AgentResult": "rfx.skills",
    "AuditLog": "rfx.skills",
    "Bound": "rfx.skills",
    "CancelToken": "rfx.skills",
    "GaitGo2": "rfx.skills",
    "Go2Skills": "rfx.skills",
    "KinematicGo2": "rfx.skills",
    "Length": "rfx.skills",
    "MockAgent": "rfx.skills",
    "MockModel": "rfx.skills",
    "ScriptedServer": "rfx.skills",
    "ServerTurn": "rfx.skills",
    "Skill": "rfx.skills",
    "SkillCancelled": "rfx.skills",
    "SkillError": "rfx.skills",
    "SkillLimits": "rfx.skills",
    "SkillRegistry": "rfx.skills",
    "SkillResult": "rfx.skills",
    "SkillServer": "rfx.skills",
    "Transcript": "rfx.skills",
    "skill": "rfx.skills",
}
_ROOMS = (
    "arrays",
    "buffers",
    "comm",
    "control",
    "envs",
    "errors",
    "estimators",
    "go2",
    "kernels",
    "llm",
    "math",
    "nn",
    "robots",
    "seeding",
    "sim",
    "skills",
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
