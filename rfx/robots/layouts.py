"""What the numbers of a policy mean, as plain data: which terms in which order and scale, which joints in which order.

At least three different observations of a Go2 have 48 numbers, and nothing raises when they are confused. So a layout has a
name, and joints are addressed by theirs. The figures are facts read in the public configurations named in ``source``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, ShapeError
from rfx.robots.config import RobotConfig
from rfx.robots.go2 import GO2

# What an observation can be made of, and how many numbers each has. Joint terms are in the order of the layout's joints.
SIGNALS = {
    "base_lin_vel": 3,  # m/s, body frame
    "base_ang_vel": 3,  # rad/s, body frame
    "projected_gravity": 3,  # the unit vector downwards in the body frame: (0, 0, -1) when level
    "velocity_commands": 3,  # forwards m/s, to the left m/s, yaw rad/s
    "joint_pos": 12,  # rad
    "joint_pos_rel": 12,  # rad, less the default pose
    "joint_vel": 12,  # rad/s
    "last_action": 12,  # as the policy gave it, clipped, not scaled
    "clock": 3,  # sin phase, cos phase, sin(phase / 2); one turn in each gait period
}
JOINT_SIGNALS = ("joint_pos", "joint_pos_rel", "joint_vel", "last_action")


@dataclass(frozen=True)
class ObservationTerm:
    """One term of an observation: ``clip(signal, -clip, clip) * scale``.

    Parameters
    ----------
    name : str
        One of ``SIGNALS``.
    scale : float or sequence of float
        One for all numbers of the term, or one for each.
    clip : float, optional
        Bound of the signal before it is scaled; none by default.

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError
        No such signal, another number of scales, or a number that is not finite.
    """

    name: str
    scale: float | tuple[float, ...] = 1.0
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.name not in SIGNALS:
            raise ConfigError(f"expected a term to be one of {', '.join(SIGNALS)}, got {self.name!r}")
        if self.clip is not None:
            object.__setattr__(self, "clip", arrays.number(self.clip, f"clip of {self.name}", above=0.0))
        object.__setattr__(self, "scale", _numbers(self.scale, f"scale of {self.name}", self.size))

    @property
    def size(self) -> int:
        """How many numbers."""
        return SIGNALS[self.name]

    @property
    def scales(self) -> NDArray[np.float64]:
        """One scale for each number, (size,), a new array."""
        return np.array(np.broadcast_to(np.asarray(self.scale, np.float64), (self.size,)))


@dataclass(frozen=True)
class ObservationLayout:
    """The terms of an observation in order, and the order of the joints within them.

    Parameters
    ----------
    terms : sequence of ObservationTerm
    joint_names : sequence of str
        The twelve joints of the Go2 in the order that the policy knows.
    clip : float
        Bound of every number after scaling.
    """

    terms: tuple[ObservationTerm, ...]
    joint_names: tuple[str, ...]
    clip: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        for term in self.terms:
            if not isinstance(term, ObservationTerm):
                raise DTypeError(f"expected terms to be ObservationTerms, got {type(term).__name__}")
        names = [term.name for term in self.terms]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"expected at least one term and each once, got {names}")
        object.__setattr__(self, "joint_names", _joints(self.joint_names))
        object.__setattr__(self, "clip", arrays.number(self.clip, "clip", above=0.0))

    @property
    def size(self) -> int:
        """How many numbers an observation has."""
        return sum(term.size for term in self.terms)

    @property
    def slices(self) -> dict[str, slice]:
        """Where each term stands in an observation."""
        found, start = {}, 0
        for term in self.terms:
            found[term.name] = slice(start, start + term.size)
            start += term.size
        return found

    def split(self, obs: ArrayLike) -> dict[str, NDArray[Any]]:
        """Return each term of observations (..., size) by name, (..., n), scaled as it is; views where obs is an array."""
        array = np.asarray(obs)
        if array.ndim == 0 or array.shape[-1] != self.size:
            raise ShapeError(f"expected observations of {self.size} numbers, got an array of shape {array.shape}")
        return {name: array[..., place] for name, place in self.slices.items()}

    def assemble(self, signals: Mapping[str, ArrayLike], robot: RobotConfig = GO2) -> NDArray[np.float32]:
        """Return the observation, (..., size) float32, from what is measured.

        Parameters
        ----------
        signals : mapping of str to array_like
            Each term of the layout by its name in ``SIGNALS``, (..., n), in the signal's own unit. Joint signals are in the motor
            order of the robot; ``last_action`` is as the policy gave it, in the order of the layout.

        Raises
        ------
        ConfigError
            A term is missing.
        ShapeError, DTypeError, InvalidValueError
            A signal has another length, or is not finite.
        """
        parts = []
        for term in self.terms:
            if term.name not in signals:
                raise ConfigError(f"expected the signals {[t.name for t in self.terms]}, {term.name} is missing")
            given = arrays.finite(arrays.floats(signals[term.name], term.name), term.name).astype(np.float64)
            if given.ndim == 0 or given.shape[-1] != term.size:
                raise ShapeError(f"expected {term.name} of {term.size} numbers, got an array of shape {given.shape}")
            if term.name in JOINT_SIGNALS and term.name != "last_action":
                given = given[..., [robot.index_of(joint) for joint in self.joint_names]]
            bound = np.inf if term.clip is None else term.clip
            parts.append(np.clip(given, -bound, bound) * term.scales)
        joined = np.concatenate(_alike(parts), axis=-1)
        return np.clip(joined, -self.clip, self.clip).astype(np.float32)


@dataclass(frozen=True)
class ActionLayout:
    """What an action does: joint targets ``default_pose + scale * clip(action, -clip, clip)`` under gains kp and kd.

    Parameters
    ----------
    joint_names : sequence of str
        The twelve joints in the order of the action; the following are in this order, too.
    default_pose : sequence of float
        Targets of the action 0 (rad).
    scale, kp, kd : float or sequence of float
        rad, Nm/rad, Nm s/rad.
    clip : float
        Bound of the action before it is scaled.
    """

    joint_names: tuple[str, ...]
    default_pose: tuple[float, ...]
    scale: float | tuple[float, ...] = 0.25
    kp: float | tuple[float, ...] = 20.0
    kd: float | tuple[float, ...] = 0.5
    clip: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_names", _joints(self.joint_names))
        pose = _numbers(self.default_pose, "default_pose", len(self.joint_names))
        if isinstance(pose, float):
            raise ConfigError(f"expected {len(self.joint_names)} numbers as the default pose, got {pose}")
        object.__setattr__(self, "default_pose", pose)
        for name in ("scale", "kp", "kd"):
            value = _numbers(getattr(self, name), name, len(self.joint_names))
            if np.min(value) < 0.0:
                raise ConfigError(f"expected {name} to be at least 0, got {value}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "clip", arrays.number(self.clip, "clip", above=0.0))

    @property
    def size(self) -> int:
        """How many numbers an action has."""
        return len(self.joint_names)

    def in_motor_order(self, name: str, robot: RobotConfig = GO2) -> NDArray[np.float64]:
        """Return ``default_pose``, ``scale``, ``kp`` or ``kd`` for each motor of the robot, (12,), a new array."""
        if name not in ("default_pose", "scale", "kp", "kd"):
            raise ConfigError(f"expected default_pose, scale, kp or kd, got {name!r}")
        values = np.broadcast_to(np.asarray(getattr(self, name), np.float64), (self.size,))
        return robot.reorder(values, self.joint_names)

    def targets(self, action: ArrayLike, robot: RobotConfig = GO2) -> NDArray[np.float64]:
        """Return the joint targets of actions (..., 12) in the robot's motor order, (..., 12), rad."""
        given = arrays.finite(arrays.floats(action, "action", None, None), "action").astype(np.float64)
        moved = np.asarray(self.default_pose) + np.asarray(self.scale) * np.clip(given, -self.clip, self.clip)
        return robot.reorder(moved, self.joint_names)


@dataclass(frozen=True)
class PolicyLayout:
    """The whole contract between a policy and a robot: what comes in, what goes out, how often.

    Parameters
    ----------
    name : str
    observation : ObservationLayout
    action : ActionLayout
    rate_hz : float
        How often the policy is asked.
    gait_period : float
        Seconds of one turn of the clock, for layouts that have one.
    source : str
        Where the figures are from.
    """

    name: str
    observation: ObservationLayout
    action: ActionLayout
    rate_hz: float = 50.0
    gait_period: float = 0.5
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"expected a layout's name to be a non-empty string, got {self.name!r}")
        if not isinstance(self.observation, ObservationLayout) or not isinstance(self.action, ActionLayout):
            raise DTypeError("expected observation to be an ObservationLayout and action an ActionLayout")
        for rate in ("rate_hz", "gait_period"):
            object.__setattr__(self, rate, arrays.number(getattr(self, rate), rate, above=0.0))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers that JSON can write."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PolicyLayout":
        """Build from what :meth:`to_dict` gave; unknown and missing keys are refused, ``data`` stays as it is."""
        top = _checked(cls, data)
        observation = _checked(ObservationLayout, top["observation"])
        if isinstance(observation["terms"], (str, bytes)) or not isinstance(observation["terms"], Sequence):
            raise DTypeError(f"expected terms as a sequence, got {type(observation['terms']).__name__}")
        terms = tuple(ObservationTerm(**_checked(ObservationTerm, term)) for term in observation["terms"])
        top["observation"] = ObservationLayout(**{**observation, "terms": terms})
        top["action"] = ActionLayout(**_checked(ActionLayout, top["action"]))
        return cls(**top)


def policy_layout(name: "str | PolicyLayout") -> PolicyLayout:
    """Return the layout of that name, or the one given; ConfigError for a name that is not in ``LAYOUTS``."""
    if isinstance(name, PolicyLayout):
        return name
    if not isinstance(name, str) or name not in LAYOUTS:
        raise ConfigError(f"expected a layout, or one of {', '.join(LAYOUTS)}, got {name!r}")
    return LAYOUTS[name]


def _alike(parts: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The parts with the same leading axes."""
    try:
        lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
    except ValueError as error:
        raise ShapeError(f"expected signals with the same leading axes: {error}") from error
    return [np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts]


def _joints(names: Any) -> tuple[str, ...]:
    given = () if isinstance(names, (str, bytes)) else tuple(names)
    if len(given) != len(GO2.joint_names) or set(given) != set(GO2.joint_names):
        raise ConfigError(f"expected the joints {list(GO2.joint_names)} in any order, got {names!r}")
    return given


def _numbers(value: Any, name: str, size: int) -> float | tuple[float, ...]:
    if np.ndim(value) == 0:
        return arrays.number(value, name)
    return tuple(map(float, arrays.finite(arrays.floats(value, name, (size,), np.float64), name)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _checked(cls: type, data: Any) -> dict[str, Any]:
    known = {f.name for f in fields(cls)}
    if not isinstance(data, Mapping) or set(data) != known:
        got = sorted(data) if isinstance(data, Mapping) else type(data).__name__
        raise ConfigError(f"expected the keys {sorted(known)} of a {cls.__name__}, got {got}")
    return dict(data)


def _order(legs: str, by_part: bool = False) -> tuple[str, ...]:
    parts = ("hip", "thigh", "calf")
    if by_part:
        return tuple(f"{leg}_{part}" for part in parts for leg in legs.split())
    return tuple(f"{leg}_{part}" for leg in legs.split() for part in parts)


def _pose(order: Sequence[str], hip: float, front: float, rear: float, calf: float) -> tuple[float, ...]:
    """A pose with the hips turned outwards by ``hip``."""
    angles = {}
    for name in order:
        leg, part = name.split("_")
        outwards = hip if leg[1] == "L" else 0.0 - hip
        angles[name] = {"hip": outwards, "thigh": front if leg[0] == "F" else rear, "calf": calf}[part]
    return tuple(angles.values())


MOTOR_ORDER = GO2.joint_names  # FR FL RR RL
LEG_ORDER = _order("FL FR RL RR")  # Isaac Gym, Menagerie
PART_ORDER = _order("FL FR RL RR", by_part=True)  # Isaac Lab

_HEAD = ("base_ang_vel", "projected_gravity", "velocity_commands")
_TAIL = ("joint_pos_rel", "joint_vel", "last_action")


def _layout(
    name: str, source: str, terms: Sequence[str], scales: Mapping[str, Any], action: ActionLayout, clip: float = 100.0
) -> PolicyLayout:
    listed = tuple(ObservationTerm(term, scales.get(term, 1.0)) for term in terms)
    return PolicyLayout(name, ObservationLayout(listed, action.joint_names, clip), action, source=source)


LAYOUTS: Mapping[str, PolicyLayout] = {
    layout.name: layout
    for layout in (
        _layout(
            "legged_gym",
            "leggedrobotics/legged_gym, unitreerobotics/unitree_rl_gym go2_config.py",
            ("base_lin_vel", *_HEAD, *_TAIL),
            {"base_lin_vel": 2.0, "base_ang_vel": 0.25, "velocity_commands": (2.0, 2.0, 0.25), "joint_vel": 0.05},
            ActionLayout(LEG_ORDER, _pose(LEG_ORDER, 0.1, 0.8, 1.0, -1.5), 0.25, 20.0, 0.5),
        ),
        _layout(
            "isaac_lab",
            "isaac-sim/IsaacLab velocity task of the Go2",
            ("base_lin_vel", *_HEAD, *_TAIL),
            {},
            ActionLayout(PART_ORDER, _pose(PART_ORDER, 0.1, 0.8, 1.0, -1.5), 0.25, 25.0, 0.5),
        ),
        _layout(
            "playground",
            "google-deepmind/mujoco_playground joystick task (of the Go1)",
            ("base_lin_vel", "base_ang_vel", "projected_gravity", *_TAIL, "velocity_commands"),
            {},
            ActionLayout(MOTOR_ORDER, _pose(MOTOR_ORDER, 0.1, 0.9, 0.9, -1.8), 0.5, 35.0, 0.5),
        ),
        _layout(
            "clock",
            "the Go2Env of the existing framework: absolute joint positions, a clock, no linear velocity",
            ("joint_pos", "joint_vel", *_HEAD, "last_action", "clock"),
            {},
            ActionLayout(MOTOR_ORDER, _pose(MOTOR_ORDER, 0.0, 0.8, 0.8, -1.5), 0.5, 20.0, 0.5, clip=1.0),
        ),
        _layout(
            "unitree_rl_lab",
            "unitreerobotics/unitree_rl_lab, deploy.yaml of the Go2",
            (*_HEAD, *_TAIL),
            {"base_ang_vel": 0.2, "joint_vel": 0.05},
            ActionLayout(PART_ORDER, _pose(PART_ORDER, 0.1, 0.8, 1.0, -1.5), 0.25, 25.0, 0.5),
        ),
        _layout(
            "unitree_rl_mjlab",
            "unitreerobotics/unitree_rl_mjlab, deploy.yaml of the Go2",
            (*_HEAD, *_TAIL),
            {},
            ActionLayout(
                LEG_ORDER, _pose(LEG_ORDER, 0.1, 0.9, 0.9, -1.8), 0.5, (20.0, 20.0, 40.0) * 4, (1.0, 1.0, 2.0) * 4
            ),
        ),
        _layout(
            "rl_sar",
            "fan-ziqi/rl_sar policy/go2/robot_lab",
            (*_HEAD, *_TAIL),
            {"base_ang_vel": 0.25, "joint_vel": 0.05},
            ActionLayout(MOTOR_ORDER, _pose(MOTOR_ORDER, 0.0, 0.8, 0.8, -1.5), (0.125, 0.25, 0.25) * 4, 20.0, 0.5),
        ),
    )
}
