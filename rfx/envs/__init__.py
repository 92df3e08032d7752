"""Environments. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.envs.engines import engine_of as engine_of
    from rfx.envs.python_engine import PythonEngine as PythonEngine
    from rfx.envs.registration import make_vec as make_vec
    from rfx.envs.spaces import Box as Box
    from rfx.envs.spaces import Dict as Dict
    from rfx.envs.spaces import Discrete as Discrete
    from rfx.envs.spaces import MultiBinary as MultiBinary
    from rfx.envs.spaces import MultiDiscrete as MultiDiscrete
    from rfx.envs.spaces import Space as Space
    from rfx.envs.spaces import from_gymnasium as from_gymnasium
    from rfx.envs.spaces import to_gymnasium as to_gymnasium
    from rfx.envs.vector import CartPole as CartPole
    from rfx.envs.vector import Pendulum as Pendulum
    from rfx.envs.vector import RLEnv as RLEnv
    from rfx.envs.vector import StepBatch as StepBatch
    from rfx.envs.vector import Transition as Transition
    from rfx.envs.vector import VecEnv as VecEnv
    from rfx.envs.worker_engine import WorkerEngine as WorkerEngine

# public name -> the module it lives in
_HOME = {
    "Box": "rfx.envs.spaces",
    "CartPole": "rfx.envs.vector",
    "Dict": "rfx.envs.spaces",
    "Discrete": "rfx.envs.spaces",
    "engine_of": "rfx.envs.engines",
    "from_gymnasium": "rfx.envs.spaces",
    "make_vec": "rfx.envs.registration",
    "MultiBinary": "rfx.envs.spaces",
    "MultiDiscrete": "rfx.envs.spaces",
    "Pendulum": "rfx.envs.vector",
    "PythonEngine": "rfx.envs.python_engine",
    "RLEnv": "rfx.envs.vector",
    "Space": "rfx.envs.spaces",
    "StepBatch": "rfx.envs.vector",
    "to_gymnasium": "rfx.envs.spaces",
    "Transition": "rfx.envs.vector",
    "VecEnv": "rfx.envs.vector",
    "WorkerEngine": "rfx.envs.worker_engine",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.envs' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
