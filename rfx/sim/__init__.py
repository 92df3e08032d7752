"""The simulated Go2: MuJoCo physics where MuJoCo is installed, a joint-space stand-in where it is not.

    >>> from rfx.sim import JointCommand, make_plant
    >>> with make_plant("joint") as plant:
    ...     state = plant.step(JointCommand(q=plant.state.q, kp=60, kd=5), n=10)
    >>> round(state.time, 3)
    0.02

Names load on first use; MuJoCo is imported only when a plant that needs it is made.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from rfx.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from rfx.sim.backends import MockSimBackend as MockSimBackend
    from rfx.sim.backends import PhysicsConfig as PhysicsConfig
    from rfx.sim.backends import PlantSimBackend as PlantSimBackend
    from rfx.sim.backends import SimBackend as SimBackend
    from rfx.sim.backends import SimConfig as SimConfig
    from rfx.sim.backends import SimState as SimState
    from rfx.sim.backends import make_backend as make_backend
    from rfx.sim.gait import GaitController as GaitController
    from rfx.sim.go2_env import Go2Batch as Go2Batch
    from rfx.sim.go2_faces import Go2Env as Go2Env
    from rfx.sim.go2_faces import Go2VecEnv as Go2VecEnv
    from rfx.sim.go2_task import RANDOMISATIONS as RANDOMISATIONS
    from rfx.sim.go2_task import REWARD_TERMS as REWARD_TERMS
    from rfx.sim.go2_task import TASKS as TASKS
    from rfx.sim.go2_task import Commands as Commands
    from rfx.sim.go2_task import Go2Task as Go2Task
    from rfx.sim.go2_task import Randomisation as Randomisation
    from rfx.sim.go2_task import Rewards as Rewards
    from rfx.sim.go2_task import Start as Start
    from rfx.sim.go2_task import Termination as Termination
    from rfx.sim.joint_plant import JointSpacePlant as JointSpacePlant
    from rfx.sim.mujoco_plant import MujocoPlant as MujocoPlant
    from rfx.sim.odometry import VelocityEstimator as VelocityEstimator
    from rfx.sim.plant import JointCommand as JointCommand
    from rfx.sim.plant import Plant as Plant
    from rfx.sim.plant import PlantState as PlantState
    from rfx.sim.render import Camera as Camera
    from rfx.sim.task_data import task_from_dict as task_from_dict
    from rfx.sim.task_data import task_to_dict as task_to_dict
    from rfx.sim.terrain import TERRAINS as TERRAINS
    from rfx.sim.terrain import Terrain as Terrain

_HOME = {
    "Camera": "render",
    "Commands": "go2_task",
    "Go2Batch": "go2_env",
    "Go2Env": "go2_faces",
    "Go2Task": "go2_task",
    "Go2VecEnv": "go2_faces",
    "GaitController": "gait",
    "VelocityEstimator": "odometry",
    "JointCommand": "plant",
    "JointSpacePlant": "joint_plant",
    "make_backend": "backends",
    "MockSimBackend": "backends",
    "MujocoPlant": "mujoco_plant",
    "PhysicsConfig": "backends",
    "Plant": "plant",
    "PlantSimBackend": "backends",
    "PlantState": "plant",
    "Randomisation": "go2_task",
    "RANDOMISATIONS": "go2_task",
    "REWARD_TERMS": "go2_task",
    "Rewards": "go2_task",
    "SimBackend": "backends",
    "SimConfig": "backends",
    "SimState": "backends",
    "Start": "go2_task",
    "task_from_dict": "task_data",
    "task_to_dict": "task_data",
    "TASKS": "go2_task",
    "Termination": "go2_task",
    "Terrain": "terrain",
    "TERRAINS": "terrain",
}

__all__ = [
    "RANDOMISATIONS",
    "REWARD_TERMS",
    "TASKS",
    "TERRAINS",
    "Camera",
    "Commands",
    "GaitController",
    "Go2Batch",
    "Go2Env",
    "Go2Task",
    "Go2VecEnv",
    "JointCommand",
    "JointSpacePlant",
    "MockSimBackend",
    "MujocoPlant",
    "PhysicsConfig",
    "Plant",
    "PlantSimBackend",
    "PlantState",
    "Randomisation",
    "Rewards",
    "SimBackend",
    "SimConfig",
    "SimState",
    "Start",
    "Termination",
    "Terrain",
    "VelocityEstimator",
    "make_backend",
    "make_plant",
    "task_from_dict",
    "task_to_dict",
]


def make_plant(name: str = "auto") -> "Plant":
    """Make a simulated Go2.

    Parameters
    ----------
    name : {"auto", "mujoco", "joint"}
        "auto" takes MuJoCo where it is installed, else the stand-in, whose ``description`` then says why.

    Raises
    ------
    ConfigError
        Another name.
    MissingDependencyError
        "mujoco" was asked for and is not installed.
    """
    if name not in ("auto", "mujoco", "joint"):
        raise ConfigError(f"expected name to be 'auto', 'mujoco' or 'joint', got {name!r}")
    joint = importlib.import_module("rfx.sim.joint_plant")
    if name == "joint":
        return joint.JointSpacePlant()
    try:
        return importlib.import_module("rfx.sim.mujoco_plant").MujocoPlant()
    except MissingDependencyError as error:
        if name == "mujoco":
            raise
        plant = joint.JointSpacePlant()
        plant.description += f"; chosen because {error}"
        return plant


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.sim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"rfx.sim.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
