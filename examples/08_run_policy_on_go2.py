"""A policy walks on a simulated Go2 through the compiled tick. Needs ``rfx[sim,dds]``.

It is not trained: a network is fitted to a trot that is a formula, in seconds, so that there is something to run.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rfx import PolicyContract
from rfx.go2 import Go2Config, SimulatedGo2, free_domain, run_policy
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.nn import write_contract, write_policy_directory
from rfx.robots import GO2
from rfx.robots.layouts import ActionLayout, ObservationLayout, ObservationTerm, PolicyLayout
from rfx.sim import make_plant
from rfx.sim.gait import feet_of, jacobians_of, joints_for

RANGES = {"forward": (-0.4, 0.6), "left": (-0.3, 0.3), "yaw": (-0.8, 0.8)}
PERIOD, KP, LIFT, LOAD, SCALE = 0.4, 60.0, 0.06, 75.0, 0.5
POSE = np.array([0.0, 0.8, -1.6] * 4)
FEET = feet_of(POSE)
NAMES = ("base_ang_vel", "projected_gravity", "velocity_commands", "joint_pos_rel", "joint_vel", "last_action", "clock")
ACTION = ActionLayout(GO2.joint_names, POSE, SCALE, KP, 1.0, clip=4.0)
TERMS = ObservationLayout(tuple(map(ObservationTerm, NAMES)), GO2.joint_names)
LAYOUT = PolicyLayout("trot", TERMS, ACTION, gait_period=PERIOD)
USED = [48 - 3, 48 - 2, 6, 7, 8, 3, 4]  # sine and cosine of the clock, the command, two of gravity


def trot(sine, cosine, vx, vy, vyaw, gx, gy):
    """Joint targets (12,) for one moment."""
    feet, turn = FEET.copy(), np.arctan2(sine, cosine) / (2 * np.pi)
    moving, pushes = min(1.0, np.linalg.norm([vx, vy, vyaw]) / 0.1), np.zeros(4)
    for leg, (x, y, _) in enumerate(FEET):
        share = (turn + (0.0, 0.5, 0.5, 0.0)[leg]) % 1.0  # the first half on the floor
        speed = moving * np.array([1.15 * (vx - vyaw * y) + 0.12, 1.15 * (vy + vyaw * x)])
        along = 1 - 4 * share if share < 0.5 else -np.cos(2 * np.pi * (share - 0.5))
        feet[leg, :2] += speed * PERIOD / 4 * along
        feet[leg, 2] += moving * LIFT * max(0.0, -np.sin(2 * np.pi * share)) - 0.5 * (gx * x + gy * y)
        pushes[leg] = LOAD * np.clip(4 * np.sin(2 * np.pi * share) + 0.6, 0.0, 1.0) * moving + LOAD / 2 * (1 - moving)
    q = joints_for(feet)
    return q - (jacobians_of(q)[:, 2] * pushes[:, None]).ravel() / KP


def make_policy(path, samples=4000, hidden=128, seed=0):
    """Fit the outer layer of a network with random inner weights; returns the folder."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, samples)
    wish = rng.uniform(*np.array(list(RANGES.values())).T, (samples, 3))
    wish[: samples // 8] = 0.0
    x = np.column_stack([np.sin(phase), np.cos(phase), wish, rng.normal(0, 0.1, (samples, 2))])
    wanted = (np.array([trot(*row) for row in x]) - POSE) / SCALE
    inner = np.zeros((hidden, LAYOUT.observation.size), np.float32)
    inner[:, USED] = rng.normal(size=(hidden, 7)) * (1.5, 1.5, 1.5, 1.5, 1.0, 0.5, 0.5)
    bias = rng.normal(0, 1.5, hidden)
    seen = np.tanh(x @ inner[:, USED].T + bias)
    outer = np.linalg.solve(seen.T @ seen + 1e-3 * np.eye(hidden), seen.T @ wanted)
    tensors = {"w0": inner, "b0": bias.astype(np.float32), "w1": outer.T.astype(np.float32)}
    layers = [{"type": "linear", "weight": "w0", "bias": "b0"}, {"type": "tanh"}, {"type": "linear", "weight": "w1"}]
    write_policy_directory(path, {"policy_type": "fitted", "policy_config": {}, "layers": layers}, tensors)
    return write_contract(path, PolicyContract(LAYOUT, command_ranges=RANGES))


def main():
    folder, number = make_policy("trot"), free_domain()
    with CycloneDomain(number, LOOPBACK) as domain, ThreadPoolExecutor() as pool:
        robot = SimulatedGo2(make_plant("mujoco"), domain, lockstep=True, command_timeout_s=20.0)
        pool.submit(robot.run)
        try:
            commands = [(0.0, 0.0, 0.0, 0.0), (0.3, 0.4, 0.0, 0.0)]  # from 0.3 s on 0.4 m/s forwards
            run = run_policy(folder, commands, Go2Config.loopback(number, lockstep=True), seconds=3.0, ramp_s=1.0)
        finally:
            robot.stop()
    print(f"{run.summary()}\nit has come {robot.plant.state.position[0]:.2f} m far")


if __name__ == "__main__":
    main()
