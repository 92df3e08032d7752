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
    from rfx.sim.gait import GaitController as GaitController
    from rfx.sim.joint_plant import JointSpacePlant as JointSpacePlant
    from rfx.sim.mujoco_plant import MujocoPlant as MujocoPlant
    from rfx.sim.plant import JointCommand as JointCommand
    from rfx.sim.plant import Plant as Plant
    from rfx.sim.plant import PlantState as PlantState
    from rfx.sim.render import Camera as Camera

_HOME = {
    "Camera": "render",
    "GaitController": "gait",
    "JointCommand": "plant",
    "JointSpacePlant": "joint_plant",
    "MujocoPlant": "mujoco_plant",
    "Plant": "plant",
    "PlantState": "plant",
}

__all__ = [
    "Camera",
    "GaitController",
    "JointCommand",
    "JointSpacePlant",
    "MujocoPlant",
    "Plant",
    "PlantState",
    "make_plant",
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
