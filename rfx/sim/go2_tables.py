"""A task as the arrays of numbers that the compiled half of the batched Go2 takes."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.robots.go2 import GO2
from rfx.robots.layouts import JOINT_SIGNALS
from rfx.sim.go2_task import REWARD_TERMS, Go2Task

Array = NDArray[np.float64]

# The structure Robot of rfx/kernels/locomotion.pxd.
ROBOT = np.dtype(
    [
        ("command", "f8", 3),
        ("heading", "f8"),
        ("action", "f8", 12),
        ("action_before", "f8", 12),
        ("dq_before", "f8", 12),
        ("targets", "f8", (3, 12)),
        ("air_time", "f8", 4),
        ("contact", "f8", 4),
        ("origin", "f8", 2),
        ("friction", "f8"),
        ("mass", "f8"),
        ("strength", "f8", 12),
        *(
            (name, "i8")
            for name in ("delay", "steps", "until_command", "until_push", "follows", "ended", "level", "kind")
        ),
    ]
)

# Where each signal begins in what the kernel fills in; joints in motor order, the last action in the order of the layout.
PLACES = {
    "base_lin_vel": 0,
    "base_ang_vel": 3,
    "projected_gravity": 6,
    "velocity_commands": 9,
    "joint_pos": 12,
    "joint_pos_rel": 24,
    "joint_vel": 36,
    "last_action": 48,
    "clock": 60,
}
FRICTION = 0.8
DEADBAND = 0.1  # commands below it count as standing in the rewards, m/s


def assembly_table(task: Go2Task) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Return index, noise, bound and scale of each number of an observation."""
    layout = task.policy
    index: list[int] = []
    noise: list[float] = []
    bound: list[float] = []
    scale: list[float] = []
    for term in layout.observation.terms:
        start, size = PLACES[term.name], term.size
        if term.name == "last_action":
            order = [layout.action.joint_names.index(joint) for joint in layout.observation.joint_names]
        elif term.name in JOINT_SIGNALS:
            order = [GO2.index_of(joint) for joint in layout.observation.joint_names]
        else:
            order = list(range(size))
        index += [start + i for i in order]
        noise += [task.random.noise.get(term.name.removesuffix("_rel"), 0.0)] * size
        bound += [math.inf if term.clip is None else term.clip] * size
        scale += term.scales.tolist()
    return np.array(index, np.int64), np.array(noise), np.array(bound), np.array(scale)


def reward_table(task: Go2Task) -> tuple[Array, Array, Array]:
    """Return the weights; pose, soft lower, upper, speed and torque limits by motor; and what else terms are measured against."""
    rewards = task.rewards
    weights = np.array([rewards.weights.get(name, 0.0) for name in REWARD_TERMS])
    middle, half = 0.5 * (GO2.lower + GO2.upper), 0.5 * (GO2.upper - GO2.lower) * rewards.soft_dof_pos_limit
    limits = np.array(
        [
            task.policy.action.in_motor_order("default_pose"),
            middle - half,
            middle + half,
            GO2.velocity_limit * rewards.soft_dof_vel_limit,
            GO2.torque_limit * rewards.soft_torque_limit,
        ]
    )
    numbers = np.array(
        [
            rewards.tracking_sigma,
            rewards.base_height_target,
            rewards.air_time_target,
            DEADBAND,
            rewards.max_contact_force,
        ]
    )
    return weights, limits, numbers


def task_table(task: Go2Task) -> dict[str, Any]:
    """Return what is drawn for a robot, by the names of the kernel's structure."""
    commands, random, start, ground = task.commands, task.random, task.start, task.ground
    latency = (0.0, 0.0) if random.latency is None else random.latency
    return {
        "forwards": commands.lin_vel_x,
        "sideways": commands.lin_vel_y,
        "turning": commands.ang_vel_yaw,
        "heading": commands.heading or (0.0, 0.0),
        "follow_heading": commands.heading is not None,
        "heading_gain": commands.heading_gain,
        "deadband": commands.deadband,
        "standing": commands.standing,
        "command_steps": max(1, round(commands.resampling_time / task.dt)),
        "friction": random.friction or (FRICTION, FRICTION),
        "mass": random.added_mass or (0.0, 0.0),
        "strength": random.motor_strength or (1.0, 1.0),
        "delay": tuple(round(seconds / task.timestep) for seconds in latency),
        "push_steps": max(1, round(random.push_interval / task.dt)) if random.push_interval else 0,
        "push": random.push_velocity,
        "spin": random.push_spin,
        "place": start.position,
        "yaw": start.yaw,
        "joints": start.joints,
        "speed": start.velocity,
        "curriculum": ground.curriculum,
        "start_level": ground.start_level,
    }
