"""What a simulated Go2 is asked to do, as plain data: commands, rewards by name and weight, ends, starts, randomisation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.robots.layouts import PolicyLayout, policy_layout
from rfx.sim.terrain import Terrain, terrain_of

Range = tuple[float, float]

# In the order of the kernel; the formulas are in rfx/kernels/locomotion_reward.pyx.
REWARD_TERMS = (
    "tracking_lin_vel",
    "tracking_ang_vel",
    "lin_vel_z",
    "ang_vel_xy",
    "orientation",
    "base_height",
    "torques",
    "dof_vel",
    "dof_acc",
    "action_rate",
    "stand_still",
    "dof_pos_limits",
    "dof_vel_limits",
    "torque_limits",
    "collision",
    "feet_air_time",
    "feet_stumble",
    "feet_contact_forces",
    "alive",
    "termination",
)
NOISY = ("base_lin_vel", "base_ang_vel", "projected_gravity", "joint_pos", "joint_vel")


def _range(value: Any, name: str, minimum: float = -math.inf) -> Range:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or len(value) != 2:
        raise DTypeError(f"expected {name} as two numbers, got {value!r}")
    low, high = (arrays.number(v, name, minimum=minimum) for v in value)
    if low > high:
        raise InvalidValueError(f"expected {name} to begin with the smaller number, got {low:g} and {high:g}")
    return low, high


@dataclass(frozen=True)
class Commands:
    """Velocities asked for, drawn anew at each start and every ``resampling_time`` seconds.

    Parameters
    ----------
    lin_vel_x, lin_vel_y : (float, float)
        Ranges forwards and to the left, m/s.
    ang_vel_yaw : (float, float)
        Range of the yaw rate, rad/s.
    heading : (float, float), optional
        Range of a heading, rad, from which the yaw rate is computed at every step: ``heading_gain`` times the error, within
        ``ang_vel_yaw``. None: the yaw rate is drawn.
    heading_gain : float
        1/s.
    resampling_time : float
        s.
    deadband : float
        A velocity smaller than this (m/s) becomes 0.
    standing : float
        Share of the commands that are to stand still, 0 to 1.
    """

    lin_vel_x: Range = (-1.0, 1.0)
    lin_vel_y: Range = (-1.0, 1.0)
    ang_vel_yaw: Range = (-1.0, 1.0)
    heading: Range | None = None
    heading_gain: float = 0.5
    resampling_time: float = 10.0
    deadband: float = 0.2
    standing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lin_vel_x", "lin_vel_y", "ang_vel_yaw"):
            object.__setattr__(self, name, _range(getattr(self, name), name))
        if self.heading is not None:
            object.__setattr__(self, "heading", _range(self.heading, "heading"))
        arrays.number(self.heading_gain, "heading_gain", minimum=0.0)
        arrays.number(self.resampling_time, "resampling_time", above=0.0, maximum=1e6)
        arrays.number(self.deadband, "deadband", minimum=0.0)
        arrays.number(self.standing, "standing", minimum=0.0, maximum=1.0)


LEGGED_GYM_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "tracking_lin_vel": 1.0,
        "tracking_ang_vel": 0.5,
        "lin_vel_z": -2.0,
        "ang_vel_xy": -0.05,
        "torques": -0.0002,
        "dof_acc": -2.5e-7,
        "feet_air_time": 1.0,
        "collision": -1.0,
        "action_rate": -0.01,
        "dof_pos_limits": -10.0,
    }
)


@dataclass(frozen=True)
class Rewards:
    """The terms of the reward by name and weight; what is not named counts nothing.

    Each step gives the sum of weight times term, times the time between two actions. ``only_positive`` lets all terms but
    "termination" together count at least 0.

    Parameters
    ----------
    weights : mapping of str to float
        Names from ``REWARD_TERMS``; legged_gym's weights for the Go2 by default.
    only_positive : bool
    tracking_sigma : float
        (m/s)^2 and (rad/s)^2.
    base_height_target : float
        m over the ground.
    air_time_target : float
        s.
    soft_dof_pos_limit, soft_dof_vel_limit, soft_torque_limit : float
        Share of the limits that counts as the limit.
    max_contact_force : float
        N.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: LEGGED_GYM_WEIGHTS)
    only_positive: bool = True
    tracking_sigma: float = 0.25
    base_height_target: float = 0.25
    air_time_target: float = 0.5
    soft_dof_pos_limit: float = 0.9
    soft_dof_vel_limit: float = 1.0
    soft_torque_limit: float = 1.0
    max_contact_force: float = 100.0

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise DTypeError(f"expected weights as a mapping of names, got {type(self.weights).__name__}")
        unknown = sorted(set(map(str, self.weights)) - set(REWARD_TERMS))
        if unknown:
            raise ConfigError(f"unknown terms of the reward: {unknown}; known are {', '.join(REWARD_TERMS)}")
        checked = {str(name): arrays.number(w, f"weight of {name}") for name, w in self.weights.items()}
        object.__setattr__(self, "weights", MappingProxyType(checked))
        arrays.number(self.tracking_sigma, "tracking_sigma", above=0.0)
        for name in ("base_height_target", "air_time_target", "max_contact_force"):
            arrays.number(getattr(self, name), name, minimum=0.0)
        for name in ("soft_dof_pos_limit", "soft_dof_vel_limit", "soft_torque_limit"):
            arrays.number(getattr(self, name), name, above=0.0, maximum=1.0)

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return _rewards, ({**plain, "weights": dict(self.weights)},)


def _rewards(plain: dict[str, Any]) -> Rewards:
    return Rewards(**plain)


@dataclass(frozen=True)
class Termination:
    """What ends an episode: the trunk touches (more than 1 N), the tilt is above ``max_tilt`` (rad), the trunk is lower than
    ``min_height`` (m) over the ground. A state that is not finite always ends it.
    """

    trunk_contact: bool = True
    max_tilt: float = 1.2
    min_height: float = 0.0

    def __post_init__(self) -> None:
        arrays.number(self.max_tilt, "max_tilt", above=0.0, maximum=math.pi)
        arrays.number(self.min_height, "min_height", minimum=0.0)


@dataclass(frozen=True)
class Start:
    """How an episode begins: uniform around the default pose, each by so much in both directions.

    ``position`` in x and y (m), ``yaw`` (rad), ``joints`` (rad), ``velocity`` of the trunk (m/s and rad/s).
    """

    position: float = 0.0
    yaw: float = math.pi
    joints: float = 0.05
    velocity: float = 0.1

    def __post_init__(self) -> None:
        for f in fields(self):
            arrays.number(getattr(self, f.name), f.name, minimum=0.0, maximum=10.0)


@dataclass(frozen=True)
class Randomisation:
    """What differs between episodes, drawn uniformly at each start from the environment's own stream; nothing by default.

    Parameters
    ----------
    friction : (float, float), optional
        Of the feet on the ground; None leaves the model's 0.8.
    added_mass : (float, float), optional
        On the trunk, kg.
    motor_strength : (float, float), optional
        Factor of each motor's gains, below its torque limit.
    latency : (float, float), optional
        From an action to its effect, s, rounded to physics steps, at most two actions long.
    push_interval : float
        Time between two pushes, s; 0 for none.
    push_velocity, push_spin : float
        A push changes the velocity in x and y by up to so much (m/s), and each angular velocity (rad/s).
    noise : mapping of str to float
        Half width of uniform noise on what is observed, by signal, in the signal's own unit.
    """

    friction: Range | None = None
    added_mass: Range | None = None
    motor_strength: Range | None = None
    latency: Range | None = None
    push_interval: float = 0.0
    push_velocity: float = 0.0
    push_spin: float = 0.0
    noise: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("friction", 1e-3), ("added_mass", -5.0), ("motor_strength", 0.0), ("latency", 0.0)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _range(getattr(self, name), name, least))
        for name in ("push_interval", "push_velocity", "push_spin"):
            arrays.number(getattr(self, name), name, minimum=0.0, maximum=1e6)
        if not isinstance(self.noise, Mapping):
            raise DTypeError(f"expected noise as a mapping of names, got {type(self.noise).__name__}")
        unknown = sorted(set(map(str, self.noise)) - set(NOISY))
        if unknown:
            raise ConfigError(f"unknown signals with noise: {unknown}; known are {', '.join(NOISY)}")
        noise = {str(name): arrays.number(v, f"noise of {name}", minimum=0.0) for name, v in self.noise.items()}
        object.__setattr__(self, "noise", noise)


RANDOMISATIONS: dict[str, Randomisation] = {
    "none": Randomisation(),
    "legged_gym": Randomisation(
        friction=(0.5, 1.25),
        added_mass=(-1.0, 1.0),
        push_interval=15.0,
        push_velocity=1.0,
        noise={
            "base_lin_vel": 0.1,
            "base_ang_vel": 0.2,
            "projected_gravity": 0.05,
            "joint_pos": 0.01,
            "joint_vel": 1.5,
        },
    ),
    "robot": Randomisation(
        friction=(0.4, 1.25),
        added_mass=(-1.0, 3.0),
        motor_strength=(0.85, 1.15),
        latency=(0.0, 0.03),
        push_interval=8.0,
        push_velocity=0.6,
        push_spin=0.4,
        noise={
            "base_lin_vel": 0.1,
            "base_ang_vel": 0.2,
            "projected_gravity": 0.05,
            "joint_pos": 0.02,
            "joint_vel": 1.5,
        },
    ),
}


@dataclass(frozen=True)
class Go2Task:
    """Everything that makes an environment of the Go2.

    Parameters
    ----------
    layout : str or PolicyLayout
        What the policy sees and does; a name from ``rfx.robots.LAYOUTS``.
    commands, rewards, termination, start : Commands, Rewards, Termination, Start
    randomisation : str or Randomisation
        A name from ``RANDOMISATIONS``: "none", "legged_gym", "robot".
    terrain : str or Terrain
        A name from ``rfx.sim.terrain.TERRAINS``: "flat", "rough", "slope", "stairs", "mixed".
    episode_seconds : float
        After which an episode is cut (truncated).
    timestep : float
        Of the physics, s.
    substeps : int
        Physics steps in each action; the layout's rate must be 1 / (timestep * substeps).
    """

    layout: str | PolicyLayout = "legged_gym"
    commands: Commands = Commands()
    rewards: Rewards = field(default_factory=Rewards)
    termination: Termination = Termination()
    start: Start = Start()
    randomisation: str | Randomisation = "none"
    terrain: str | Terrain = "flat"
    episode_seconds: float = 20.0
    timestep: float = 0.005
    substeps: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", policy_layout(self.layout))
        object.__setattr__(self, "terrain", terrain_of(self.terrain))
        random = self.randomisation
        if not isinstance(random, Randomisation):
            if not isinstance(random, str) or random not in RANDOMISATIONS:
                raise ConfigError(
                    f"expected a Randomisation, or one of {', '.join(RANDOMISATIONS)}, got {self.randomisation!r}"
                )
            object.__setattr__(self, "randomisation", RANDOMISATIONS[random])
        for name, kind in (
            ("commands", Commands),
            ("rewards", Rewards),
            ("termination", Termination),
            ("start", Start),
        ):
            if not isinstance(getattr(self, name), kind):
                raise DTypeError(f"expected {name} as {kind.__name__}, got {type(getattr(self, name)).__name__}")
        arrays.number(self.timestep, "timestep", minimum=1e-4, maximum=0.01)
        arrays.integer(self.substeps, "substeps", minimum=1, maximum=100)
        arrays.number(self.episode_seconds, "episode_seconds", minimum=self.dt, maximum=1e6)
        if abs(self.policy.rate_hz * self.dt - 1.0) > 1e-6:
            raise ConfigError(
                f"expected timestep times substeps to be the period of the layout, {1.0 / self.policy.rate_hz:g} s, "
                f"got {self.dt:g} s"
            )
        latency = self.random.latency
        if latency is not None and latency[1] > 2.0 * self.dt + 1e-9:
            raise ConfigError(f"expected a latency of at most {2.0 * self.dt:g} s, got {latency[1]:g} s")

    @property
    def policy(self) -> PolicyLayout:
        """The layout itself."""
        return policy_layout(self.layout)

    @property
    def ground(self) -> Terrain:
        """The terrain itself."""
        return terrain_of(self.terrain)

    @property
    def random(self) -> Randomisation:
        """The randomisation itself."""
        return RANDOMISATIONS[self.randomisation] if isinstance(self.randomisation, str) else self.randomisation

    @property
    def dt(self) -> float:
        """Time between two actions, s."""
        return self.timestep * self.substeps

    @property
    def max_steps(self) -> int:
        """Actions in an episode."""
        return max(1, round(self.episode_seconds / self.dt))


_STAND = Commands((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))

TASKS: dict[str, Go2Task] = {
    "walk": Go2Task(),
    "stand": Go2Task(
        commands=_STAND,
        rewards=Rewards({"orientation": -1.0, "base_height": -10.0, "stand_still": -0.1, "alive": 1.0}),
    ),
    "walk_randomised": Go2Task(randomisation="robot"),
    "walk_terrain": Go2Task(randomisation="legged_gym", terrain="mixed"),
}


def task_of(task: "str | Go2Task", **changes: Any) -> Go2Task:
    """Return the task of that name from ``TASKS``, or the one given, with some of its fields changed."""
    if not isinstance(task, Go2Task):
        if not isinstance(task, str) or task not in TASKS:
            raise ConfigError(f"expected a Go2Task, or one of {', '.join(TASKS)}, got {task!r}")
        task = TASKS[task]
    unknown = sorted(set(changes) - {f.name for f in fields(Go2Task)})
    if unknown:
        raise ConfigError(f"unknown fields of a task: {unknown}; known are {[f.name for f in fields(Go2Task)]}")
    return replace(task, **changes)
