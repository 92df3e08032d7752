"""What a robot is, as plain data: its joints by name, with limits, gains and poses."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, ShapeError


@dataclass(frozen=True)
class JointConfig:
    """One joint.

    Parameters
    ----------
    name : str
        How everything addresses it.
    index : int
        Its place in the robot's own motor order.
    position_min, position_max : float
        Travel (rad).
    velocity_max, effort_max : float
        Speed (rad/s) and torque (Nm) limits.
    kp, kd : float
        Default position gains (Nm/rad, Nm s/rad).

    Raises
    ------
    ConfigError
        An empty name, or a minimum that is not below its maximum.
    """

    name: str
    index: int
    position_min: float
    position_max: float
    velocity_max: float
    effort_max: float
    kp: float = 20.0
    kd: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"expected a joint's name to be a non-empty string, got {self.name!r}")
        checked: dict[str, float] = {"index": arrays.integer(self.index, f"index of {self.name}", minimum=0)}
        for field_name in ("position_min", "position_max"):
            checked[field_name] = arrays.number(getattr(self, field_name), f"{field_name} of {self.name}")
        for field_name in ("velocity_max", "effort_max"):
            checked[field_name] = arrays.number(getattr(self, field_name), f"{field_name} of {self.name}", above=0)
        for field_name in ("kp", "kd"):
            checked[field_name] = arrays.number(getattr(self, field_name), f"{field_name} of {self.name}", minimum=0)
        low, high = checked["position_min"], checked["position_max"]
        if not low < high:
            raise ConfigError(f"expected position_min of {self.name} to be below position_max, got {low} and {high}")
        for field_name, value in checked.items():
            object.__setattr__(self, field_name, value)  # plain numbers, whatever came: JSON can write them


@dataclass(frozen=True, eq=True)
class RobotConfig:
    """A robot: joints in motor order, poses by name, rates.

    Parameters
    ----------
    name : str
    joints : tuple of JointConfig
        ``joints[i].index == i``.
    poses : mapping of str to sequence of float
        Joint positions (rad) in motor order.
    default_pose_name : str
        Which pose actions are relative to.
    control_rate_hz, policy_rate_hz : float
        Rates of the motor commands and of the policy (Hz).

    Raises
    ------
    ConfigError
        Names twice, indices out of order, a pose of another length, or a pose outside of the limits.
    """

    name: str
    joints: tuple[JointConfig, ...]
    poses: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    default_pose_name: str = "stand"
    control_rate_hz: float = 500.0
    policy_rate_hz: float = 50.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"expected a robot's name to be a non-empty string, got {self.name!r}")
        object.__setattr__(self, "joints", _listed(self.joints, "joints"))
        for i, joint in enumerate(self.joints):
            if not isinstance(joint, JointConfig):
                raise DTypeError(f"expected joints[{i}] to be a JointConfig, got {type(joint).__name__}")
        names = [j.name for j in self.joints]
        if len(set(names)) != len(names):
            raise ConfigError(f"expected every joint of {self.name} to have a name of its own, got {names}")
        for i, joint in enumerate(self.joints):
            if joint.index != i:
                raise ConfigError(f"expected joint {joint.name} at index {joint.index}, it stands at {i}")
        if not isinstance(self.poses, Mapping):
            raise DTypeError(f"expected poses to be a mapping of names, got {type(self.poses).__name__}")
        poses = {}
        for pose, values in self.poses.items():
            q = arrays.finite(
                arrays.floats(_listed(values, f"pose {pose}"), f"pose {pose}", (len(self.joints),)), f"pose {pose}"
            )
            for value, joint in zip(q, self.joints, strict=True):
                if not joint.position_min <= value <= joint.position_max:
                    raise ConfigError(f"pose {pose}: {joint.name} at {value:g} rad is outside of its travel")
            poses[pose] = tuple(map(float, q))
        object.__setattr__(self, "poses", MappingProxyType(poses))
        for rate in ("control_rate_hz", "policy_rate_hz"):
            object.__setattr__(self, rate, arrays.number(getattr(self, rate), rate, above=0))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_dict(),)

    def __hash__(self) -> int:
        return hash((self.name, self.joints, tuple(sorted(self.poses.items()))))

    def __repr__(self) -> str:
        return f"RobotConfig(name={self.name!r}, joints={len(self.joints)}, poses={sorted(self.poses)})"

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in motor order."""
        return tuple(j.name for j in self.joints)

    @property
    def lower(self) -> NDArray[np.float64]:
        """Lowest positions (n,), rad, a new array."""
        return np.array([j.position_min for j in self.joints])

    @property
    def upper(self) -> NDArray[np.float64]:
        """Highest positions (n,), rad, a new array."""
        return np.array([j.position_max for j in self.joints])

    @property
    def velocity_limit(self) -> NDArray[np.float64]:
        """Speed limits (n,), rad/s, a new array."""
        return np.array([j.velocity_max for j in self.joints])

    @property
    def torque_limit(self) -> NDArray[np.float64]:
        """Torque limits (n,), Nm, a new array."""
        return np.array([j.effort_max for j in self.joints])

    @property
    def default_pose(self) -> NDArray[np.float64]:
        """Joint positions (n,), rad, that actions are relative to, a new array."""
        return self.pose(self.default_pose_name)

    def pose(self, name: str) -> NDArray[np.float64]:
        """Return a pose by name (n,), rad, as a new array; ConfigError for an unknown one."""
        if not isinstance(name, str) or name not in self.poses:
            raise ConfigError(f"{self.name} has no pose {name!r}, it has {sorted(self.poses)}")
        return np.array(self.poses[name])

    def index_of(self, name: str) -> int:
        """Return where the joint stands in motor order; ConfigError for an unknown name."""
        for joint in self.joints:
            if joint.name == name:
                return joint.index
        raise ConfigError(f"{self.name} has no joint {name!r}, it has {list(self.joint_names)}")

    def joint(self, name: str) -> JointConfig:
        """Return the joint of that name; ConfigError for an unknown one."""
        return self.joints[self.index_of(name)]

    def reorder(self, values: ArrayLike, from_names: Iterable[str]) -> NDArray[Any]:
        """Return values given in the order of ``from_names``, along the last axis, in motor order (a copy)."""
        names = _listed(from_names, "from_names")
        if len(names) != len(self.joints) or set(map(str, names)) != set(self.joint_names):
            raise ConfigError(f"expected the joints {list(self.joint_names)} in any order, got {list(names)}")
        array = np.asarray(values)
        if array.ndim == 0 or array.shape[-1] != len(names):
            raise ShapeError(f"expected values of shape (..., {len(names)}), got {array.shape}")
        return array[..., [names.index(n) for n in self.joint_names]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers that JSON can write."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["joints"] = [asdict(j) for j in self.joints]
        plain["poses"] = {name: list(q) for name, q in self.poses.items()}
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RobotConfig":
        """Build from what :meth:`to_dict` gave; unknown and missing keys are refused, ``data`` stays as it is."""
        _check_keys(cls, data, "robot")
        plain = dict(data)
        joints = []
        for entry in _listed(plain.pop("joints"), "joints"):
            _check_keys(JointConfig, entry, "joint")
            joints.append(JointConfig(**entry))
        return cls(joints=tuple(joints), **plain)


def _listed(values: Any, what: str) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise DTypeError(f"expected {what} as a sequence, got {type(values).__name__}")
    return tuple(values)


def _check_keys(cls: type, data: Any, what: str) -> None:
    if not isinstance(data, Mapping):
        raise DTypeError(f"expected a {what} as a mapping, got {type(data).__name__}")
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ConfigError(f"unknown keys of a {what}: {unknown}; known are {sorted(known)}")
    needed = {f.name for f in fields(cls)} - {
        "kp", "kd", "poses", "default_pose_name", "control_rate_hz", "policy_rate_hz"
    }  # fmt: skip
    missing = sorted(needed - set(data))
    if missing:
        raise ConfigError(f"missing keys of a {what}: {missing}")


def _rebuild(data: dict[str, Any]) -> RobotConfig:
    return RobotConfig.from_dict(data)
