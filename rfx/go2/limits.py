"""What the safety envelope allows: travel, speed, torque, step and gains of each joint, and the robot's own bounds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.robots.go2 import GO2, MOTOR_NAMES

Rows = tuple[float, ...]
Travel = tuple[tuple[float, float], ...]

STEP = 0.25  # rad
KP, KD = 300.0, 20.0
LEAST_TORQUE = 1e-3  # Nm; a bound below it is lost in rounding
TILT = 1.0  # rad
TEMPERATURE = 90.0  # degrees Celsius
STALE_S = 0.2
LOST_STATES = 4  # a single lost measurement happens; four in a row do not
DAMPING_KD = 3.0
PER_JOINT = ("velocity", "torque", "step", "kp", "kd")


def _defaults(name: str) -> Rows:
    return {
        "velocity": tuple(joint.velocity_max for joint in GO2.joints),
        "torque": tuple(joint.effort_max for joint in GO2.joints),
        "step": (STEP,) * len(MOTOR_NAMES),
        "kp": (KP,) * len(MOTOR_NAMES),
        "kd": (KD,) * len(MOTOR_NAMES),
    }[name]


def _default_travel() -> Travel:
    return tuple((joint.position_min, joint.position_max) for joint in GO2.joints)


def _by_name(given: Any, name: str, before: tuple[Any, ...]) -> list[Any]:
    """Return twelve values: of a mapping by joint (the others stay), or twelve as they are."""
    if isinstance(given, Mapping):
        values = list(before)
        for joint, value in given.items():
            if joint not in MOTOR_NAMES:
                raise ConfigError(f"expected joints of {name} to be of {', '.join(MOTOR_NAMES)}, got {joint!r}")
            values[MOTOR_NAMES.index(joint)] = value
        return values
    if not isinstance(given, tuple | list | np.ndarray) or len(given) != len(MOTOR_NAMES):
        raise DTypeError(f"expected {name} by joint name, or {len(MOTOR_NAMES)} of them, got {given!r}")
    return list(given)


def _rows(given: Any, name: str) -> Rows:
    if isinstance(given, int | float | np.number) and not isinstance(given, bool):
        given = (given,) * len(MOTOR_NAMES)
    values = _by_name(given, name, _defaults(name))
    least = LEAST_TORQUE if name == "torque" else 0.0
    checked = (arrays.number(v, f"{name} of {j}", minimum=least) for v, j in zip(values, MOTOR_NAMES, strict=True))
    return tuple(checked)


def _travel(given: Any) -> Travel:
    pairs = []
    for pair, joint in zip(_by_name(given, "position", _default_travel()), MOTOR_NAMES, strict=True):
        if not isinstance(pair, tuple | list | np.ndarray) or len(pair) != 2:
            raise DTypeError(f"expected position of {joint} to be (lowest, highest), got {pair!r}")
        low, high = (arrays.number(v, f"position of {joint}", minimum=-1e6, maximum=1e6) for v in pair)
        if not low < high:
            raise InvalidValueError(f"expected position of {joint} to be (lowest, highest), got ({low}, {high})")
        pairs.append((low, high))
    return tuple(pairs)


@dataclass(frozen=True)
class SafetyLimits:
    """Bounds that no command passes, whoever sends it.

    What is given by joint is a number for all, a mapping from joint names (the others keep their default), or twelve
    values in motor order; it is kept as twelve values. There is no way to switch a bound off short of a wide number.

    Parameters
    ----------
    position : mapping or sequence of (lowest, highest)
        Travel of the targets (rad); a joint measured beyond it may be held where it is, up to 0.05 rad. Default: that of
        ``rfx.robots.GO2``.
    velocity : number, mapping or sequence
        Of the targets and of the joints themselves (rad/s): one that turns faster brings damping. Default: GO2's.
    torque : number, mapping or sequence
        What ``kp (q* - q) + kd (dq* - dq) + tau`` may give at the measured q and dq, and tau by itself (Nm, at least
        0.001). Default: GO2's.
    step : number, mapping or sequence
        The most by which a target may differ from the one sent before, or from the measured position at first (rad).
    kp, kd : number, mapping or sequence
        The highest gains (Nm/rad, Nm s/rad).
    tilt : float
        The largest angle between the trunk's z axis and the vertical (rad); pi allows all.
    temperature : float
        From here on a motor is too hot (degrees Celsius).
    stale_s : float
        A state older than this is none (s).
    lost_states : int
        A motor that was lost in so many states in a row is not measured any more.
    damping_kd : float
        The gain of damping (Nm s/rad).

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError
        Unknown joints, numbers out of range or of the wrong type.

    Examples
    --------
    >>> limits = SafetyLimits(torque={"FR_calf": 20.0}, tilt=0.6)
    >>> limits.of("FR_calf")["torque"], limits.of("FL_calf")["torque"]
    (20.0, 45.43)
    """

    position: Any = None
    velocity: Any = None
    torque: Any = None
    step: Any = STEP
    kp: Any = KP
    kd: Any = KD
    tilt: float = TILT
    temperature: float = TEMPERATURE
    stale_s: float = STALE_S
    lost_states: int = LOST_STATES
    damping_kd: float = DAMPING_KD

    def __post_init__(self) -> None:
        travel = _default_travel() if self.position is None else _travel(self.position)
        checked: dict[str, Any] = {"position": travel}
        for name in PER_JOINT:
            given = getattr(self, name)
            checked[name] = _defaults(name) if given is None else _rows(given, name)
        checked["tilt"] = arrays.number(self.tilt, "tilt", above=0, maximum=math.pi)
        checked["temperature"] = arrays.number(self.temperature, "temperature", above=0, maximum=1000)
        checked["stale_s"] = arrays.number(self.stale_s, "stale_s", above=0, maximum=3600)
        checked["lost_states"] = arrays.integer(self.lost_states, "lost_states", minimum=1, maximum=2**31 - 1)
        checked["damping_kd"] = arrays.number(self.damping_kd, "damping_kd", minimum=0, maximum=1000)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def of(self, joint: str) -> dict[str, Any]:
        """Return the bounds of one joint by name."""
        i = GO2.index_of(joint)
        return {name: getattr(self, name)[i] for name in ("position", *PER_JOINT)}

    def with_joint(self, joint: str, **bounds: Any) -> Self:
        """Return a copy with other bounds for one joint: any of position, velocity, torque, step, kp, kd."""
        i = GO2.index_of(joint)
        changed: dict[str, Any] = {}
        for name, value in bounds.items():
            if name not in ("position", *PER_JOINT):
                raise ConfigError(f"expected bounds of {joint} to be position, {', '.join(PER_JOINT)}, got {name!r}")
            row = list(getattr(self, name))
            row[i] = value
            changed[name] = tuple(row)
        return replace(self, **changed)

    def __repr__(self) -> str:
        plain = SafetyLimits._plain()
        changed = [f.name for f in fields(self) if getattr(self, f.name) != plain[f.name]]
        return f"SafetyLimits({', '.join(f'{name}={getattr(self, name)!r}' for name in changed)})"

    @classmethod
    def _plain(cls) -> dict[str, Any]:
        made = SafetyLimits()
        return {f.name: getattr(made, f.name) for f in fields(made)}
