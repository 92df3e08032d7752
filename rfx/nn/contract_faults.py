"""The mistakes that are made on the way from a policy to a robot, each as the contract of somebody who makes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rfx.nn.contract import PolicyContract
from rfx.robots import LAYOUTS, ActionLayout, ObservationTerm, PolicyLayout

Change = Callable[[PolicyContract], PolicyContract | None]


@dataclass(frozen=True)
class Fault:
    """A mistake: its name, what it is, what a comparison by name has to find, and the contract of who makes it."""

    name: str
    title: str
    finding: str
    contract: PolicyContract


def _layout(contract: PolicyContract, **changes: Any) -> PolicyContract:
    return contract.replace(layout=replace(contract.layout, **changes), golden=None)


def _term(contract: PolicyContract, name: str, change: Callable[[ObservationTerm], ObservationTerm]) -> Any:
    """Change one term of the observation; None where there is no such term, or nothing changes."""
    observation = contract.layout.observation
    terms = tuple(change(term) if term.name == name else term for term in observation.terms)
    return None if terms == observation.terms else _layout(contract, observation=replace(observation, terms=terms))


def _scaled(name: str, usual: Sequence[float]) -> Change:
    """Another scale of a term: 1 where it has one, otherwise what others use."""

    def change(term: ObservationTerm) -> ObservationTerm:
        other: Any = tuple(usual) if (term.scales == 1.0).all() else 1.0
        return replace(term, scale=other[0] if isinstance(other, tuple) and len(other) == 1 else other)

    return lambda contract: _term(contract, name, change)


def _renamed(contract: PolicyContract, names: Callable[[str], str]) -> PolicyContract:
    layout = contract.layout
    return _layout(
        contract,
        observation=replace(layout.observation, joint_names=tuple(map(names, layout.observation.joint_names))),
        action=replace(layout.action, joint_names=tuple(map(names, layout.action.joint_names))),
    )


def _left_right(contract: PolicyContract) -> PolicyContract:
    return _renamed(contract, lambda name: name[0] + {"L": "R", "R": "L"}[name[1]] + name[2:])


def _front_rear(contract: PolicyContract) -> PolicyContract:
    return _renamed(contract, lambda name: {"F": "R", "R": "F"}[name[0]] + name[1:])


def _other_grouping(contract: PolicyContract) -> PolicyContract:
    """Joints grouped by part where they are grouped by leg, and the other way round."""
    mine = contract.layout.action.joint_names
    legs = list(dict.fromkeys(name.partition("_")[0] for name in mine))
    by_part = tuple(f"{leg}_{part}" for part in ("hip", "thigh", "calf") for leg in legs)
    by_leg = tuple(f"{leg}_{part}" for leg in legs for part in ("hip", "thigh", "calf"))
    table = dict(zip(mine, by_leg if mine == by_part else by_part, strict=True))
    return _renamed(contract, table.__getitem__)


def _action(**changes: Callable[[ActionLayout], Any]) -> Change:
    def change(contract: PolicyContract) -> PolicyContract:
        action = contract.layout.action
        return _layout(contract, action=replace(action, **{k: make(action) for k, make in changes.items()}))

    return change


def _times(values: Any, factor: float) -> Any:
    return tuple(factor * v for v in values) if isinstance(values, tuple) else factor * values


def _one_sign(contract: PolicyContract) -> Any:
    def turn(term: ObservationTerm) -> ObservationTerm:
        scales = term.scales
        scales[2] *= -1.0
        return replace(term, scale=tuple(scales))

    for name in ("joint_pos_rel", "joint_pos"):
        changed = _term(contract, name, turn)
        if changed is not None:
            return changed
    return None


def _other_positions(contract: PolicyContract) -> Any:
    """Joint positions themselves where they are meant relative to the default pose, and the other way round."""
    other = {"joint_pos_rel": "joint_pos", "joint_pos": "joint_pos_rel"}
    names = {term.name for term in contract.layout.observation.terms}
    if names >= set(other) or not names & set(other):
        return None
    (present,) = names & set(other)
    return _term(contract, present, lambda term: replace(term, name=other[present]))


def _flipped(field: str, choices: tuple[str, str]) -> Change:
    def change(contract: PolicyContract) -> PolicyContract:
        now = getattr(contract, field)
        return contract.replace(**{field: choices[1] if now == choices[0] else choices[0]}, golden=None)

    return change


def _with_history(field: str, choices: tuple[str, str]) -> Change:
    flipped = _flipped(field, choices)
    return lambda contract: flipped(contract) if contract.history > 1 else None


def _without_normalizer(contract: PolicyContract) -> PolicyContract | None:
    return contract.replace(normalizer=False, golden=None) if contract.normalizer else None


def _ranges(contract: PolicyContract) -> PolicyContract:
    wider = {name: (low - 0.5, high + 0.5) for name, (low, high) in contract.command_ranges.items()}
    return contract.replace(command_ranges=wider, golden=None)


def _last_action_scaled(contract: PolicyContract) -> Any:
    """What was sent to the joints comes back in place of what the policy gave."""
    action = contract.layout.action
    scales = np.broadcast_to(np.asarray(action.scale, np.float64), (action.size,))
    by_joint = dict(zip(action.joint_names, scales, strict=True))
    order = [by_joint[name] for name in contract.layout.observation.joint_names]
    return _term(
        contract,
        "last_action",
        lambda t: replace(t, scale=tuple(float(a * b) for a, b in zip(t.scales, order, strict=True))),
    )


_FAULTS: list[tuple[str, str, str, Change]] = [
    ("legs left/right", "left and right legs exchanged", "observation joint order", _left_right),
    ("legs front/rear", "front and rear legs exchanged", "observation joint order", _front_rear),
    ("joint order", "joints grouped by part instead of leg, or back", "observation joint order", _other_grouping),
    ("joint sign", "one joint measured with the other sign", "scale of joint_pos", _one_sign),
    (
        "default pose", "a default pose without its hips, 0.1 rad deeper", "default pose",
        _action(default_pose=lambda a: tuple(
            0.05 if n.endswith("hip") and not q else 0.0 if n.endswith("hip") else q + 0.1
            for n, q in zip(a.joint_names, a.default_pose, strict=True)
        )),
    ),
    ("action scale", "actions scaled by half", "action scale", _action(scale=lambda a: _times(a.scale, 0.5))),
    ("gyro scale", "another scale of the angular velocity", "scale of base_ang_vel", _scaled("base_ang_vel", (0.25,))),
    (
        "command scale", "another scale of the commands", "scale of velocity_commands",
        _scaled("velocity_commands", (2.0, 2.0, 0.25)),
    ),
    ("joint velocity scale", "another scale of the joint velocities", "scale of joint_vel", _scaled("joint_vel", (0.05,))),
    ("linear velocity scale", "another scale of the velocity", "scale of base_lin_vel", _scaled("base_lin_vel", (2.0,))),
    (
        "gravity sign", "gravity points up", "scale of projected_gravity",
        lambda c: _term(c, "projected_gravity", lambda t: replace(t, scale=_times(t.scale, -1.0))),
    ),
    ("absolute positions", "joint positions not relative to the default pose, or back", "observation terms", _other_positions),
    ("quaternion order", "wxyz read as xyzw, or back", "quaternion order", _flipped("quaternion_order", ("wxyz", "xyzw"))),
    ("missing normaliser", "observations not normalised", "normaliser", _without_normalizer),
    ("last action", "the last action not clipped, or clipped", "last action", _flipped("last_action", ("clipped", "raw"))),
    ("last action scaled", "joint offsets fed back in place of the action", "scale of last_action", _last_action_scaled),
    ("kp", "position gains doubled", "kp of", _action(kp=lambda a: _times(a.kp, 2.0))),
    ("kd", "velocity gains doubled", "kd of", _action(kd=lambda a: _times(a.kd, 2.0))),
    ("policy rate", "the policy asked at half its rate", "policy rate", lambda c: _layout(c, rate_hz=c.layout.rate_hz / 2)),
    (
        "control rate", "the PD loop at twice its rate", "control rate",
        lambda c: c.replace(control_rate_hz=2 * c.control_rate_hz, golden=None),
    ),
    ("action clip", "actions clipped elsewhere", "action clip", _action(clip=lambda a: 0.2 if a.clip != 0.2 else 100.0)),
    ("command range", "commands beyond what it was trained with", "range of", _ranges),
    ("history order", "observations stacked the other way round", "history order",
     _with_history("history_order", ("oldest_first", "newest_first"))),
    ("history stacking", "history by term instead of by frame, or back", "history stacking",
     _with_history("history_stacking", ("frames", "terms"))),
    ("history fill", "zeros before the first observation, or copies of it", "history fill",
     _with_history("history_fill", ("first", "zero"))),
]  # fmt: skip


def _confused(contract: PolicyContract, other: PolicyLayout) -> PolicyContract | None:
    """Take the observation for another layout of the same size, term by term."""
    mine = contract.layout.observation
    scaled = [[(term.name, tuple(term.scales)) for term in layout.terms] for layout in (mine, other.observation)]
    if other.observation.size != mine.size or scaled[0] == scaled[1]:
        return None
    return _layout(contract, observation=replace(other.observation, joint_names=mine.joint_names))


def faults_of(contract: PolicyContract) -> list[Fault]:
    """Return every mistake that can be made with a policy of this contract."""
    found = []
    for name, title, finding, change in _FAULTS:
        changed = change(contract)
        if changed is not None:
            found.append(Fault(name, title, finding, changed))
    for other in LAYOUTS.values():
        changed = _confused(contract, other)
        if changed is not None:
            same_terms = [t.name for t in other.observation.terms] == [
                t.name for t in contract.layout.observation.terms
            ]
            finding = "scale of" if same_terms else "observation terms"
            found.append(Fault(f"layout {other.name}", f"taken for the layout {other.name}", finding, changed))
    return found
