"""The stand-in for machines without MuJoCo: twelve joints, each alone, on a trunk that is bolted to the air."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import InvalidStateError, InvalidValueError
from rfx.sim.core import step_joints
from rfx.sim.go2_model import LOWER, TORQUE_LIMIT, UPPER
from rfx.sim.kinematics import link_poses, standing_height
from rfx.sim.plant import (
    N_MOTORS,
    TIMESTEP,
    JointCommand,
    PlantState,
    Pose,
    checked_push,
    checked_steps,
    joint_pose,
)
from rfx.sim.render import Camera, draw

# Inertia that each motor feels with the leg half bent and the trunk fixed, armature included (kg m^2).
INERTIA = (0.036, 0.032, 0.0163)
VISCOUS, COULOMB = 0.1, 0.2
GRAVITY = 9.81
CHUNK = 5000


class JointSpacePlant:
    """Twelve second-order joints with inertia, friction, torque and travel limits; see :class:`rfx.sim.Plant`.

    It serves control loops, message handling and timing. There is no trunk motion, no gravity on the legs, no floor and
    no coupling between joints: nothing that it shows is evidence about balance. Integrated by an L-stable, second-order
    implicit method at 2 ms, so that every gain is stable; same inputs give the same bytes.
    """

    name = "joint"
    timestep = TIMESTEP
    can_fall = False

    def __init__(self) -> None:
        self.description = (
            "joint-space stand-in: twelve independent joints on a fixed base without gravity or floor; "
            "it cannot fall, walk or be pushed, and its foot forces are 0 (install rfx[sim] for MuJoCo physics)"
        )
        self._lock = threading.Lock()
        self._plant = np.column_stack(
            (
                np.tile(INERTIA, 4),
                np.full(N_MOTORS, VISCOUS),
                np.full(N_MOTORS, COULOMB),
                TORQUE_LIMIT,
                LOWER,
                UPPER,
            )
        ).astype(np.float64)
        self._law = np.zeros((N_MOTORS, 3))
        self._joints = np.zeros((4, N_MOTORS))
        self._height = standing_height(joint_pose("stand"))
        self._steps = 0
        self._closed = False
        self.reset()

    @property
    def state(self) -> PlantState:
        with self._lock:
            self._check_open()
            return self._snapshot()

    def _snapshot(self) -> PlantState:
        q, dq, ddq, torque = self._joints.copy()
        return PlantState(
            time=self._steps * TIMESTEP,
            steps=self._steps,
            q=q,
            dq=dq,
            ddq=ddq,
            tau_est=torque,
            quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
            gyroscope=np.zeros(3),
            accelerometer=np.array([0.0, 0.0, GRAVITY]),
            position=np.array([0.0, 0.0, self._height]),
            velocity=np.zeros(3),
            velocity_body=np.zeros(3),
            foot_force=np.zeros(4),
        )

    def reset(self, pose: Pose = "lie") -> PlantState:
        """Put the joints at rest in the folded (``"lie"``) or the standing pose (``"stand"``)."""
        joints = joint_pose(pose)
        with self._lock:
            self._check_open()
            self._joints[:] = 0.0
            self._joints[0] = joints
            self._steps = 0
            return self._snapshot()

    def step(self, command: JointCommand, n: int = 1) -> PlantState:
        """Advance by ``n`` steps of 2 ms under one command and return the state.

        Raises
        ------
        InvalidValueError
            The command holds NaN, an infinity or a negative gain; nothing was stepped.
        InvalidStateError
            The plant is closed.
        """
        left = checked_steps(n)
        with self._lock:
            self._check_open()
            command.write_law(self._law)
            while left > 0:
                now = min(left, CHUNK)
                step_joints(self._joints, self._law, self._plant, TIMESTEP, now)
                left -= now
                self._steps += now
            return self._snapshot()

    def push(self, force: ArrayLike, duration: float) -> None:
        """Raise InvalidStateError: a fixed base cannot be pushed."""
        checked_push(force, duration)
        raise InvalidStateError("the joint-space stand-in has a fixed base and cannot be pushed; use MujocoPlant")

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on; copies."""
        with self._lock:
            self._check_open()
            return {"joints": self._joints.copy(), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave, to the byte.

        Raises InvalidValueError for a state with missing entries or not finite, ShapeError for a wrong shape; then
        nothing is changed.
        """
        missing = {"joints", "steps"} - set(state)
        if missing:
            raise InvalidValueError(f"expected a state with joints and steps; {sorted(missing)} missing")
        joints = arrays.finite(arrays.floats(state["joints"], "joints", (4, N_MOTORS), np.float64), "joints")
        steps = arrays.integer(state["steps"], "steps", minimum=0)
        with self._lock:
            self._check_open()
            self._joints[:] = joints
            self._steps = steps

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.state_dict(),)

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw the robot with a level trunk in the air; shape (height, width, 3), uint8."""
        state = self.state
        return draw(*link_poses(state.q, self._height), width, height, camera)

    def close(self) -> None:
        """Every later call raises InvalidStateError. Closing twice does nothing."""
        with self._lock:
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("this plant is closed; make a new one")

    def __enter__(self) -> "JointSpacePlant":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "JointSpacePlant(closed)" if self._closed else f"JointSpacePlant(time={self._steps * TIMESTEP:.3f})"


def _rebuild(state: dict[str, Any]) -> JointSpacePlant:
    plant = JointSpacePlant()
    plant.load_state_dict(state)
    return plant
