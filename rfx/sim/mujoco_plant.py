"""The Go2 in MuJoCo: a free trunk on a floor, twelve motors whose law MuJoCo itself evaluates at every step."""

import importlib
import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import InvalidStateError, InvalidValueError, MissingDependencyError
from rfx.sim.go2_model import JOINTS, LEGS, LINKS, model_xml
from rfx.sim.kinematics import standing_height
from rfx.sim.plant import (
    N_MOTORS,
    TIMESTEP,
    Array,
    JointCommand,
    PlantState,
    Pose,
    checked_push,
    checked_steps,
    joint_pose,
)
from rfx.sim.render import Camera, draw

SETTLE_STEPS = 500
CLEARANCE = 0.01  # how far above the floor the feet of the standing pose start (m)
SIGNS = np.array([1.0, -1.0, -1.0])  # MuJoCo adds the terms of its bias, the law takes them off
CHUNK = 250  # steps between two looks at signals, so that Ctrl+C gets through a long step


def load_mujoco() -> Any:
    """Import MuJoCo, or raise MissingDependencyError with what to install."""
    try:
        return importlib.import_module("mujoco")
    except ImportError as error:
        raise MissingDependencyError(
            f"the MuJoCo simulation needs MuJoCo, which is not installed ({error}); install rfx[sim], or mujoco-core"
        ) from error


class MujocoPlant:
    """A Go2 that stands, falls and can be pushed; see :class:`rfx.sim.Plant` for the methods.

    Physics at 500 Hz, integrated with MuJoCo's ``implicitfast``: the damping of the motors is taken implicitly, so high
    gains stay stable. Same inputs give the same bytes. Starts lying on the floor, at rest.

    Raises
    ------
    MissingDependencyError
        MuJoCo is not installed (``rfx[sim]``).
    """

    name = "mujoco"
    timestep = TIMESTEP
    can_fall = True

    def __init__(self) -> None:
        self._mujoco = mujoco = load_mujoco()
        self.description = (
            f"MuJoCo {mujoco.__version__} physics of a Go2 made of primitives, free to fall, on a flat floor"
        )
        self._lock = threading.Lock()
        self._model = model = mujoco.MjModel.from_xml_string(model_xml())
        self._data = mujoco.MjData(model)
        self._full = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._trunk = model.body("trunk").id
        self._bodies = np.array([model.body(link).id for link in LINKS])
        # Names, never indices: where each motor's joint lies in qpos and qvel, and its actuator.
        self._qpos = _run([int(model.joint(name).qposadr[0]) for name in JOINTS])
        self._qvel = _run([int(model.joint(name).dofadr[0]) for name in JOINTS])
        self._motor = _run([model.actuator(name).id for name in JOINTS])
        self._touch = _run([int(model.sensor(f"{leg}_force").adr[0]) for leg in LEGS])
        self._bias = model.actuator_biasprm[self._motor, :3]  # a view: what is written here is the law of the motors
        self._accelerometer = int(model.sensor("accelerometer").adr[0])
        self._law = np.zeros((N_MOTORS, 3))
        self._total_mass = float(model.body_mass.sum())
        self._steps = 0
        self._push_steps = 0
        self._resting: Array | None = None
        self._closed = False
        self.reset()

    @property
    def total_mass(self) -> float:
        """Mass of the robot in kg."""
        return self._total_mass

    @property
    def model(self) -> Any:
        """The ``mujoco.MjModel``, for those who want to look inside."""
        return self._model

    @property
    def state(self) -> PlantState:
        with self._lock:
            self._check_open()
            return self._snapshot()

    def _snapshot(self) -> PlantState:
        d = self._data
        qpos, qvel, sensors = d.qpos.copy(), d.qvel.copy(), d.sensordata.copy()
        at = self._accelerometer
        velocity = qvel[:3]
        return PlantState(
            time=self._steps * TIMESTEP,
            steps=self._steps,
            q=qpos[self._qpos],
            dq=qvel[self._qvel],
            ddq=d.qacc[self._qvel].copy(),
            tau_est=d.actuator_force[self._motor].copy(),
            quaternion=qpos[3:7],
            gyroscope=qvel[3:6],
            accelerometer=sensors[at : at + 3],
            position=qpos[:3],
            velocity=velocity,
            velocity_body=_into_body(qpos[3:7], velocity),
            foot_force=sensors[self._touch],
        )

    def reset(self, pose: Pose = "lie") -> PlantState:
        """Put the robot at rest on the floor (``"lie"``) or in the standing pose just above it (``"stand"``)."""
        joints = joint_pose(pose)
        with self._lock:
            self._check_open()
            if pose == "lie" and self._resting is None:
                self._resting = self._settle(joints)
            self._place(joints, standing_height(joints) + CLEARANCE)
            if pose == "lie":
                self._data.qpos[:] = self._resting
            self._law[:] = 0.0
            self._write_law(self._law)
            self._mujoco.mj_forward(self._model, self._data)
            return self._snapshot()

    def _place(self, joints: Array, height: float) -> None:
        self._mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:7] = 0.0, 0.0, height, 1.0, 0.0, 0.0, 0.0
        self._data.qpos[self._qpos] = joints
        self._steps = self._push_steps = 0

    def _settle(self, joints: Array) -> Array:
        """Let the robot sink to the floor from just above it, motors braking, and return where it came to rest."""
        self._place(joints, 0.075)
        law = np.empty((N_MOTORS, 3))
        JointCommand.damping(3.0).write_law(law)
        self._write_law(law)
        self._mujoco.mj_step(self._model, self._data, SETTLE_STEPS)
        resting = self._data.qpos.copy()
        resting[:2] = 0.0
        return resting

    def _write_law(self, law: Array) -> None:
        np.multiply(law, SIGNS, out=self._bias)

    def step(self, command: JointCommand, n: int = 1) -> PlantState:
        """Advance by ``n`` steps of 2 ms under one command and return the state.

        Raises
        ------
        InvalidValueError
            The command holds NaN, an infinity or a negative gain; nothing was stepped.
        InvalidStateError
            The plant is closed, or the physics came to nothing finite (reset it).
        """
        left = checked_steps(n)
        with self._lock:
            self._check_open()
            command.write_law(self._law)
            self._write_law(self._law)
            while left > 0:
                now = min(left, CHUNK, self._push_steps or CHUNK)
                self._mujoco.mj_step(self._model, self._data, now)
                left -= now
                self._steps += now
                if self._push_steps:
                    self._push_steps -= now
                    if not self._push_steps:
                        self._data.xfrc_applied[self._trunk] = 0.0
            if not math.isfinite(self._data.qvel.dot(self._data.qvel)):
                raise InvalidStateError("the simulated state is no longer finite; call reset()")
            return self._snapshot()

    def push(self, force: ArrayLike, duration: float) -> None:
        """Push the trunk at its centre of mass with ``force`` (N, world frame) for ``duration`` simulated seconds.

        A push while another is under way replaces it. Durations are rounded to 2 ms, at least one step.
        """
        vector, steps = checked_push(force, duration)
        with self._lock:
            self._check_open()
            self._data.xfrc_applied[self._trunk, :3] = vector
            self._push_steps = max(1, steps)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on: the physics, the last command, the push under way; copies."""
        with self._lock:
            self._check_open()
            physics = np.empty(self._mujoco.mj_stateSize(self._model, self._full))
            self._mujoco.mj_getState(self._model, self._data, physics, self._full)
            return {"physics": physics, "law": self._law.copy(), "steps": self._steps, "push_steps": self._push_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave, to the byte; with another version of MuJoCo only nearly.

        Raises InvalidValueError for a state with missing entries or not finite, ShapeError for one of another model;
        then nothing is changed.
        """
        missing = {"physics", "law", "steps", "push_steps"} - set(state)
        if missing:
            raise InvalidValueError(
                f"expected physics, law, steps and push_steps in the state; {sorted(missing)} missing"
            )
        with self._lock:
            self._check_open()
            size = self._mujoco.mj_stateSize(self._model, self._full)
            physics = arrays.finite(arrays.floats(state["physics"], "physics", (size,), np.float64), "physics")
            law = arrays.finite(arrays.floats(state["law"], "law", (N_MOTORS, 3), np.float64), "law")
            steps = arrays.integer(state["steps"], "steps", minimum=0)
            push_steps = arrays.integer(state["push_steps"], "push_steps", minimum=0)
            self._steps, self._push_steps, self._law[:] = steps, push_steps, law
            self._write_law(self._law)
            self._mujoco.mj_resetData(self._model, self._data)
            self._mujoco.mj_setState(self._model, self._data, physics, self._full)
            self._mujoco.mj_forward(self._model, self._data)
            self._mujoco.mj_setState(self._model, self._data, physics, self._full)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.state_dict(),)

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw the robot in software; shape (height, width, 3), uint8. No OpenGL is needed."""
        with self._lock:
            self._check_open()
            self._mujoco.mj_kinematics(self._model, self._data)
            positions = self._data.xpos[self._bodies]
            rotations = self._data.xmat[self._bodies].reshape(-1, 3, 3)
        return draw(positions, rotations, width, height, camera)

    def close(self) -> None:
        """Let go of the model; every later call raises InvalidStateError. Closing twice does nothing."""
        with self._lock:
            self._closed = True
            self._data = self._model = self._bias = None

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("this plant is closed; make a new one")

    def __enter__(self) -> "MujocoPlant":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "MujocoPlant(closed)" if self._closed else f"MujocoPlant(time={self._steps * TIMESTEP:.3f})"


def _run(indices: list[int]) -> slice:
    """The slice that takes these indices in this order; the model is written so that there is one."""
    if indices != list(range(indices[0], indices[0] + len(indices))):
        raise InvalidStateError(f"expected the joints of the model in motor order, got places {indices}")
    return slice(indices[0], indices[0] + len(indices))


def _rebuild(state: dict[str, Any]) -> MujocoPlant:
    plant = MujocoPlant()
    plant.load_state_dict(state)
    return plant


def _into_body(quaternion: Array, vector: Array) -> Array:
    """Turn a world vector into the body frame, v - 2 w (u x v) + 2 u x (u x v), in plain floats: it runs at 500 Hz."""
    w, x, y, z = quaternion.tolist()
    a, b, c = vector.tolist()
    tx, ty, tz = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return np.array(
        (
            a - w * tx + (y * tz - z * ty),
            b - w * ty + (z * tx - x * tz),
            c - w * tz + (x * ty - y * tx),
        )
    )
