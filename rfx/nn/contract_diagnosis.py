"""What mistakes with a policy look like in numbers: made on purpose, and found again from the numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract, robot_of
from rfx.nn.contract_compare import differences
from rfx.nn.contract_faults import Fault, faults_of
from rfx.nn.contract_side import ContractSide, replay
from rfx.robots import RobotConfig

TOLERANCE = 1e-4  # of numbers of order one; implementations of one network differ by about 1e-6

Array = NDArray[Any]
Behaviour = tuple[Array, Array, Array]  # observations, actions, targets


@dataclass(frozen=True)
class FaultResult:
    """What became of one injected mistake.

    ``differences`` are what the comparison by name reports, ``named`` whether the mistake is among them; ``effect`` is how
    far joint targets are off (rad), ``visible`` whether replaying the golden pairs shows it, and ``diagnosis`` what the
    replayed numbers alone are explained by.
    """

    name: str
    title: str
    named: bool
    visible: bool
    effect: float
    differences: tuple[str, ...]
    diagnosis: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Named by the comparison; and if the numbers show it, the numbers alone name it, too."""
        return self.named and (not self.visible or self.name in self.diagnosis)


def far(a: Array, b: Array) -> float:
    """Return how far a is from b at most, relative to b where b is above 1; infinity for another shape."""
    if a.shape != b.shape:
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)), initial=0.0))


def recompiled(policy: CompiledPolicy, contract: PolicyContract) -> CompiledPolicy:
    """Return the same network, stacked and normalised as another contract says."""
    settings = {**policy.settings, **contract.settings}
    if not contract.normalizer:
        settings["normalizer"] = None
    return CompiledPolicy.from_layers(policy.layers, policy.tensors, **settings)


def behaviour(policy: CompiledPolicy, contract: PolicyContract, robot: RobotConfig, golden: Any) -> Behaviour:
    """Return what somebody with this contract gets on golden readings, told the golden actions as the last ones."""
    side = ContractSide(contract, robot)
    return replay(recompiled(policy, contract), side, golden.readings, golden.actions)


def _fits(a: Behaviour, b: Behaviour) -> bool:
    return all(far(x, y) <= TOLERANCE for x, y in zip(a, b, strict=True))


def diagnose(
    policy: CompiledPolicy,
    contract: PolicyContract,
    observations: ArrayLike,
    actions: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    robot: RobotConfig | None = None,
) -> tuple[str, ...]:
    """Name the mistakes that explain what a robot's side computed on the golden readings.

    Parameters
    ----------
    policy, contract
        The contract has golden pairs. The side was asked for one golden reading after another, from a reset, and told the
        golden actions as the last ones.
    observations : array_like, shape (T, obs_dim)
    actions : array_like, shape (T, act_dim), optional
        What its network answered.
    targets : array_like, shape (T, 12), optional
        What it made of the golden actions, in motor order (rad).

    Returns
    -------
    tuple of str
        Empty if all is as it should be; the names of the mistakes, each of which explains all numbers by itself; or the
        terms, actions or joints that are off where no single mistake does.

    Raises
    ------
    ConfigError, ShapeError, InvalidValueError
        No golden pairs, other shapes, numbers that are not finite.
    """
    golden = contract.golden
    if golden is None:
        raise ConfigError("expected a contract with golden pairs; make_golden makes them")
    machine = robot_of(contract, robot)
    wanted = (golden.observations, golden.actions, golden.targets)
    given = []
    for name, value, want in zip(
        ("observations", "actions", "targets"), (observations, actions, targets), wanted, strict=True
    ):
        given.append(None if value is None else arrays.finite(arrays.floats(value, name, want.shape), name))
    right = behaviour(policy, contract, machine, golden)
    others = [(fault, behaviour(policy, fault.contract, machine, golden)) for fault in faults_of(contract)]
    seen = tuple(want if value is None else value for value, want in zip(given, right, strict=True))
    known = tuple(value is not None for value in given)
    return _explained(contract, machine, seen, right, others, known)


def _explained(
    contract: PolicyContract,
    robot: RobotConfig,
    seen: Sequence[Array],
    right: Behaviour,
    others: Sequence[tuple[Fault, Behaviour]],
    known: Sequence[bool] = (True, True, True),
) -> tuple[str, ...]:
    def fits(other: Sequence[Array]) -> bool:
        return all(far(a, b) <= TOLERANCE for a, b, k in zip(seen, other, known, strict=True) if k)

    if fits(right):
        return ()
    named = tuple(fault.name for fault, other in others if fits(other))
    if named:
        return named
    found = [
        name
        for name, where in contract.layout.observation.slices.items()
        if far(seen[0][:, where], right[0][:, where]) > TOLERANCE
    ]
    if not found and far(seen[1], right[1]) > TOLERANCE:
        found.append("actions")
    joints = [name for i, name in enumerate(robot.joint_names) if far(seen[2][:, i], right[2][:, i]) > TOLERANCE]
    return (*found, *(f"target of {name}" for name in joints))


def inject(policy: CompiledPolicy, contract: PolicyContract, robot: RobotConfig | None = None) -> list[FaultResult]:
    """Make every mistake that can be made with this policy, and tell what is noticed of it."""
    golden, machine = contract.golden, robot_of(contract, robot)
    if golden is None:
        raise ConfigError("expected a contract with golden pairs; make_golden makes them")
    right = behaviour(policy, contract, machine, golden)
    others = [(fault, behaviour(policy, fault.contract, machine, golden)) for fault in faults_of(contract)]
    results = []
    for fault, seen in others:
        found = differences(contract, fault.contract, machine)
        moved = fault.contract.layout.action.targets(seen[1], machine)
        results.append(
            FaultResult(
                fault.name,
                fault.title,
                any(d.name.startswith(fault.finding) for d in found),
                not _fits(seen, right),
                float(np.abs(moved - golden.targets).max()),
                tuple(map(str, found)),
                _explained(contract, machine, seen, right, others),
            )
        )
    return results
