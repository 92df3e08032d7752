"""Robots that walk in MuJoCo, for the tests of gaits."""

import numpy as np
import pytest

from rfx.sim import GaitController, JointCommand, make_plant


class Walker:
    """A robot in MuJoCo under the controller; remembers how it moved in its own heading."""

    def __init__(self):
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
        self.plant = make_plant("mujoco")
        self.state = self.plant.reset("stand")
        self.gait, self.command = GaitController(), JointCommand()
        self.go(0.6)

    def go(self, seconds):
        """Mean velocity along the heading (vx, vy, vyaw) over these seconds, in stretches of at most 20 ms."""
        before, moved, turned = self.state, np.zeros(2), 0.0
        start = before.time
        self.most_tilt = 0.0
        for step in range(1, round(seconds / 0.002) + 1):
            self.gait.update(self.state, self.command)
            self.state = self.plant.step(self.command)
            turned += self.state.gyroscope[2] * 0.002
            if step % 10 == 0 or step * 0.002 >= seconds - 1e-9:
                w, x, y, z = self.state.quaternion
                heading = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
                c, s = np.cos(heading), np.sin(heading)
                dx, dy = (self.state.position - before.position)[:2]
                moved += c * dx + s * dy, c * dy - s * dx
                before = self.state
                self.most_tilt = max(self.most_tilt, before.tilt)
        assert self.state.tilt < 0.5, "fell over"
        assert self.state.position[2] > 0.2, "sank"
        return np.array([*moved, turned]) / (self.state.time - start)

    def stands(self):
        return self.gait.mode == "stand" and np.linalg.norm(self.state.velocity) < 0.02


@pytest.fixture
def walker():
    made = Walker()
    yield made
    made.plant.close()
