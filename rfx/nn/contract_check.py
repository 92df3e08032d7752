"""Whether a policy file does what it says, and whether mistakes with it would be noticed."""

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rfx.errors import ConfigError, DTypeError, RfxError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract, robot_of
from rfx.nn.contract_compare import differences, out_of_travel, robot_differences
from rfx.nn.contract_diagnosis import TOLERANCE, FaultResult, behaviour, far, inject
from rfx.nn.files import read_policy_directory
from rfx.nn.tensor_file import parse_json
from rfx.robots import GO2, LAYOUTS, PolicyLayout, RobotConfig


@dataclass(frozen=True)
class Finding:
    """One line of a check: ``status`` is ok, warn or fail."""

    name: str
    status: str
    detail: str


@dataclass
class CheckReport:
    """Everything that a check found."""

    policy: str
    findings: list[Finding] = field(default_factory=list)
    faults: list[FaultResult] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed and every mistake was caught."""
        return not any(f.status == "fail" for f in self.findings) and all(f.caught for f in self.faults)

    def add(self, name: str, status: str, detail: str) -> None:
        """Append a finding."""
        self.findings.append(Finding(name, status, detail))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can write."""
        faults = [{**asdict(f), "caught": f.caught} for f in self.faults]
        findings = [asdict(f) for f in self.findings]
        return {"policy": self.policy, "ok": self.ok, "findings": findings, "faults": faults, "seconds": self.seconds}


def read_robot(source: Any) -> RobotConfig | PolicyContract | PolicyLayout:
    """Return what the robot's side states: a name, a JSON file, a policy file, or one of the objects themselves.

    Parameters
    ----------
    source : str, path, RobotConfig, PolicyContract or PolicyLayout
        ``"go2"``, the name of a layout of ``rfx.robots.LAYOUTS``, a JSON file with the ``to_dict`` of one of the three, or
        a policy file, whose contract is taken.

    Raises
    ------
    ConfigError, CodecError
        Nothing of that kind.
    """
    if isinstance(source, (RobotConfig, PolicyContract, PolicyLayout)):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise DTypeError(f"expected a robot as a name, a file or a RobotConfig, got {type(source).__name__}")
    if source == GO2.name:
        return GO2
    if source in LAYOUTS:
        return LAYOUTS[str(source)]
    path = Path(source)
    if path.is_dir():
        contract = read_policy_directory(path).config.get("contract")
        if contract is None:
            raise ConfigError(f"{path}: this policy file has no contract")
        return PolicyContract.from_dict(contract)
    try:
        data = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        names = ", ".join([GO2.name, *LAYOUTS])
        raise ConfigError(f"expected a robot as one of {names}, or a file: {error}") from error
    try:
        if "format" in data:
            return PolicyContract.from_dict(data)
        return PolicyLayout.from_dict(data) if "observation" in data else RobotConfig.from_dict(data)
    except RfxError as error:
        raise ConfigError(f"{path}: {error}") from error


def _compare(report: CheckReport, contract: PolicyContract, robot: Any) -> None:
    if isinstance(robot, RobotConfig):
        found, name = robot_differences(contract, robot), robot.name
    else:
        if isinstance(robot, PolicyLayout):
            robot = contract.replace(layout=robot, golden=None)
        found, name = differences(contract, robot), robot.layout.name
    for difference in found:
        report.add("robot", "fail", str(difference))
    if not found:
        report.add("robot", "ok", f"{name} states what the policy expects")


def _replay(
    report: CheckReport, policy: CompiledPolicy, contract: PolicyContract, robot: RobotConfig, mistakes: bool
) -> None:
    golden = contract.golden
    if golden is None:
        report.add("golden pairs", "fail", "the contract has none: nothing can be proved; make_golden makes them")
        return
    seen = behaviour(policy, contract, robot, golden)
    right = (golden.observations, golden.actions, golden.targets)
    apart = [far(a, b) for a, b in zip(seen, right, strict=True)]
    for what, distance in zip(("observations", "actions", "targets"), apart, strict=True):
        status = "ok" if distance <= TOLERANCE else "fail"
        report.add(f"golden {what}", status, f"{len(golden)} steps, apart by up to {distance:.1e}")
    outside = np.logical_or(golden.targets < robot.lower - 1e-6, golden.targets > robot.upper + 1e-6)
    if outside.any():
        joints = [name for i, name in enumerate(robot.joint_names) if outside[:, i].any()]
        report.add("travel", "warn", f"some golden targets are beyond the travel of {', '.join(joints)}")
    if mistakes:
        report.faults = inject(policy, contract, robot)


def check_policy(path: str | os.PathLike[str], robot: Any = None, *, mistakes: bool = True) -> CheckReport:
    """Check a policy file: its golden pairs, its contract against a robot, and what mistakes would look like.

    Parameters
    ----------
    path : path
        A folder that ``Policy.save`` wrote, with a contract.
    robot : optional
        What the robot's side is configured with; see :func:`read_robot`.
    mistakes : bool
        Whether to try what mistakes would look like, which takes most of the time.

    Raises
    ------
    ConfigError, CodecError, FileNotFoundError
        No policy file, or one that cannot be compiled or contradicts itself.
    """
    start = time.perf_counter()
    files = read_policy_directory(path)
    report = CheckReport(str(path))
    policy = CompiledPolicy.load(path)
    report.add("network", "ok", repr(policy))
    contract = policy.contract
    if contract is None:
        report.add("contract", "fail", "the file says nothing about the robot; write_contract adds it")
    else:
        _contract(report, policy, contract, files)
        side = None if robot is None else read_robot(robot)
        machine = side if isinstance(side, RobotConfig) else files.robot_config or robot_of(contract)
        if set(machine.joint_names) != set(contract.layout.action.joint_names):
            machine = robot_of(contract)
        if not any(f.status == "fail" for f in report.findings):
            _replay(report, policy, contract, machine, mistakes)
        if side is not None:
            _compare(report, contract, side)
    report.seconds = time.perf_counter() - start
    return report


def _contract(report: CheckReport, policy: CompiledPolicy, contract: PolicyContract, files: Any) -> None:
    """Whether the contract fits the network beside it."""
    layout = contract.layout
    sizes = (policy.obs_dim, policy.act_dim)
    wanted = (layout.observation.size, layout.action.size)
    if sizes != wanted:
        text = f"the layout {layout.name} has {wanted[0]} -> {wanted[1]} numbers, the network {sizes[0]} -> {sizes[1]}"
        report.add("contract", "fail", text)
    if contract.normalizer != (files.normalizer is not None):
        said, there = ("a" if flag else "no" for flag in (contract.normalizer, files.normalizer is not None))
        report.add("normaliser", "fail", f"the contract says {said} normaliser, the file has {there} normaliser")
    if "base_lin_vel" in layout.observation.slices:
        text = "a robot under low-level control does not measure it: rfx robot run --estimate-velocity"
        report.add("base_lin_vel", "warn", text)
    outside = out_of_travel(contract, robot_of(contract))
    if outside:
        report.add("default pose", "fail", f"outside of the travel of {', '.join(outside)}")
    if not any(f.status == "fail" for f in report.findings):
        text = f"layout {layout.name}, {wanted[0]} -> {wanted[1]}, {layout.rate_hz:g} Hz, PD at {contract.control_rate_hz:g} Hz"
        report.add("contract", "ok", text)
