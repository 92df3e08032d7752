"""One tick of the walking controller, against the same kinematics in numpy: no other package walks a Go2 without a policy."""

import numpy as np

from rfx.robots import GO2
from rfx.sim import GaitController, JointCommand, make_plant
from rfx.sim.gait import feet_of, jacobians_of
from rfx.sim.kinematics import foot_positions

STAND = GO2.pose("stand")


def test_tick_of_a_trot(benchmark):
    gait, command, state = GaitController(), JointCommand(), make_plant("joint").state
    gait.walk(0.4, 0.0, 0.2, always=True)
    gait.update(state, command)
    assert gait.mode == "trot"
    benchmark.group = "gait: one tick"
    benchmark(gait.update, state, command)


def test_feet_rfx(benchmark):
    np.testing.assert_allclose(feet_of(STAND), foot_positions(STAND), atol=1e-12)
    benchmark.group = "gait: feet"
    benchmark(feet_of, STAND)


def test_feet_numpy(benchmark):
    benchmark.group = "gait: feet"
    benchmark(foot_positions, STAND)


def test_jacobians(benchmark):
    benchmark.group = "gait: Jacobians"
    benchmark(jacobians_of, STAND)
