"""What the robot side has to know about a policy, as plain data that travels in the policy's own file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, RfxError
from rfx.robots import GO2, PolicyLayout, RobotConfig, policy_layout

FORMAT, VERSION = "rfx-contract", 1
QUATERNION_ORDERS = ("wxyz", "xyzw")
LAST_ACTIONS = ("clipped", "raw")
HISTORY_ORDERS = ("oldest_first", "newest_first")
STACKINGS = ("frames", "terms")
FILLS = ("first", "zero")
COMMANDS = ("forward", "left", "yaw")  # m/s, m/s, rad/s
# what a robot measures or is told, and how many numbers each has; those of the joints in the robot's motor order
READINGS = {
    "quaternion": 4,
    "base_lin_vel": 3,
    "base_ang_vel": 3,
    "velocity_commands": 3,
    "joint_pos": 12,
    "joint_vel": 12,
}

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class GoldenPairs:
    """What the policy does on some readings of a robot, one policy step after another from a reset.

    Parameters
    ----------
    readings : mapping of str to array_like
        ``READINGS``, each (T, n): attitude (in the contract's order), velocities in the body frame (m/s, rad/s),
        commands, joints in motor order (rad, rad/s).
    observations : array_like, shape (T, obs_dim)
        What the policy gets of them, single observations without history.
    actions : array_like, shape (T, act_dim)
        What the network answers, neither clipped nor scaled.
    targets : array_like, shape (T, 12)
        Joint targets in motor order (rad).

    Raises
    ------
    ConfigError, ShapeError, InvalidValueError
        Missing readings, lengths that differ, numbers that are not finite.
    """

    readings: Mapping[str, Array]
    observations: Array
    actions: Array
    targets: Array

    def __post_init__(self) -> None:
        if not isinstance(self.readings, Mapping) or set(self.readings) != set(READINGS):
            got = sorted(self.readings) if isinstance(self.readings, Mapping) else type(self.readings).__name__
            raise ConfigError(f"expected golden readings {sorted(READINGS)}, got {got}")
        steps = len(np.atleast_1d(np.asarray(self.observations, dtype=object)))
        readings = {name: _rows(self.readings[name], f"golden {name}", steps, n) for name, n in READINGS.items()}
        object.__setattr__(self, "readings", readings)
        for name, width in (("observations", None), ("actions", None), ("targets", 12)):
            object.__setattr__(self, name, _rows(getattr(self, name), f"golden {name}", steps, width))
        if not steps:
            raise ConfigError("expected at least one golden pair")

    def __len__(self) -> int:
        return len(self.observations)

    def __repr__(self) -> str:
        return f"GoldenPairs({len(self)} steps, {self.observations.shape[1]} -> {self.actions.shape[1]})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists; float32 numbers, written as short as they can be."""
        return {
            "readings": {name: _short(rows) for name, rows in self.readings.items()},
            "observations": _short(self.observations),
            "actions": _short(self.actions),
            "targets": _short(self.targets),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GoldenPairs":
        """Build from what :meth:`to_dict` gave."""
        return cls(**checked_keys(data, cls, "golden pairs"))


@dataclass(frozen=True, eq=False)
class PolicyContract:
    """How a policy is to be used: the layout of its observations and actions, and what no layout says.

    Parameters
    ----------
    layout : PolicyLayout or str
        Terms with order, scales and clips; joints by name in the policy's order; default pose, action scale and clip,
        gains; the rate of the policy. A name of ``rfx.robots.LAYOUTS`` stands for that layout.
    control_rate_hz : float
        Rate of the PD loop that follows the targets (Hz), at least the policy's.
    quaternion_order : {"wxyz", "xyzw"}
        Order of the attitude in the readings that gravity is computed from.
    command_ranges : mapping of {"forward", "left", "yaw"} to pair of float
        What the policy was trained with (m/s, m/s, rad/s).
    last_action : {"clipped", "raw"}
        Whether the last action comes back to the policy as clipped or as the network gave it.
    history : int
        How many observations the network sees.
    history_order : {"oldest_first", "newest_first"}
    history_stacking : {"frames", "terms"}
        One whole observation after the other, or the whole history of each term after the other.
    history_fill : {"first", "zero"}
        What stands for the observations before the first one.
    normalizer : bool
        Whether the policy's file has a normaliser, which is part of the network.
    robot : str
        Name of the robot.
    golden : GoldenPairs, optional

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError, ShapeError
        The message names the field, what was expected and what came.
    """

    layout: PolicyLayout
    control_rate_hz: float = 500.0
    quaternion_order: str = "wxyz"
    command_ranges: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"forward": (-1.0, 1.0), "left": (-1.0, 1.0), "yaw": (-1.0, 1.0)}
    )
    last_action: str = "clipped"
    history: int = 1
    history_order: str = "oldest_first"
    history_stacking: str = "frames"
    history_fill: str = "first"
    normalizer: bool = False
    robot: str = "go2"
    golden: GoldenPairs | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", policy_layout(self.layout))
        object.__setattr__(self, "control_rate_hz", arrays.number(self.control_rate_hz, "control_rate_hz", above=0))
        if self.control_rate_hz < self.layout.rate_hz:
            raise ConfigError(
                f"expected control_rate_hz to be at least the policy's {self.layout.rate_hz:g} Hz, "
                f"got {self.control_rate_hz:g}"
            )
        for name, choices in (
            ("quaternion_order", QUATERNION_ORDERS),
            ("last_action", LAST_ACTIONS),
            ("history_order", HISTORY_ORDERS),
            ("history_stacking", STACKINGS),
            ("history_fill", FILLS),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"expected {name} to be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        object.__setattr__(self, "history", arrays.integer(self.history, "history", minimum=1, maximum=4096))
        if not isinstance(self.normalizer, bool):
            raise DTypeError(f"expected normalizer to be true or false, got {type(self.normalizer).__name__}")
        if not isinstance(self.robot, str) or not self.robot:
            raise ConfigError(f"expected robot to be a name, got {self.robot!r}")
        object.__setattr__(self, "command_ranges", _ranges(self.command_ranges))
        if self.golden is not None:
            if not isinstance(self.golden, GoldenPairs):
                raise DTypeError(f"expected golden to be GoldenPairs, got {type(self.golden).__name__}")
            widths = (self.golden.observations.shape[1], self.golden.actions.shape[1])
            if widths != (self.layout.observation.size, self.layout.action.size):
                raise ConfigError(
                    f"expected golden pairs of {self.layout.observation.size} -> {self.layout.action.size} numbers "
                    f"as the layout {self.layout.name} has them, got {widths[0]} -> {widths[1]}"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicyContract) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        golden = f", golden={len(self.golden)}" if self.golden is not None else ""
        size = f"{self.layout.observation.size} -> {self.layout.action.size}"
        return f"PolicyContract({self.layout.name!r}, {size}, history={self.history}{golden})"

    @property
    def settings(self) -> dict[str, Any]:
        """How a :class:`CompiledPolicy` has to stack observations: keyword arguments of its ``from_layers``."""
        sizes = tuple(term.size for term in self.layout.observation.terms)
        return {
            "history": self.history,
            "history_order": self.history_order,
            "history_terms": sizes if self.history_stacking == "terms" else None,
            "history_fill": self.history_fill,
        }

    def replace(self, **changes: Any) -> "PolicyContract":
        """Return a copy with some fields changed, checked again."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers that JSON can write: the key ``contract`` of ``rfx_config.json``."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["layout"] = self.layout.to_dict()
        plain["command_ranges"] = {name: list(pair) for name, pair in self.command_ranges.items()}
        plain["golden"] = None if self.golden is None else self.golden.to_dict()
        return {"format": FORMAT, "version": VERSION, **plain}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PolicyContract":
        """Build from what :meth:`to_dict` gave; unknown and missing keys and newer versions are refused."""
        if not isinstance(data, Mapping):
            raise DTypeError(f"expected a contract as an object, got {type(data).__name__}")
        if data.get("format") != FORMAT or type(data.get("version")) is not int:
            raise ConfigError(f"expected a contract of format {FORMAT!r}, got {data.get('format')!r}")
        if data["version"] > VERSION:
            raise ConfigError(f"a contract of version {data['version']}, this rfx reads up to {VERSION}: update it")
        plain = checked_keys({k: v for k, v in data.items() if k not in ("format", "version")}, cls, "contract")
        try:
            plain["layout"] = PolicyLayout.from_dict(plain["layout"])
            plain["golden"] = None if plain["golden"] is None else GoldenPairs.from_dict(plain["golden"])
            return cls(**plain)
        except TypeError as error:
            if isinstance(error, RfxError):
                raise
            raise DTypeError(f"expected a contract of numbers, names and lists: {error}") from error


def checked_keys(data: Any, cls: type, what: str) -> dict[str, Any]:
    """Return the data as a dict if its keys are the fields of ``cls``."""
    known = {f.name for f in fields(cls)}
    if not isinstance(data, Mapping) or set(data) != known:
        got = sorted(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise ConfigError(f"expected the keys {sorted(known)} of {what}, got {got}")
    return dict(data)


def _rows(value: ArrayLike, name: str, steps: int, width: int | None) -> Array:
    rows = arrays.finite(arrays.floats(value, name, (steps, width)), name).astype(np.float32)
    return arrays.finite(rows, name)


def _short(rows: Array) -> list[list[float]]:
    return [[float(str(x)) for x in row] for row in np.asarray(rows, np.float32)]


def _ranges(value: Any) -> dict[str, tuple[float, float]]:
    if not isinstance(value, Mapping) or set(value) != set(COMMANDS):
        got = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
        raise ConfigError(f"expected command_ranges of {', '.join(COMMANDS)}, got {got}")
    checked = {}
    for name in COMMANDS:
        pair = arrays.finite(arrays.floats(value[name], f"range of {name}", (2,)), f"range of {name}")
        if pair[0] > pair[1]:
            raise ConfigError(f"expected the range of {name} as (lowest, highest), got {tuple(map(float, pair))}")
        checked[name] = (float(pair[0]), float(pair[1]))
    return checked


def robot_of(contract: PolicyContract, robot: RobotConfig | None = None) -> RobotConfig:
    """Return the robot given, or the one that the contract names; ConfigError if it is not known."""
    if robot is not None:
        return robot
    if contract.robot != GO2.name:
        raise ConfigError(f"the contract is for the robot {contract.robot!r}; pass its RobotConfig")
    return GO2
