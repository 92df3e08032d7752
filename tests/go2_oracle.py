"""A simulated Go2 the slow way: one MjData, scipy's rotations, loops from the formulas. What the batch is measured against."""

import math

import numpy as np
from scipy.spatial.transform import Rotation

from rfx.robots import GO2
from rfx.robots.go2 import LEGS


def to_pose(layout, pose):
    """The action, in this layout, whose targets are a pose of the Go2 by name."""
    wanted = dict(zip(GO2.joint_names, GO2.pose(pose), strict=True))
    action = layout.action
    return (np.array([wanted[j] for j in action.joint_names]) - action.default_pose) / action.scale


def arrays_for(envs):
    n, d = envs.num_envs, envs.obs_dim
    return (
        np.empty((n, d), np.float32),
        np.empty(n),
        np.empty(n, np.bool_),
        np.empty(n, np.bool_),
        np.empty((n, d), np.float32),
    )


class SlowGo2:
    """Goes on from where an environment of a batch is, at the start of an episode."""

    def __init__(self, envs, index):
        import mujoco

        self.mujoco, self.task = mujoco, envs.task
        self.model, self.data = envs.physics(index)
        self.layout = envs.task.policy
        self.action, self.action_before = np.zeros(12), np.zeros(12)
        self.dq_before = np.zeros(12)
        self.air, self.touched = np.zeros(4), np.zeros(4, bool)
        self.steps = 0
        self.ground = envs.ground_height

    def step(self, action, command):
        """Take one step; returns the terms of the reward, unweighted."""
        self.action_before = self.action
        self.action = np.clip(
            np.asarray(action, np.float32).astype(float), -self.layout.action.clip, self.layout.action.clip
        )
        self.data.ctrl[:] = np.clip(self.layout.action.targets(self.action), GO2.lower, GO2.upper)
        for _ in range(self.task.substeps):
            self.mujoco.mj_step(self.model, self.data)
        self.steps += 1
        terms = self.terms(np.asarray(command))
        self.dq_before = self.data.qvel[6:].copy()
        return terms

    def forces(self):
        """World force on each geom of the robot, summed over its contacts, by (body name, geom name)."""
        found, wrench = {}, np.zeros(6)
        for c in range(self.data.ncon):
            contact = self.data.contact[c]
            self.mujoco.mj_contactForce(self.model, self.data, c, wrench)
            force = np.asarray(contact.frame).reshape(3, 3).T @ wrench[:3]
            floor = self.model.geom("floor").id
            geom, sign = (contact.geom2, 1.0) if contact.geom1 == floor else (contact.geom1, -1.0)
            body = self.model.body(self.model.geom_bodyid[geom]).name
            key = body, self.model.geom(geom).name
            found[key] = found.get(key, 0.0) + sign * force
        return found

    def motion(self):
        d = self.data
        turned = Rotation.from_quat(d.qpos[[4, 5, 6, 3]])
        ground = np.mean(
            [self.ground(d.qpos[0] + x, d.qpos[1] + y) for x in (-0.15, 0, 0.15) for y in (-0.15, 0, 0.15)]
        )
        return (
            turned.inv().apply(d.qvel[:3]),
            d.qvel[3:6].copy(),
            turned.inv().apply([0, 0, -1.0]),
            d.qpos[2] - ground,
        )

    def terms(self, command):
        r, dt = self.task.rewards, self.task.dt
        v, w, g, height = self.motion()
        q, dq, torque = self.data.qpos[7:], self.data.qvel[6:], self.data.actuator_force
        forces, zero = self.forces(), np.zeros(3)

        def on(body):
            """Force on a body, its foot aside."""
            return sum((f for (b, name), f in forces.items() if b == body and not name.endswith("foot")), zero)

        feet = np.array([forces.get((f"{leg}_calf", f"{leg}_foot"), zero) for leg in LEGS])
        middle, half = (GO2.lower + GO2.upper) / 2, (GO2.upper - GO2.lower) / 2 * r.soft_dof_pos_limit
        walks = math.hypot(*command[:2]) >= 0.1
        out = {
            "tracking_lin_vel": math.exp(-((command[0] - v[0]) ** 2 + (command[1] - v[1]) ** 2) / r.tracking_sigma),
            "tracking_ang_vel": math.exp(-((command[2] - w[2]) ** 2) / r.tracking_sigma),
            "lin_vel_z": v[2] ** 2,
            "ang_vel_xy": w[0] ** 2 + w[1] ** 2,
            "orientation": g[0] ** 2 + g[1] ** 2,
            "base_height": (height - r.base_height_target) ** 2,
            "torques": (torque**2).sum(),
            "dof_vel": (dq**2).sum(),
            "dof_acc": (((self.dq_before - dq) / dt) ** 2).sum(),
            "action_rate": ((self.action_before - self.action) ** 2).sum(),
            "stand_still": 0.0 if walks else np.abs(q - self.layout.action.in_motor_order("default_pose")).sum(),
            "dof_pos_limits": (np.maximum(np.abs(q - middle) - half, 0)).sum(),
            "dof_vel_limits": np.clip(np.abs(dq) - GO2.velocity_limit * r.soft_dof_vel_limit, 0, 1).sum(),
            "torque_limits": np.maximum(np.abs(torque) - GO2.torque_limit * r.soft_torque_limit, 0).sum(),
            "collision": sum(np.linalg.norm(on(f"{leg}_{part}")) > 0.1 for leg in LEGS for part in ("thigh", "calf")),
            "feet_stumble": float(any(math.hypot(f[0], f[1]) > 5 * abs(f[2]) for f in feet)),
            "feet_contact_forces": np.maximum(np.linalg.norm(feet, axis=1) - r.max_contact_force, 0).sum(),
            "alive": 1.0,
        }
        now = feet[:, 2] > 1.0
        contact = now | self.touched
        landed = contact & (self.air > 0)
        self.touched, self.air = now, self.air + dt
        out["feet_air_time"] = ((self.air - r.air_time_target) * landed).sum() * walks
        self.air = np.where(contact, 0.0, self.air)
        trunk = sum((f for (body, _), f in forces.items() if body == "trunk"), zero)
        fell = np.linalg.norm(trunk) > 1.0 or g[2] > -math.cos(self.task.termination.max_tilt)
        out["termination"] = float(fell or height < self.task.termination.min_height)
        return out

    def observation(self, command):
        """What the policy sees, without noise."""
        v, w, g, _ = self.motion()
        q = dict(zip(GO2.joint_names, self.data.qpos[7:], strict=True))
        dq = dict(zip(GO2.joint_names, self.data.qvel[6:], strict=True))
        pose = dict(zip(self.layout.action.joint_names, self.layout.action.default_pose, strict=True))
        acted = dict(zip(self.layout.action.joint_names, self.action, strict=True))
        joints = self.layout.observation.joint_names
        phase = 2 * math.pi * self.steps * self.task.dt / self.layout.gait_period
        parts = {
            "base_lin_vel": v,
            "base_ang_vel": w,
            "projected_gravity": g,
            "velocity_commands": command,
            "joint_pos": [q[j] for j in joints],
            "joint_pos_rel": [q[j] - pose[j] for j in joints],
            "joint_vel": [dq[j] for j in joints],
            "last_action": [acted[j] for j in joints],
            "clock": [math.sin(phase), math.cos(phase), math.sin(phase / 2)],
        }
        seen = np.concatenate([np.asarray(parts[t.name]) * t.scales for t in self.layout.observation.terms])
        return np.clip(seen, -self.layout.observation.clip, self.layout.observation.clip)
