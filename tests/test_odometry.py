"""rfx.sim.odometry: the trunk's velocity from joints, IMU and foot forces, against the simulation's truth."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.robots import GO2
from rfx.sim import GaitController, JointCommand, make_plant
from rfx.sim.go2_model import FOOT_RADIUS
from rfx.sim.legs import feet_of, jacobians_of
from rfx.sim.odometry import VelocityEstimator

STAND = GO2.pose("stand")
LEVEL = [1.0, 0.0, 0.0, 0.0]
AT_REST = {
    "q": STAND,
    "dq": np.zeros(12),
    "quaternion": LEVEL,
    "gyroscope": np.zeros(3),
    "accelerometer": [0.0, 0.0, 9.81],
    "foot_force": [40.0] * 4,
}

small = st.floats(-0.5, 0.5)


def numbers(n, scale=1.0):
    return st.lists(small, min_size=n, max_size=n).map(lambda v: scale * np.array(v))


class Walk:
    """A robot that walks in MuJoCo beside an estimator that sees what a robot measures, with noise."""

    def __init__(self, noise=1.0, closed=False):
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
        self.plant, self.gait, self.command = make_plant("mujoco"), GaitController(), JointCommand()
        self.state, self.estimator = self.plant.reset("stand"), VelocityEstimator()
        self.rng, self.noise, self.closed = np.random.default_rng(1), noise, closed
        self.bias = 0.1 * noise * self.rng.normal(size=3)

    def measured(self, values, spread):
        return values + self.noise * spread * self.rng.normal(size=len(values))

    def go(self, seconds):
        """Errors of the estimate at every tick, (N, 3)."""
        errors = []
        for _ in range(round(seconds / 0.002)):
            s = self.state
            v = self.estimator.update(
                s.q,
                self.measured(s.dq, 0.1),
                s.quaternion,
                self.measured(s.gyroscope, 0.02),
                self.measured(s.accelerometer, 0.3) + self.bias,
                s.foot_force,
            )
            errors.append(v - s.velocity_body)
            if self.closed:
                s.velocity_body = v
            self.gait.update(s, self.command)
            self.state = self.plant.step(self.command)
            assert self.state.tilt < 0.5, "fell over"
        return np.array(errors)


@given(numbers(12, 0.4), numbers(12, 4.0), numbers(3), numbers(3))
@settings(max_examples=10, deadline=None)
def test_with_all_legs_agreeing_it_comes_to_what_they_say(bend, turn, gyro, tilt):
    """The oracle is the same law by rotations: the lowest points of the feet are at rest on the floor."""
    q = STAND + 0.3 * bend
    attitude = Rotation.from_rotvec(tilt)
    up = attitude.inv().apply([0, 0, 1])
    velocity = np.array([0.4, -0.2, 0.1])
    feet, jacobians = feet_of(q), jacobians_of(q)
    # joint rates of each leg so that its contact point stands still: a linear equation in three unknowns
    dq = np.zeros(12)
    for leg in range(4):
        hip = Rotation.from_rotvec([q[3 * leg], 0, 0])
        axes = np.stack([[1, 0, 0], hip.apply([0, 1, 0]), hip.apply([0, 1, 0])], axis=1)
        to_floor = -FOOT_RADIUS * up
        moving = jacobians[leg] + np.stack([np.cross(axes[:, i], to_floor) for i in range(3)], axis=1)
        dq[3 * leg : 3 * leg + 3] = np.linalg.solve(moving, -velocity - np.cross(gyro, feet[leg] + to_floor))
    x, y, z, w = attitude.as_quat()
    estimator = VelocityEstimator()
    estimator.reset(velocity + 0.1)
    still = 9.81 * up + np.cross(gyro, velocity)  # dv/dt = 0
    for _ in range(500):
        estimator.update(q, dq, [w, x, y, z], gyro, still, [80.0] * 4)
    np.testing.assert_allclose(estimator.velocity, velocity, atol=1e-5)


def test_a_robot_that_stands_does_not_move():
    estimator = VelocityEstimator()
    estimator.reset([0.1, -0.1, 0.05])
    for _ in range(1000):
        estimator.update(**AT_REST)
    np.testing.assert_allclose(estimator.velocity, 0.0, atol=1e-6)
    assert (estimator.trust > 0.5).all()


def test_in_the_air_it_follows_the_accelerometer():
    estimator = VelocityEstimator()
    for _ in range(100):
        estimator.update(**{**AT_REST, "accelerometer": [1.0, 0.0, 0.0], "foot_force": [0.0] * 4})
    np.testing.assert_allclose(estimator.velocity, [0.2, 0.0, -9.81 * 0.2], atol=1e-9)
    assert not estimator.trust.any()


def test_a_leg_that_slips_is_hardly_used():
    estimator, slipping = VelocityEstimator(), np.zeros(12)
    slipping[0:3] = 0.0, 8.0, 0.0  # about 2 m/s at the foot
    for _ in range(500):
        estimator.update(**{**AT_REST, "dq": slipping})
    assert estimator.trust[0] < 0.02
    assert np.linalg.norm(estimator.velocity) < 0.02


@pytest.mark.parametrize(
    ("gait", "velocity", "bound"),
    [
        ("trot", (0.5, 0.0, 0.0), 0.03),
        ("trot", (0.0, 0.3, 0.5), 0.03),
        ("walk", (0.2, 0.0, 0.0), 0.02),
        ("run", (1.0, 0.0, 0.0), 0.045),
    ],
    ids=str,
)
def test_the_error_is_bounded_in_every_gait(gait, velocity, bound):
    walk = Walk()
    walk.go(0.5)
    walk.gait.choose(gait)
    walk.gait.walk(*velocity)
    walk.go(1.0)
    errors = walk.go(3.0)
    assert np.sqrt((errors**2).mean(axis=0)).max() < bound
    assert np.abs(errors).max() < 3 * bound
    assert np.abs(errors[:, :2].mean(axis=0)).max() < 0.03


@pytest.mark.parametrize("gait", ["trot", "walk"])
def test_it_walks_by_its_own_estimate_and_takes_a_push(gait):
    walk = Walk(closed=True)
    walk.go(0.5)
    walk.gait.choose(gait)
    walk.gait.walk(0.2, 0.0, 0.0)
    walk.go(1.5)
    walk.plant.push((0.0, 150.0, 0.0), 0.1)
    walk.go(2.5)
    before = walk.state
    walk.go(3.0)
    way = np.linalg.norm((walk.state.position - before.position)[:2])
    assert way / 3.0 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("name", list(AT_REST))
def test_what_is_not_finite_or_of_another_shape_changes_nothing(name):
    estimator = VelocityEstimator()
    estimator.reset([0.1, 0.2, 0.3])
    bad = np.array(AT_REST[name], float)
    bad[1] = np.nan
    with pytest.raises(InvalidValueError, match=name):
        estimator.update(**{**AT_REST, name: bad})
    with pytest.raises(ShapeError, match=name):
        estimator.update(**{**AT_REST, name: np.zeros(7)})
    with pytest.raises(DTypeError):
        estimator.update(**{**AT_REST, name: "fast"})
    np.testing.assert_array_equal(estimator.velocity, [0.1, 0.2, 0.3])


def test_what_no_robot_measures_changes_nothing():
    estimator = VelocityEstimator()
    with pytest.raises(InvalidValueError, match="robot measures"):
        estimator.update(**{**AT_REST, "accelerometer": [1e9, 0.0, 0.0]})
    with pytest.raises(InvalidValueError, match="dt"):
        estimator.update(**AT_REST, dt=0.0)
    np.testing.assert_array_equal(estimator.velocity, 0.0)


def test_it_goes_on_to_the_byte_from_a_pickle():
    one = VelocityEstimator(pull=33.0, firm=50.0)
    one.reset([0.3, 0.0, -0.1])
    one.update(**AT_REST)
    other = pickle.loads(pickle.dumps(one))
    assert one.update(**AT_REST).tobytes() == other.update(**AT_REST).tobytes()
    for bad in ({}, {"velocity": [0.0]}, None):
        with pytest.raises((InvalidValueError, ShapeError)):
            other.load_state_dict(bad)
    assert "vx=" in repr(other)


@pytest.mark.parametrize("bad", [{"light": 50.0, "firm": 40.0}, {"pull": 0.0}, {"doubt": -1.0}, {"light": np.nan}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(InvalidValueError):
        VelocityEstimator(**bad)
