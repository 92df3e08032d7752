"""64 simulated Go2 under random actions: steps per second, and what the terms of the reward gave. Needs ``rfx[sim]``."""

import time

import numpy as np

from rfx.sim import Commands, Go2VecEnv, Rewards

ENVS, STEPS = 64, 200


def main():
    envs = Go2VecEnv(
        ENVS,
        seed=0,
        layout="legged_gym",  # 48 numbers in, 12 out; also "rl_sar", "unitree_rl_lab" (45 numbers), ...
        commands=Commands(lin_vel_x=(0.3, 1.0), lin_vel_y=(0.0, 0.0), ang_vel_yaw=(-0.5, 0.5)),
        rewards=Rewards({"tracking_lin_vel": 1.0, "tracking_ang_vel": 0.5, "torques": -2e-4, "action_rate": -0.01}),
        randomisation="robot",  # friction, mass, motor strength, latency, pushes, sensor noise
        terrain="flat",  # or "rough", "slope", "stairs", "mixed"
    )
    rng, step, falls = np.random.default_rng(0), None, 0
    start = time.perf_counter()
    for _ in range(STEPS):
        step = envs.step_all(rng.normal(0.0, 1.0, (ENVS, 12)), out=step)
        falls += int(step.terminated.sum())
    seconds = time.perf_counter() - start
    print(f"{ENVS * STEPS / seconds:.0f} steps per second, {falls} falls")
    for name, sums in envs.batch.episode_sums.items():
        print(f"{name:20s} {sums.mean():8.3f} per episode so far")


if __name__ == "__main__":
    main()
