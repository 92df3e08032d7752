"""A policy from training to the robot's side: trained in tinygrad, saved with its contract, checked, compiled, run.

The network imitates a teacher that holds the joints still. Needs ``rfx[sim,nn]``.
"""

import time
from pathlib import Path

import numpy as np
from tinygrad import Context, TinyJit
from tinygrad.nn.optim import Adam

from rfx import CompiledPolicy, PolicyContract, check_policy
from rfx.nn import MLP, make_golden
from rfx.nn.engine import from_numpy
from rfx.robots import policy_layout
from rfx.sim import Go2VecEnv

LAYOUT = policy_layout("unitree_rl_lab")  # 45 numbers, all of which a robot can measure


def teacher(obs):
    """Push back against what the joints are away from the default pose, and against their speed."""
    slices = LAYOUT.observation.slices
    return np.clip(-1.0 * obs[:, slices["joint_pos_rel"]] - 0.5 * obs[:, slices["joint_vel"]], -1.0, 1.0)


def observations(seed, steps=60):
    envs, rng, seen = Go2VecEnv(64, seed=seed, layout=LAYOUT), np.random.default_rng(seed), []
    for _ in range(steps):
        seen.append(envs.step_all(rng.normal(0.0, 0.7, (64, 12))).obs.copy())
    return np.concatenate(seen)


def train(policy, obs, steps=150, batch=256):
    wanted, rng, adam = teacher(obs).astype(np.float32), np.random.default_rng(0), Adam(policy.parameters(), lr=3e-3)

    @TinyJit
    def learn(x, y):
        adam.zero_grad()
        loss = (policy.forward(x) - y).square().mean().backward()
        adam.step()
        return loss.realize()

    with Context(TRAINING=1):
        for _ in range(steps):
            rows = rng.integers(len(obs), size=batch)
            loss = learn(from_numpy(obs[rows]), from_numpy(wanted[rows])).item()
    return loss


def main():
    policy = MLP(LAYOUT.observation.size, 12, hidden=[64], activation="elu", seed=0)
    print(f"mean squared error after training: {train(policy, observations(1)):.4f}")

    folder = policy.save(Path("holder"), contract=make_golden(policy, PolicyContract(LAYOUT)))
    report = check_policy(folder, robot=LAYOUT)  # what `rfx check holder` prints
    print(f"checked: {'good' if report.ok else 'not good'}")

    fast = CompiledPolicy.load(folder)  # no tinygrad here
    envs = Go2VecEnv(8, seed=7, layout=LAYOUT, task="stand", randomisation="robot")
    obs, falls, spent = envs.reset_all(), 0, 0
    for _ in range(250):
        start = time.perf_counter_ns()
        actions = fast(obs)
        spent += time.perf_counter_ns() - start
        step = envs.step_all(actions)
        obs, falls = step.obs, falls + int(step.terminated.sum())
    print(f"8 robots for 5 s under pushes: {falls} falls, {spent / 250 / 8 / 1000:.1f} us per robot and action")


if __name__ == "__main__":
    main()
