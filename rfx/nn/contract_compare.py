"""Two contracts, or a contract and a robot, side by side: every difference by its name."""

import math
from dataclasses import dataclass
from typing import Any

from rfx.nn.contract import COMMANDS, PolicyContract, robot_of
from rfx.robots import RobotConfig


@dataclass(frozen=True)
class Difference:
    """One thing that two sides see differently: ``name``, what the policy expects, and what the other side has."""

    name: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.name}: the policy expects {_told(self.expected)}, got {_told(self.got)}"


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value + 0.0:g}"  # no minus before a 0
    if isinstance(value, tuple):
        return f"({', '.join(map(_told, value))})"
    return str(value)


def stated(contract: PolicyContract, robot: RobotConfig | None = None) -> dict[str, Any]:
    """Return everything that a contract states as flat names and values, joints by their names."""
    layout, machine = contract.layout, robot_of(contract, robot)
    flat: dict[str, Any] = {
        "robot": contract.robot,
        "observation terms": tuple(term.name for term in layout.observation.terms),
        "observation clip": layout.observation.clip,
        "observation joint order": layout.observation.joint_names,
        "action joint order": layout.action.joint_names,
        "action clip": layout.action.clip,
        "policy rate": layout.rate_hz,
        "control rate": contract.control_rate_hz,
        "quaternion order": contract.quaternion_order,
        "last action": contract.last_action,
        "history": contract.history,
        "normaliser": "present" if contract.normalizer else "absent",
    }
    if contract.history > 1:
        flat |= {
            "history order": contract.history_order,
            "history stacking": contract.history_stacking,
            "history fill": contract.history_fill,
        }
    for term in layout.observation.terms:
        scales = term.scales
        flat[f"scale of {term.name}"] = float(scales[0]) if (scales == scales[0]).all() else tuple(map(float, scales))
        flat[f"clip of {term.name}"] = "none" if term.clip is None else term.clip
        if term.name == "clock":
            flat["gait period"] = layout.gait_period
    for name in COMMANDS:
        flat[f"range of {name} commands"] = contract.command_ranges[name]
    for field, title in (("default_pose", "default pose"), ("scale", "action scale"), ("kp", "kp"), ("kd", "kd")):
        values = layout.action.in_motor_order(field, machine)
        flat |= {f"{title} of {joint}": float(v) for joint, v in zip(machine.joint_names, values, strict=True)}
    return flat


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (float, int)) and isinstance(b, (float, int)):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _grouped(found: list[Difference], joint_count: int) -> list[Difference]:
    """Write differences of all joints that are the same difference as one."""
    groups: dict[tuple[str, Any, Any], list[Difference]] = {}
    for d in found:
        title, joined, joint = d.name.partition(" of ")
        key = (
            (title, d.expected, d.got) if joined and "_" in joint and isinstance(d.expected, float) else (d.name, 0, 0)
        )
        groups.setdefault(key, []).append(d)
    merged = []
    for (title, *_), members in groups.items():
        joints = [m.name.partition(" of ")[2] for m in members]
        where = "all joints" if len(members) == joint_count else ", ".join(joints)
        name = members[0].name if len(members) == 1 else f"{title} of {where}"
        merged.append(Difference(name, members[0].expected, members[0].got))
    return merged


def differences(expected: PolicyContract, got: PolicyContract, robot: RobotConfig | None = None) -> list[Difference]:
    """Return what another side's contract states differently; golden pairs and the names of layouts are not compared."""
    mine, theirs = stated(expected, robot), stated(got, robot)
    found = [Difference(name, value, theirs.get(name, "nothing")) for name, value in mine.items()]
    found += [Difference(name, "nothing", value) for name, value in theirs.items() if name not in mine]
    return _grouped([d for d in found if not _same(d.expected, d.got)], len(expected.layout.action.joint_names))


def robot_differences(contract: PolicyContract, robot: RobotConfig) -> list[Difference]:
    """Return what the configuration of a robot states differently from a contract: joints, pose, gains and rates."""
    layout = contract.layout
    missing = sorted(set(layout.action.joint_names) ^ set(robot.joint_names))
    if missing:
        return [Difference("joints", tuple(sorted(layout.action.joint_names)), tuple(sorted(robot.joint_names)))]
    found = [
        Difference("policy rate", layout.rate_hz, robot.policy_rate_hz),
        Difference("control rate", contract.control_rate_hz, robot.control_rate_hz),
    ]
    has = {
        "default_pose": robot.default_pose if robot.default_pose_name in robot.poses else None,
        "kp": [joint.kp for joint in robot.joints],
        "kd": [joint.kd for joint in robot.joints],
    }
    for field, title in (("default_pose", "default pose"), ("kp", "kp"), ("kd", "kd")):
        values, other = layout.action.in_motor_order(field, robot), has[field]
        if other is None:
            found.append(Difference(title, "one", "none"))
            continue
        for joint, a, b in zip(robot.joint_names, values, other, strict=True):
            found.append(Difference(f"{title} of {joint}", float(a), float(b)))
    return _grouped([d for d in found if not _same(d.expected, d.got)], len(robot.joints))


def out_of_travel(contract: PolicyContract, robot: RobotConfig) -> list[str]:
    """Return the joints whose default position is outside of the robot's travel."""
    pose = contract.layout.action.in_motor_order("default_pose", robot)
    return [j.name for j, q in zip(robot.joints, pose, strict=True) if not j.position_min <= q <= j.position_max]
