"""The MuJoCo model behind the batched Go2: the robot of ``go2_model`` without its shell, PD in its motors, ground, feelers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import InvalidStateError
from rfx.robots.go2 import LEGS
from rfx.sim.go2_model import JOINTS, LINKS, model_xml
from rfx.sim.go2_task import Go2Task
from rfx.sim.mujoco_plant import load_mujoco

Array = NDArray[np.float64]

# Where a robot that is stepped at 5 ms should have what accuracy; 2 iterations leave visible errors, 10 cost a third more.
ITERATIONS, LINE_SEARCH = 5, 8
FEELERS = ("trunk", *(f"{leg}_{part}" for leg in LEGS for part in ("thigh", "calf", "foot")))


@dataclass(frozen=True)
class Scene:
    """A compiled model and where things are in it.

    Attributes
    ----------
    model : mujoco.MjModel
    heights : ndarray, shape (rows, columns), or None for a plane
        As the physics has them, m.
    trunk : int
        Body.
    feet : ndarray of int, shape (4,)
        Geoms, FR FL RR RL.
    links : ndarray of int, shape (13,)
        Bodies in the order of ``go2_model.LINKS``.
    """

    model: Any
    heights: Array | None
    trunk: int
    feet: NDArray[np.int64]
    links: NDArray[np.int64]


def build_scene(task: Go2Task) -> Scene:
    """Compile the model of a task; MissingDependencyError where MuJoCo is not installed."""
    mujoco = load_mujoco()
    spec = mujoco.MjSpec.from_string(model_xml())
    spec.option.timestep = task.timestep
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.impratio = 1.0
    spec.option.iterations, spec.option.ls_iterations = ITERATIONS, LINE_SEARCH
    for geom in list(spec.geoms):
        if geom.contype == 0 and geom.conaffinity == 0:
            spec.delete(geom)
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    kp, kd = task.policy.action.in_motor_order("kp"), task.policy.action.in_motor_order("kd")
    for motor, p, d in zip(spec.actuators, kp, kd, strict=True):
        motor.gainprm[0], motor.biasprm[1], motor.biasprm[2] = p, -p, -d
    for name in FEELERS:
        _feel(mujoco, spec, name)
    _lay_ground(mujoco, spec, task)
    return _find(spec.compile(), task)


def _feel(mujoco: Any, spec: Any, name: str) -> None:
    """A sensor of the force (world frame, summed over all contacts) between a body or a foot and whatever it touches."""
    sensor = spec.add_sensor()
    sensor.name, sensor.objname = f"{name}_force", name
    sensor.type = mujoco.mjtSensor.mjSENS_CONTACT
    sensor.objtype = mujoco.mjtObj.mjOBJ_GEOM if name.endswith("_foot") else mujoco.mjtObj.mjOBJ_BODY
    sensor.intprm[0] = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE)
    sensor.intprm[1], sensor.intprm[2] = 3, 1  # the net force of all contacts


def _lay_ground(mujoco: Any, spec: Any, task: Go2Task) -> None:
    terrain = task.ground
    if terrain.is_plane:
        return
    heights = terrain.heights()
    low, high = float(heights.min()), float(heights.max())
    long, wide = terrain.size
    field = spec.add_hfield()
    field.name, (field.nrow, field.ncol) = "ground", heights.shape
    field.size = [long / 2, wide / 2, max(high - low, 1e-3), 0.5]
    field.userdata = ((heights - low) / max(high - low, 1e-3)).astype(np.float32).ravel()
    floor = spec.geom("floor")
    floor.type, floor.hfieldname = mujoco.mjtGeom.mjGEOM_HFIELD, "ground"
    floor.pos = [0.0, 0.0, low]


def _find(model: Any, task: Go2Task) -> Scene:
    for i, name in enumerate(JOINTS):
        places = int(model.joint(name).qposadr[0]), int(model.joint(name).dofadr[0]), model.actuator(name).id
        if places != (7 + i, 6 + i, i):
            raise InvalidStateError(f"expected the joints of the model in motor order, {name} is at {places}")
    for i, name in enumerate(FEELERS):
        if int(model.sensor(f"{name}_force").adr[0]) != 3 * i:
            raise InvalidStateError(f"expected the sensors of the model in order, {name} is not")
    heights = None
    if not task.ground.is_plane:
        field = model.hfield("ground")
        rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
        low = float(model.geom("floor").pos[2])
        heights = low + float(field.size[2]) * np.asarray(model.hfield_data, np.float64).reshape(rows, columns)
    return Scene(
        model,
        heights,
        model.body("trunk").id,
        np.array([model.geom(f"{leg}_foot").id for leg in LEGS]),
        np.array([model.body(link).id for link in LINKS]),
    )
