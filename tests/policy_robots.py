"""Robots and policies for the tests of what runs a policy: a robot made of numbers, and networks with a contract."""

import numpy as np
import simulated_robots
from test_mlp import random_network

from rfx.go2.limits import SafetyLimits
from rfx.go2.link import PythonLink
from rfx.go2.messages import LowCmd, LowState
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract
from rfx.nn.contract_side import make_golden, write_contract
from rfx.nn.files import write_policy_directory
from rfx.robots import GO2

SHORT = {"ramp_s": 0.2, "settle_s": 0.04, "lie_s": 0.1, "damp_s": 0.02, "seconds": 0.24}  # times of a short run
WIDE = SafetyLimits(
    position=dict.fromkeys(GO2.joint_names, (-90.0, 90.0)),
    velocity=1e4,
    torque=1e6,
    step=100.0,
)


def random_policy(layout="unitree_rl_lab", seed=0, golden=False, **contract):
    """A network of random numbers with a contract."""
    agreed = PolicyContract(layout, **contract)
    inputs = agreed.layout.observation.size * agreed.history
    layers, tensors = random_network(np.random.default_rng(seed), (inputs, 32, 12))
    policy = CompiledPolicy.from_layers(layers, tensors, contract=agreed, **agreed.settings)
    if golden:
        policy.contract = make_golden(policy, agreed)
    return policy


def simulated(domain_id, plant="joint", lockstep=True, pose="lie", timeout_s=0.1, **options):
    """A robot that lies and waits for the answer to each state; else ``timeout_s`` is its patience with commands."""
    patience_s = 20.0 if lockstep else timeout_s
    return simulated_robots.simulated(domain_id, plant, lockstep, pose, command_timeout_s=patience_s, **options)


class NumberRobot:
    """States of random numbers, one every 2 ms; keeps what it is commanded. ``change`` may bend each state."""

    def __init__(self, seed=0, change=lambda i, state: None):
        self.rng, self.change = np.random.default_rng(seed), change
        self.states, self.commands, self.sent = [], [], 0
        self.link = PythonLink(self.take, self.commands.append)

    def take(self, timeout_s):
        state, rng = LowState(tick=1000 + 2 * self.sent), self.rng
        state.imu_state.quaternion = tuple((np.array([1.0, 0, 0, 0]) + rng.normal(0, 0.1, 4)).tolist())
        state.imu_state.gyroscope = tuple(rng.normal(0, 1, 3).tolist())
        state.set_motors(q=rng.normal([0.0, 0.8, -1.6] * 4, 0.2), dq=rng.normal(0, 2, 12), temperature=30)
        self.change(self.sent, state)
        self.sent += 1
        self.states.append(state)
        return state.to_cdr()

    @property
    def decoded(self):
        """The commands as messages."""
        return [LowCmd.from_cdr(data) for data in self.commands]


def save_policy(path, layers, tensors, contract):
    """Write a policy file with a contract and golden pairs, without tinygrad."""
    size = contract.layout.observation.size
    config = {
        "policy_type": "mlp",
        "policy_config": {"obs_dim": size, "act_dim": 12, "hidden": []},
        "layers": layers,
    }
    write_policy_directory(path, config, tensors)
    return write_contract(path, contract)


def save_holder(path, layout="unitree_rl_lab"):
    """A policy that holds the default pose: it leans against what the joints are away from it, and brakes them."""
    contract = PolicyContract(layout)
    observation = contract.layout.observation
    weight = np.zeros((12, observation.size), np.float32)
    acting = contract.layout.action.joint_names
    for i, name in enumerate(observation.joint_names):
        weight[acting.index(name), observation.slices["joint_pos_rel"].start + i] = -1.0
        weight[acting.index(name), observation.slices["joint_vel"].start + i] = -0.2
    layers = [{"type": "linear", "weight": "w", "bias": "b"}]
    return save_policy(path, layers, {"w": weight, "b": np.zeros(12, np.float32)}, contract)
