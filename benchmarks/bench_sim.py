"""Real-time factor of each plant at 500 Hz, and of MuJoCo driven the usual way: PD in numpy, then mj_step.

Run ``pytest benchmarks/bench_sim.py --benchmark-enable``; the column to read is extra_info["real_time_factor"].
"""

import numpy as np
import pytest

from rfx.sim import JointCommand, make_plant
from rfx.sim.go2_model import JOINTS, TORQUE_LIMIT, model_xml

STAND = np.array([-0.1, 0.8, -1.6, 0.1, 0.8, -1.6] * 2)
KP, KD = 60.0, 5.0
STEPS = 250


class UsualLoop:
    """What people write around MuJoCo: read q and dq, PD in numpy, clip, set ctrl, step."""

    def __init__(self):
        self.mujoco = pytest.importorskip("mujoco", reason="mujoco-core is not installed")
        text = model_xml().replace('gainprm="0" biastype="affine" biasprm="0 0 0"', 'gainprm="1"')
        self.model = self.mujoco.MjModel.from_xml_string(text)
        self.data = self.mujoco.MjData(self.model)
        self.limit = TORQUE_LIMIT
        self.data.qpos[:] = [0, 0, 0.33, 1, 0, 0, 0, *STAND]

    def run(self):
        data, joints = self.data, [self.model.joint(name) for name in JOINTS]
        at = np.array([j.qposadr[0] for j in joints])
        dof = np.array([j.dofadr[0] for j in joints])
        for _ in range(STEPS):
            data.ctrl[:] = np.clip(KP * (STAND - data.qpos[at]) - KD * data.qvel[dof], -self.limit, self.limit)
            self.mujoco.mj_step(self.model, data)


class Ours:
    def __init__(self, name, at_once=1):
        if name == "mujoco":
            pytest.importorskip("mujoco", reason="mujoco-core is not installed")
        self.plant = make_plant(name)
        self.plant.reset("stand")
        self.command = JointCommand(q=STAND, kp=KP, kd=KD)
        self.at_once = at_once

    def run(self):
        for _ in range(STEPS // self.at_once):
            self.plant.step(self.command, self.at_once)


MAKERS = {
    "mujoco": lambda: Ours("mujoco"),
    "mujoco-10-steps-a-call": lambda: Ours("mujoco", 10),
    "peer-mujoco-with-numpy-pd": UsualLoop,
    "joint": lambda: Ours("joint"),
}


def test_ours_and_the_usual_loop_stand_alike():
    ours, theirs = Ours("mujoco"), UsualLoop()
    for _ in range(8):
        ours.run()
        theirs.run()
    assert ours.plant.state.position[2] == pytest.approx(theirs.data.qpos[2], abs=0.002)
    assert ours.plant.state.q == pytest.approx(theirs.data.qpos[7:], abs=0.02)


@pytest.mark.benchmark(group="500 Hz, half a second of standing")
@pytest.mark.parametrize("name", MAKERS)
def test_real_time_factor(benchmark, name):
    loop = MAKERS[name]()
    loop.run()
    benchmark.pedantic(loop.run, rounds=20, iterations=1)
    if benchmark.stats is not None:
        benchmark.extra_info["real_time_factor"] = round(STEPS * 0.002 / benchmark.stats.stats.min, 1)


@pytest.mark.benchmark(group="a 480 x 360 picture")
def test_picture(benchmark):
    plant = make_plant("joint")
    benchmark.pedantic(plant.render, rounds=3, iterations=1)
