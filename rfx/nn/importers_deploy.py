"""The ``deploy.yaml`` of Isaac Lab trainings (unitree_rl_lab, unitree_rl_mjlab) as a contract.

Of each policy joint ``joint_ids_map`` names the motor; ``stiffness`` and ``damping`` are in motor order, everything else
about joints in the policy's. Observations are clipped, then scaled; histories are stacked term by term, oldest first,
unless ``use_gym_history`` says frame by frame. Source: export_deploy_cfg.py and the ObservationManager of unitree_rl_lab.
"""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import CodecError, ConfigError, MissingDependencyError
from rfx.nn.contract import PolicyContract
from rfx.robots import GO2, ActionLayout, ObservationLayout, ObservationTerm, PolicyLayout, RobotConfig

# what terms are called there -> here
TERMS = {
    "base_lin_vel": "base_lin_vel",
    "base_ang_vel": "base_ang_vel",
    "projected_gravity": "projected_gravity",
    "velocity_commands": "velocity_commands",
    "keyboard_velocity_commands": "velocity_commands",
    "joint_pos_rel": "joint_pos_rel",
    "joint_pos": "joint_pos_rel",
    "joint_vel_rel": "joint_vel",
    "joint_vel": "joint_vel",
    "last_action": "last_action",
    "actions": "last_action",
}
RANGES = {"forward": "lin_vel_x", "left": "lin_vel_y", "yaw": "ang_vel_z"}
SWITCHES = ("use_gym_history", "scale_first")
BEYOND_TRAVEL = 10.0  # rad; a bound of joint targets further out bounds nothing
NO_CLIP = 1e6


def read_settings(source: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a YAML or JSON file, or those given.

    Raises
    ------
    MissingDependencyError
        A YAML file, and no package ``pyyaml``.
    CodecError
        Neither YAML nor JSON, or no mapping.
    """
    if isinstance(source, Mapping):
        return dict(source)
    text = Path(source).read_text(encoding="utf-8", errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        try:
            yaml = importlib.import_module("yaml")
        except ImportError as error:
            raise MissingDependencyError(f"{source}: YAML files need the package pyyaml: pip install pyyaml") from error
        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise CodecError(f"{source}: expected YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, Mapping):
        raise CodecError(f"{source}: expected a mapping, got {type(found).__name__}")
    return dict(found)


def _entry(settings: Mapping[str, Any], *path: str) -> Any:
    for i, key in enumerate(path):
        if not isinstance(settings, Mapping) or key not in settings:
            raise ConfigError(f"expected {'.'.join(path[: i + 1])} in the settings of the deployment")
        settings = settings[key]
    return settings


def _joints(settings: Mapping[str, Any], robot: RobotConfig) -> list[int]:
    order = _entry(settings, "joint_ids_map")
    if not isinstance(order, Sequence) or sorted(map(str, order)) != sorted(map(str, range(len(robot.joints)))):
        raise ConfigError(f"expected joint_ids_map to name each of {len(robot.joints)} motors once, got {order!r:.100}")
    return [int(i) for i in order]


def _row(value: Any, name: str, n: int) -> tuple[float, ...]:
    row = arrays.finite(arrays.floats(value, name), name)
    if row.shape not in ((), (n,)):
        raise ConfigError(f"expected {name} as one number or {n}, got shape {row.shape}")
    return tuple(float(x) for x in np.broadcast_to(row, (n,)))


def _term(name: str, entry: Any, scale_first: bool) -> ObservationTerm:
    if name not in TERMS:
        raise ConfigError(f"expected observations among {', '.join(TERMS)}, got {name!r}")
    if not isinstance(entry, Mapping):
        raise ConfigError(f"expected the settings of the observation {name}, got {entry!r:.80}")
    term = ObservationTerm(TERMS[name])
    scale = 1.0 if entry.get("scale") is None else _row(entry["scale"], f"scale of {name}", term.size)
    clip = entry.get("clip")
    if clip is not None:
        low, high = arrays.finite(arrays.floats(clip, f"clip of {name}", (2,)), f"clip of {name}")
        if low != -high:
            raise ConfigError(f"expected the clip of {name} to be symmetric, got {clip}")
        clip = float(high)
        if scale_first:
            if len(set(np.atleast_1d(scale))) != 1:
                raise ConfigError(f"{name}: scaled by different numbers, then clipped; no term can say that")
            clip /= abs(float(np.atleast_1d(scale)[0]))
    return ObservationTerm(TERMS[name], scale, clip)


def _action(settings: Mapping[str, Any], robot: RobotConfig) -> ActionLayout:
    order = _joints(settings, robot)
    names = tuple(robot.joint_names[i] for i in order)
    entry = _entry(settings, "actions", "JointPositionAction")
    if entry.get("joint_ids") not in (None, list(range(len(order)))):
        raise ConfigError(f"expected an action for each joint in order, got joint_ids {entry['joint_ids']}")
    offset = entry.get("offset")
    pose = _row(_entry(settings, "default_joint_pos") if offset is None else offset, "offset of the action", len(order))
    if entry.get("clip") is not None:
        bounds = arrays.floats(entry["clip"], "clip of the action")
        if (np.abs(bounds) < BEYOND_TRAVEL).any():
            raise ConfigError("the joint targets are clipped; a contract clips actions before they are scaled")
    gains = {}
    for ours, theirs in (("kp", "stiffness"), ("kd", "damping")):
        by_motor = _row(_entry(settings, theirs), theirs, len(order))
        gains[ours] = tuple(by_motor[i] for i in order)
    scale = _row(entry.get("scale", 1.0), "scale of the action", len(order))
    return ActionLayout(names, pose, scale, **gains, clip=NO_CLIP)


def contract_from_deploy(
    source: str | os.PathLike[str] | Mapping[str, Any], *, name: str = "deploy", control_rate_hz: float = 500.0
) -> PolicyContract:
    """Return the contract that a ``deploy.yaml`` describes, for a Go2.

    Parameters
    ----------
    source : path or mapping
        The file, or what is in it.
    name : str
        What to call the layout.
    control_rate_hz : float
        Rate of the PD loop on the robot (Hz), which the file does not tell.

    Raises
    ------
    ConfigError, CodecError, MissingDependencyError
        Missing or unknown entries, or what no contract can say; the message names the entry.
    """
    settings = read_settings(source)
    observations = dict(_entry(settings, "observations"))
    switches = {key: bool(observations.pop(key, False)) for key in SWITCHES}
    if len(observations) == 1:  # one group of that name, for networks with several inputs
        (group,) = observations.values()
        if isinstance(group, Mapping) and not set(group) & {"scale", "clip", "params"}:
            observations = dict(group)
            switches = {key: bool(observations.pop(key, switches[key])) for key in SWITCHES}
    terms = tuple(_term(key, entry, switches["scale_first"]) for key, entry in observations.items())
    lengths = {entry.get("history_length", 1) or 1 for entry in observations.values()}
    if len(lengths) != 1:
        raise ConfigError(f"expected every observation to have the same history_length, got {sorted(lengths)}")
    action = _action(settings, GO2)
    default = _row(_entry(settings, "default_joint_pos"), "default_joint_pos", len(action.joint_names))
    if not np.allclose(default, action.default_pose, atol=1e-6):
        raise ConfigError(
            "expected the offset of the action to be default_joint_pos: observations are relative to that"
        )
    period = arrays.number(_entry(settings, "step_dt"), "step_dt", above=0.0)
    ranges = settings.get("commands", {}).get("base_velocity", {}).get("ranges", {})
    layout = PolicyLayout(
        name, ObservationLayout(terms, action.joint_names, NO_CLIP), action, 1.0 / period, source="deploy.yaml"
    )
    return PolicyContract(
        layout,
        control_rate_hz=control_rate_hz,
        command_ranges={ours: tuple(ranges.get(theirs, (-1.0, 1.0))) for ours, theirs in RANGES.items()},
        last_action="raw",
        history=lengths.pop(),
        history_stacking="frames" if switches["use_gym_history"] else "terms",
    )
