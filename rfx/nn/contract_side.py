"""The robot's side of a contract, slow and obvious: from readings to observations, from actions to joint targets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import CodecError, ConfigError, DTypeError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import COMMANDS, READINGS, GoldenPairs, PolicyContract, robot_of
from rfx.nn.files import read_policy_directory, write_policy_directory
from rfx.robots import RobotConfig

Array = NDArray[Any]


def projected_gravity(quaternion: ArrayLike, order: str = "wxyz") -> Array:
    """Return the unit vector downwards in the body frame, (..., 3), of attitudes (..., 4) of unit length."""
    q = np.asarray(quaternion, np.float64)
    w, x, y, z = np.moveaxis(q if order == "wxyz" else q[..., [3, 0, 1, 2]], -1, 0)
    return np.stack([2 * (w * y - x * z), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1], -1)


class ContractSide:
    """What a robot has to compute for a policy, as its contract says, one step after another from a reset.

    Parameters
    ----------
    contract : PolicyContract
    robot : RobotConfig, optional
        The robot that the contract names.

    Examples
    --------
    >>> contract = PolicyContract("unitree_rl_lab")
    >>> readings = {name: rows[0] for name, rows in golden_readings(contract).items()}
    >>> side = ContractSide(contract)
    >>> side.observe(readings).shape, side.targets(np.zeros(12)).shape
    ((45,), (12,))
    """

    def __init__(self, contract: PolicyContract, robot: RobotConfig | None = None) -> None:
        self.contract = contract
        self.robot = robot_of(contract, robot)
        acting = contract.layout.action.joint_names
        self._acting = [acting.index(name) for name in contract.layout.observation.joint_names]
        self._pose = contract.layout.action.in_motor_order("default_pose", self.robot)
        self.reset()

    def __repr__(self) -> str:
        return f"ContractSide({self.contract!r}, step={self.step})"

    def reset(self) -> None:
        """Start over: no last action, the clock at 0."""
        self.step = 0
        self.last_action = np.zeros(self.contract.layout.action.size)

    def signals(self, readings: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Return every signal that an observation can be made of: joints in motor order, the last action in the layout's."""
        missing = [name for name in READINGS if name not in readings]
        if missing:
            raise ConfigError(f"expected readings {', '.join(READINGS)}, without {', '.join(missing)}")
        given = {
            name: arrays.finite(arrays.floats(readings[name], name, (n,)), name).astype(np.float64)
            for name, n in READINGS.items()
        }
        layout, last = self.contract.layout, self.last_action
        if self.contract.last_action == "clipped":
            last = np.clip(last, -layout.action.clip, layout.action.clip)
        phase = 2 * np.pi * self.step / (layout.rate_hz * layout.gait_period)
        return {
            **{name: values for name, values in given.items() if name != "quaternion"},
            "projected_gravity": projected_gravity(given["quaternion"], self.contract.quaternion_order),
            "joint_pos_rel": given["joint_pos"] - self._pose,
            "last_action": last[self._acting],
            "clock": np.array([np.sin(phase), np.cos(phase), np.sin(phase / 2)]),
        }

    def observe(self, readings: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Return the observation (obs_dim,) of the readings (``READINGS``, each (n,)), float32."""
        return self.contract.layout.observation.assemble(self.signals(readings), self.robot)

    def targets(self, action: ArrayLike) -> Array:
        """Take the network's action (act_dim,) and return the joint targets in motor order (12,), rad."""
        layout = self.contract.layout.action
        given = arrays.finite(arrays.floats(action, "action", (layout.size,)), "action").astype(np.float64)
        self.last_action = given
        self.step += 1
        return layout.targets(given, self.robot)


def golden_readings(
    contract: PolicyContract, steps: int = 16, seed: int = 0, robot: RobotConfig | None = None
) -> dict[str, Array]:
    """Return readings (T, n) that tell every mistake apart: each number differs from each other, within what is usual.

    Rolled and pitched by up to a quarter of a radian, joints within 0.4 rad of the default pose, commands within their ranges.
    """
    rng = np.random.default_rng(seed)
    machine = robot_of(contract, robot)
    tilt = rng.uniform(-0.25, 0.25, (steps, 3)) * (1.0, 1.0, 6.0)
    half = tilt / 2
    (cr, cp, cy), (sr, sp, sy) = np.cos(half).T, np.sin(half).T
    quaternion = np.stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ],
        -1,
    )
    low, high = np.array([contract.command_ranges[name] for name in COMMANDS]).T
    pose = contract.layout.action.in_motor_order("default_pose", machine)
    return {
        "quaternion": quaternion if contract.quaternion_order == "wxyz" else quaternion[:, [1, 2, 3, 0]],
        "base_lin_vel": rng.uniform(-1.0, 1.0, (steps, 3)),
        "base_ang_vel": rng.uniform(-1.5, 1.5, (steps, 3)),
        "velocity_commands": rng.uniform(low, high, (steps, 3)),
        "joint_pos": np.clip(pose + rng.uniform(-0.4, 0.4, (steps, 12)), machine.lower, machine.upper),
        "joint_vel": rng.uniform(-6.0, 6.0, (steps, 12)),
    }


def replay(
    policy: Any, side: Any, readings: Mapping[str, Array], actions: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return (observations, actions, targets) of a policy and a robot's side on readings (T, n), from a reset.

    Parameters
    ----------
    policy : callable
        Takes (obs_dim,), returns (act_dim,), an array or a tensor; has ``reset()`` if it carries state.
    side : object
        With ``reset()``, ``observe(readings)`` and ``targets(action)``, as :class:`ContractSide`.
    readings : mapping of str to ndarray
    actions : ndarray, optional
        What the side is told that the policy answered, in place of what it answers: mistakes do not add up then.
    """
    side.reset()
    if hasattr(policy, "reset"):
        policy.reset()
    rows: list[tuple[Array, Array, Array]] = []
    for step in range(len(next(iter(readings.values())))):
        obs = side.observe({name: values[step] for name, values in readings.items()})
        answer = policy(np.asarray(obs, np.float32))
        action = answer.numpy() if hasattr(answer, "numpy") else answer  # a Tensor of tinygrad or torch
        rows.append((obs, action, side.targets(action if actions is None else actions[step])))
    observations, answers, targets = zip(*rows, strict=True)
    return np.array(observations), np.array(answers), np.array(targets)


def make_golden(
    policy: Any, contract: PolicyContract, steps: int = 16, seed: int = 0, robot: RobotConfig | None = None
) -> PolicyContract:
    """Return the contract with golden pairs of this policy.

    Raises
    ------
    ConfigError
        The policy takes or gives another number of numbers than the contract says.
    """
    arrays.integer(steps, "steps", minimum=1, maximum=10_000)
    readings = golden_readings(contract, steps, seed, robot)
    readings = {name: values.astype(np.float32).astype(np.float64) for name, values in readings.items()}
    sizes = (getattr(policy, "obs_dim", None), getattr(policy, "act_dim", None))
    wanted = (contract.layout.observation.size, contract.layout.action.size)
    if None not in sizes and sizes != wanted:
        raise ConfigError(
            f"the contract says {wanted[0]} -> {wanted[1]} numbers, the policy is {sizes[0]} -> {sizes[1]}"
        )
    observations, actions, targets = replay(policy, ContractSide(contract, robot), readings)
    return contract.replace(golden=GoldenPairs(readings, observations, actions, targets))


def write_contract(path: str | os.PathLike[str], contract: PolicyContract) -> Path:
    """Put a contract into a policy file, in place of the one it may have; written whole or not at all.

    Golden pairs of the policy are made anew, and whether there is a normaliser is told from the file.

    Raises
    ------
    ConfigError
        The contract does not fit the network, or the file does not describe its layers.
    CodecError
        A single file of older times, which cannot hold a contract.
    """
    if not isinstance(contract, PolicyContract):
        raise DTypeError(f"expected a PolicyContract, got {type(contract).__name__}")
    files = read_policy_directory(path)
    if files.path.is_file():
        raise CodecError(f"{path}: a single file cannot hold a contract; save the policy as a folder")
    if files.layers is None:
        raise ConfigError(f"{path}: the file does not describe the layers of its {files.policy_type}")
    contract = contract.replace(normalizer=files.normalizer is not None, golden=None)
    settings = {"normalizer": files.normalizer, **contract.settings}
    policy = CompiledPolicy.from_layers(files.layers, files.tensors, **settings)
    config = {**files.config, "contract": make_golden(policy, contract).to_dict()}
    return write_policy_directory(path, config, files.tensors, files.normalizer, files.extra)
