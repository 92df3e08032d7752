"""Environments. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.envs.custom import CustomBatch as CustomBatch
    from rfx.envs.drift import Drift as Drift
    from rfx.envs.engines import engine_of as engine_of
    from rfx.envs.python_engine import PythonEngine as PythonEngine
    from rfx.envs.registration import make_vec as make_vec
    from rfx.envs.single import Transition as Transition
    from rfx.envs.spaces import Box as Box
    from rfx.envs.spaces import Dict as Dict
    from rfx.envs.spaces import Discrete as Discrete
    from rfx.envs.spaces import MultiBinary as MultiBinary
    from rfx.envs.spaces import MultiDiscrete as MultiDiscrete
    from rfx.envs.spaces import Space as Space
    from rfx.envs.spaces import from_gymnasium as from_gymnasium
    from rfx.envs.spaces import to_gymnasium as to_gymnasium
    from rfx.envs.stepping import StepBatch as StepBatch
    from rfx.envs.stepping import VecEnv as VecEnv
    from rfx.envs.vector import Acrobot as Acrobot
    from rfx.envs.vector import CartPole as CartPole
    from rfx.envs.vector import MountainCar as MountainCar
    from rfx.envs.vector import MountainCarContinuous as MountainCarContinuous
    from rfx.envs.vector import Pendulum as Pendulum
    from rfx.envs.vector import RLEnv as RLEnv
    from rfx.envs.worker_engine import WorkerEngine as WorkerEngine

# public name -> the module it lives in
_HOME = {
    "Acrobot": "rfx.envs.vector",
    "Box": "rfx.envs.spaces",
    "CartPole": "rfx.envs.vector",
    "CustomBatch": "rfx.envs.custom",
    "Dict": "rfx.envs.spaces",
    "Discrete": "rfx.envs.spaces",
    "Drift": "rfx.envs.drift",
    "engine_of": "rfx.envs.engines",
    "from_gymnasium": "rfx.envs.spaces",
    "make_vec": "rfx.envs.registration",
    "MountainCar": "rfx.envs.vector",
    "MountainCarContinuous": "rfx.envs.vector",
    "MultiBinary": "rfx.envs.spaces",
    "MultiDiscrete": "rfx.envs.spaces",
    "Pendulum": "rfx.envs.vector",
    "PythonEngine": "rfx.envs.python_engine",
    "RLEnv": "rfx.envs.vector",
    "Space": "rfx.envs.spaces",
    "StepBatch": "rfx.envs.stepping",
    "to_gymnasium": "rfx.envs.spaces",
    "WorkerEngine": "rfx.envs.worker_engine",
    "Transition": "rfx.envs.single",
    "VecEnv": "rfx.envs.stepping",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.envs' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
