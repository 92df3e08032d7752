"""Simulations behind one small interface, joint targets in and joint states out: the mock, the stand-in, MuJoCo.

For training use :class:`rfx.sim.Go2VecEnv`, for the robot's own motor commands the plants; this is for programs that only want
a robot whose joints follow.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError, MissingDependencyError
from rfx.sim.plant import N_MOTORS, JointCommand, Plant
from rfx.sim.render import Camera, draw

BACKENDS = ("mock", "joint", "mujoco", "isaac_sim", "genesis")
FALLEN = 1.2  # tilt of the trunk that counts as a fall, rad


@dataclass(frozen=True)
class PhysicsConfig:
    """How a simulation steps: ``dt`` seconds a call of ``step``, in ``substeps`` equal parts."""

    dt: float = 0.002
    substeps: int = 4

    def __post_init__(self) -> None:
        arrays.number(self.dt, "dt", above=0.0, maximum=1.0)
        arrays.integer(self.substeps, "substeps", minimum=1, maximum=10_000)

    @staticmethod
    def fast() -> "PhysicsConfig":
        """5 ms in 2 parts."""
        return PhysicsConfig(0.005, 2)

    @staticmethod
    def accurate() -> "PhysicsConfig":
        """1 ms in 8 parts."""
        return PhysicsConfig(0.001, 8)


@dataclass(frozen=True)
class SimConfig:
    """Which simulation, and how it steps.

    Parameters
    ----------
    backend : {"mock", "joint", "mujoco", "isaac_sim", "genesis"}
        The last two are names only: :func:`make_backend` says that they are not there.
    num_envs : int
        1 for the backends of this module.
    physics : PhysicsConfig, optional
        ``PhysicsConfig()`` for the mock; the plants behind "joint" and "mujoco" step by 2 ms: dt / substeps must be that.

    Raises
    ------
    ConfigError
        Another name.
    """

    backend: str = "mock"
    num_envs: int = 1
    physics: PhysicsConfig | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ConfigError(f"expected backend to be one of {', '.join(BACKENDS)}, got {self.backend!r}")
        arrays.integer(self.num_envs, "num_envs", minimum=1)
        if self.physics is None:
            object.__setattr__(self, "physics", PhysicsConfig() if self.backend == "mock" else PhysicsConfig(0.002, 1))
        elif not isinstance(self.physics, PhysicsConfig):
            raise DTypeError(f"expected physics as a PhysicsConfig, got {type(self.physics).__name__}")

    @property
    def steps(self) -> PhysicsConfig:
        """The physics, filled in."""
        return self.physics or PhysicsConfig()

    @staticmethod
    def mock() -> "SimConfig":
        """Twelve springs and dampers, no robot."""
        return SimConfig("mock")

    @staticmethod
    def joint() -> "SimConfig":
        """The joint-space stand-in."""
        return SimConfig("joint")

    @staticmethod
    def mujoco() -> "SimConfig":
        """MuJoCo."""
        return SimConfig("mujoco")

    @staticmethod
    def isaac_sim() -> "SimConfig":
        """Isaac Sim; there is no backend for it here."""
        return SimConfig("isaac_sim")

    @staticmethod
    def genesis() -> "SimConfig":
        """Genesis; there is no backend for it here."""
        return SimConfig("genesis")

    def with_num_envs(self, num_envs: int) -> "SimConfig":
        """Return a copy for so many environments."""
        return replace(self, num_envs=num_envs)


def _joints() -> NDArray[np.float64]:
    return np.zeros(N_MOTORS)


@dataclass(frozen=True, eq=False)
class SimState:
    """What a backend gives: time (s), flags, reward (0 here), joints in motor order (rad, rad/s)."""

    sim_time: float = 0.0
    terminated: bool = False
    truncated: bool = False
    reward: float = 0.0
    q: NDArray[np.float64] = field(default_factory=_joints)
    dq: NDArray[np.float64] = field(default_factory=_joints)

    def joint_positions(self) -> NDArray[np.float64]:
        """Positions (12,), rad, a copy."""
        return self.q.copy()

    def joint_velocities(self) -> NDArray[np.float64]:
        """Velocities (12,), rad/s, a copy."""
        return self.dq.copy()


@runtime_checkable
class SimBackend(Protocol):
    """A simulation of one robot that follows joint targets."""

    config: SimConfig

    def name(self) -> str:
        """Which it is: "mock", "joint", "mujoco"."""
        ...

    def reset(self) -> SimState:
        """Begin anew."""
        ...

    def step(self, actions: ArrayLike) -> tuple[SimState, bool]:
        """Follow joint targets (12,), rad, in motor order, for ``dt``; the state, and whether it is over."""
        ...

    def state(self) -> SimState:
        """Return the present state."""
        ...

    def sim_time(self) -> float:
        """Simulated seconds since the reset."""
        ...

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw the robot; (height, width, 3)."""
        ...

    def close(self) -> None:
        """Let go of memory."""
        ...


def _checked(config: SimConfig | None, *names: str) -> SimConfig:
    if config is None:
        return SimConfig(names[0])
    if not isinstance(config, SimConfig):
        raise DTypeError(f"expected config as a SimConfig, got {type(config).__name__}")
    if config.backend not in names:
        raise ConfigError(f"expected a config for {' or '.join(names)}, got one for {config.backend!r}")
    if config.num_envs != 1:
        raise ConfigError(
            f"expected one environment, got {config.num_envs}; rfx.sim.Go2VecEnv steps many, Go2Batch is its engine"
        )
    return config


def _targets(actions: ArrayLike) -> NDArray[np.float64]:
    return arrays.finite(arrays.floats(actions, "actions", (N_MOTORS,), np.float64), "actions")


class MockSimBackend:
    """Twelve joints on springs and dampers, no robot: ``ddq = 20 (target - q) - 0.5 dq``, within 3.1416 rad and 20 rad/s.

    In float32 and in the order of the existing framework: after 10 steps of ``PhysicsConfig()`` from 0 towards 0.5 rad the joints
    are at 0.00204196 rad. Never over.
    """

    def __init__(self, config: SimConfig | None = None) -> None:
        self.config = _checked(config, "mock")
        self.reset()

    def name(self) -> str:
        """Return "mock"."""
        return "mock"

    def reset(self) -> SimState:
        """All joints at 0, at rest."""
        self._q, self._dq = np.zeros(N_MOTORS, np.float32), np.zeros(N_MOTORS, np.float32)
        self._steps = 0
        return self.state()

    def step(self, actions: ArrayLike) -> tuple[SimState, bool]:
        """Follow joint targets (12,), rad; InvalidValueError or ShapeError for others, and then nothing moves."""
        with np.errstate(over="ignore"):
            target = arrays.finite(_targets(actions).astype(np.float32), "actions")
        h = np.float32(self.config.steps.dt / self.config.steps.substeps)
        for _ in range(self.config.steps.substeps):
            pull = np.float32(20.0) * (target - self._q) - np.float32(0.5) * self._dq
            self._dq = np.clip(self._dq + pull * h, np.float32(-20.0), np.float32(20.0))
            self._q = np.clip(self._q + self._dq * h, np.float32(-np.pi), np.float32(np.pi))
        self._steps += 1
        return self.state(), False

    def state(self) -> SimState:
        """Return the present state."""
        return SimState(self.sim_time(), q=self._q.astype(np.float64), dq=self._dq.astype(np.float64))

    def sim_time(self) -> float:
        """Simulated seconds since the reset."""
        return self._steps * self.config.steps.dt

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw a Go2 with these joints, hung up; (height, width, 3)."""
        from rfx.sim.kinematics import link_poses

        positions, rotations = link_poses(self._q.astype(np.float64), 0.5)
        return draw(positions, rotations, width, height, camera)

    def close(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"MockSimBackend(time={self.sim_time():.3f})"


class PlantSimBackend:
    """A plant of :mod:`rfx.sim` whose motors hold the targets with gains ``kp`` and ``kd``; begins standing.

    Over when the trunk is tilted by more than 1.2 rad (``terminated``); the stand-in cannot fall.

    Raises
    ------
    ConfigError
        The config is for something else, asks for several environments, or for steps that the plant does not have.
    MissingDependencyError
        MuJoCo is asked for and is not installed.
    """

    def __init__(self, config: SimConfig | None = None, kp: float = 60.0, kd: float = 5.0) -> None:
        from rfx.sim import make_plant

        self.config = _checked(config, "mujoco", "joint")
        arrays.number(kp, "kp", minimum=0.0)
        arrays.number(kd, "kd", minimum=0.0)
        self._plant: Plant = make_plant(self.config.backend)
        steps = self.config.steps
        if abs(steps.dt / steps.substeps - self._plant.timestep) > 1e-9:
            self._plant.close()
            raise ConfigError(
                f"expected dt / substeps to be the {self._plant.timestep:g} s of the plant, got {steps.dt / steps.substeps:g}"
            )
        self._command = JointCommand(kp=kp, kd=kd)
        self.reset()

    def name(self) -> str:
        """Return "mujoco" or "joint"."""
        return self.config.backend

    def reset(self) -> SimState:
        """Put the robot into its standing pose."""
        self._over = False
        self._plant.reset("stand")
        return self.state()

    def step(self, actions: ArrayLike) -> tuple[SimState, bool]:
        """Hold joint targets (12,), rad, for ``dt``; InvalidStateError after a fall until :meth:`reset`."""
        target = _targets(actions)
        if self._over:
            raise InvalidStateError("the robot has fallen: reset() it before the next step")
        self._command.q[:] = target
        self._plant.step(self._command, self.config.steps.substeps)
        state = self.state()
        self._over = state.terminated
        return state, state.terminated

    def state(self) -> SimState:
        """Return the present state."""
        now = self._plant.state
        return SimState(now.time, self._plant.can_fall and now.tilt > FALLEN, q=now.q, dq=now.dq)

    def sim_time(self) -> float:
        """Simulated seconds since the reset."""
        return self._plant.state.time

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw the robot; (height, width, 3)."""
        return self._plant.render(width, height, camera)

    def close(self) -> None:
        """Close the plant."""
        self._plant.close()

    def __repr__(self) -> str:
        return f"PlantSimBackend({self._plant!r})"


def make_backend(config: SimConfig | None = None, **options: Any) -> SimBackend:
    """Make the backend that a config asks for; never another one.

    Raises
    ------
    MissingDependencyError
        "isaac_sim" and "genesis", which have no backend here; "mujoco" where MuJoCo is not installed.
    ConfigError
        What the backend cannot do: several environments, other steps.
    """
    asked = SimConfig() if config is None else config
    if not isinstance(asked, SimConfig):
        raise DTypeError(f"expected config as a SimConfig, got {type(asked).__name__}")
    if asked.backend in ("isaac_sim", "genesis"):
        raise MissingDependencyError(
            f"there is no backend for {asked.backend!r} here; there are mock, joint and mujoco"
        )
    return MockSimBackend(asked, **options) if asked.backend == "mock" else PlantSimBackend(asked, **options)
