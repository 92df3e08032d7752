"""rfx.sim.gait: the kinematics of the legs, and a robot that walks where it is told, takes pushes and stands again."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.robots import GO2
from rfx.sim import GaitController, JointCommand, make_plant
from rfx.sim.gait import LIMITS, feet_of, ground_forces, jacobians_of, joints_for
from rfx.sim.gaits import BY_NAME, NAMES
from rfx.sim.go2_model import LOWER, UPPER
from rfx.sim.kinematics import foot_positions

STAND = GO2.pose("stand")

joints = st.lists(st.floats(0.02, 0.98), min_size=12, max_size=12).map(
    lambda share: np.asarray(LOWER) + np.array(share) * (np.asarray(UPPER) - np.asarray(LOWER))
)


# -- legs


@given(joints)
@settings(max_examples=50, deadline=None)
def test_the_feet_are_where_the_rotations_put_them(q):
    np.testing.assert_allclose(feet_of(q), foot_positions(q), atol=1e-12)


@given(joints)
@settings(max_examples=20, deadline=None)
def test_jacobians_are_the_numerical_derivatives(q):
    step = 1e-6
    for joint in range(12):
        shift = np.zeros(12)
        shift[joint] = step
        slope = (foot_positions(q + shift) - foot_positions(q - shift)) / (2 * step)
        leg = joint // 3
        np.testing.assert_allclose(jacobians_of(q)[leg, :, joint % 3], slope[leg], atol=1e-8)
        assert not np.delete(slope, leg, axis=0).any()


@given(joints)
@settings(max_examples=50, deadline=None)
def test_joints_for_puts_the_feet_where_they_are_wanted(q):
    feet = foot_positions(q)
    np.testing.assert_allclose(foot_positions(joints_for(feet)), feet, atol=1e-9)


def test_joints_for_finds_the_standing_pose_again():
    np.testing.assert_allclose(joints_for(feet_of(STAND)), STAND, atol=1e-12)


def test_a_foot_out_of_reach_is_named():
    feet = feet_of(STAND)
    feet[2, 2] = -0.6
    with pytest.raises(InvalidValueError, match="out of reach: RR"):
        joints_for(feet)


@pytest.mark.parametrize("function", [feet_of, jacobians_of])
def test_joints_that_are_not_twelve_finite_numbers_are_refused(function):
    with pytest.raises(ShapeError, match="12"):
        function(np.zeros(11))
    with pytest.raises(InvalidValueError, match=r"q\[3\]"):
        function([0, 0, 0, np.nan] + [0] * 8)


# -- forces

numbers = st.floats(-0.3, 0.3)


@given(
    st.lists(numbers, min_size=12, max_size=12),
    st.lists(st.floats(0.1, 1), min_size=4, max_size=4),
    st.lists(numbers, min_size=6, max_size=6),
    st.lists(st.floats(0.01, 1), min_size=6, max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_forces_are_the_weighted_least_squares_solution(feet, weight, wrench, slack):
    feet, wrench = np.reshape(feet, (4, 3)), np.array(wrench) + [0, 0, 50, 0, 0, 0]
    grasp = np.vstack([np.tile(np.eye(3), 4), np.hstack([np.cross(r, np.eye(3)).T for r in feet])])
    rows = np.vstack([grasp / np.sqrt(slack)[:, None], np.diag(1 / np.sqrt(np.repeat(weight, 3)))])
    wanted = np.linalg.lstsq(rows, np.append(wrench / np.sqrt(slack), np.zeros(12)), rcond=None)[0].reshape(4, 3)
    got = ground_forces(feet, weight, wrench, slack, friction=1e9, most=1e9)
    pushing = wanted[:, 2] > 1e-6
    np.testing.assert_allclose(got[pushing], wanted[pushing], rtol=1e-6, atol=1e-6)
    assert (got[:, 2] >= 0).all()


def test_forces_stay_within_their_cones_and_feet_in_the_air_have_none():
    feet = feet_of(STAND)
    force = ground_forces(feet, [1, 0, 0, 1], [200, 0, 150, 0, 0, 0], [1e-3] * 6, friction=0.5, most=60.0)
    assert not force[1:3].any()
    assert (np.hypot(force[:, 0], force[:, 1]) <= 0.5 * force[:, 2] + 1e-9).all()
    assert (force[:, 2] <= 60.0).all()
    with pytest.raises(InvalidValueError, match="slack"):
        ground_forces(feet, [1] * 4, [0] * 6, [0] * 6)


# -- walking


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


@pytest.mark.parametrize(
    "wanted",
    [(0.3, 0, 0), (0.6, 0, 0), (-0.4, 0, 0), (0, 0.2, 0), (0, 0, -0.5), (0.4, -0.1, 0.4)],
    ids=str,
)
def test_it_tracks_the_velocity_that_is_asked_for(walker, wanted):
    walker.gait.walk(*wanted)
    walker.go(1.5)
    got = walker.go(2.4)  # six periods of the gait
    np.testing.assert_allclose(got, wanted, atol=0.02)
    assert walker.most_tilt < np.radians(4)


@pytest.mark.slow
def test_it_walks_for_half_a_minute_and_stands_again(walker):
    wanted = (0.6, 0.2, 0.5)
    walker.gait.walk(*wanted)
    walker.go(1.5)
    np.testing.assert_allclose(walker.go(28.5), wanted, atol=0.02)
    walker.gait.walk(0, 0, 0)
    walker.go(2.0)
    assert walker.stands()


@pytest.mark.parametrize("direction", range(8))
def test_it_takes_a_push_of_20_newton_seconds_from_any_side(walker, direction):
    angle, vx = direction * np.pi / 4, 0.4 * (direction % 3 > 0)
    walker.gait.walk(vx, 0, 0)
    walker.go(0.5 + 0.05 * direction)  # another phase of the gait each time
    walker.plant.push((200 * np.cos(angle), 200 * np.sin(angle), 0.0), 0.1)
    walker.go(1.6)
    assert walker.go(0.8)[0] == pytest.approx(vx, abs=0.05)


def test_a_push_while_standing_is_caught_with_steps_and_it_stands_again(walker):
    walker.plant.push((0.0, 200.0, 0.0), 0.1)
    walker.go(0.2)
    assert walker.gait.mode == "trot"
    walker.go(3.0)
    assert walker.stands()


def test_starting_and_stopping_ends_in_the_same_stance(walker):
    before = feet_of(walker.state.q)
    for wanted in [(0.5, 0, 0), (0, -0.2, 0), (0, 0, 0.8)]:
        walker.gait.walk(*wanted)
        walker.go(1.2)
        walker.gait.walk(0, 0, 0)
        walker.go(1.5)
        assert walker.stands()
        np.testing.assert_allclose(feet_of(walker.state.q), before, atol=0.04)


def test_the_trunk_takes_the_posture_that_is_asked_for(walker):
    walker.gait.pose(height=0.25, roll=0.2, pitch=-0.15, yaw=0.2)
    walker.go(1.0)
    w, x, y, z = walker.state.quaternion
    assert np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)) == pytest.approx(0.2, abs=0.02)
    assert np.arcsin(2 * (w * y - z * x)) == pytest.approx(-0.15, abs=0.02)
    assert walker.state.position[2] == pytest.approx(0.25, abs=0.01)


def test_height_and_lift_count_while_walking(walker):
    walker.gait.pose(height=0.25, lift=0.1)
    walker.gait.walk(0.3, 0, 0)
    walker.go(1.0)
    assert walker.state.position[2] == pytest.approx(0.25, abs=0.015)
    highest = 0.0
    for _ in range(200):
        walker.go(0.002)
        highest = max(highest, (walker.state.position[2] + feet_of(walker.state.q)[:, 2]).max())
    assert highest == pytest.approx(0.022 + 0.1, abs=0.025)


def test_diagonal_pairs_swing_in_turn(walker):
    walker.gait.walk(0, 0, 0, always=True)
    seen = set()
    for _ in range(400):
        walker.go(0.002)
        seen.add(walker.gait.contacts)
    assert {(True, False, False, True), (False, True, True, False)} <= seen
    assert seen <= {(True, False, False, True), (False, True, True, False), (True,) * 4}


# -- gaits


def steps_of(walker, name, velocity, seconds):
    """Walk in a gait for so long; which feet were pressed to the floor at each tick, and the velocity that it made."""
    walker.gait.choose(name)
    walker.gait.walk(*velocity)
    walker.go(2.0)
    assert walker.gait.mode == name
    pressed, step = [], walker.plant.step

    def feel(command):
        state = step(command)
        pressed.append(state.foot_force > 5.0)
        return state

    walker.plant.step = feel
    got = walker.go(seconds)
    del walker.plant.step
    assert walker.gait.mode == name
    return np.array(pressed), got


def phases_of(pressed, period):
    """When each foot comes down, as a share of the cycle after FR: the mean direction of its landings on the clock."""
    down = pressed[1:] & ~pressed[:-1]
    clock = np.exp(2j * np.pi * np.arange(len(down)) * 0.002 / period)
    angle = np.array([np.angle(clock[down[:, leg]].sum()) for leg in range(4)])
    return (angle - angle[0]) / (2 * np.pi) % 1.0


def test_a_trot_steps_in_diagonal_pairs_with_a_duty_of_a_little_more_than_half(walker):
    pressed, got = steps_of(walker, "trot", (0.5, 0, 0), 10.0)
    np.testing.assert_allclose(got, (0.5, 0, 0), atol=0.02)
    np.testing.assert_allclose(pressed.mean(axis=0), 0.59, atol=0.04)
    phase = phases_of(pressed, BY_NAME["trot"].period)
    np.testing.assert_allclose(np.exp(2j * np.pi * phase), [1, -1, -1, 1], atol=0.35)
    assert (pressed.sum(axis=1) >= 2).all()


def test_a_run_is_a_faster_trot_with_all_feet_in_the_air_between_steps(walker):
    pressed, got = steps_of(walker, "run", (1.2, 0, 0), 10.0)
    assert got[0] > 1.05
    assert np.abs(got[1:]).max() < 0.03
    assert pressed.mean(axis=0).max() < 0.5
    phase = phases_of(pressed, BY_NAME["run"].period)
    np.testing.assert_allclose(np.exp(2j * np.pi * phase), [1, -1, -1, 1], atol=0.35)
    in_the_air = ~pressed.any(axis=1)
    assert in_the_air.mean() > 0.04
    assert np.count_nonzero(in_the_air[1:] & ~in_the_air[:-1]) >= 1.5 * 10.0 / BY_NAME["run"].period  # twice a cycle


def test_a_static_walk_lifts_one_foot_at_a_time(walker):
    pressed, got = steps_of(walker, "walk", (0.2, 0, 0), 10.0)
    np.testing.assert_allclose(got, (0.2, 0, 0), atol=0.02)
    np.testing.assert_allclose(pressed.mean(axis=0), 0.81, atol=0.03)
    assert (pressed.sum(axis=1) >= 3).mean() > 0.99
    phase = phases_of(pressed, BY_NAME["walk"].period)
    np.testing.assert_allclose(phase, [0.0, 0.5, 0.75, 0.25], atol=0.06)  # a quarter between RR, FR, RL, FL


def test_the_economic_gait_takes_less_work_than_a_trot_at_the_same_speed(walker):
    work = {}
    for name, seconds in (("trot", 4.0), ("economic", 10.0)):
        walker.gait.choose(name)
        walker.gait.walk(0.3, 0, 0)
        walker.go(2.0)
        spent, step = [], walker.plant.step

        def feel(command, step=step, spent=spent):
            state = step(command)
            spent.append(np.abs(state.tau_est * state.dq).sum())
            return state

        walker.plant.step = feel
        got = walker.go(seconds)
        del walker.plant.step
        np.testing.assert_allclose(got, (0.3, 0, 0), atol=0.02)
        work[name] = np.mean(spent)
    assert work["economic"] < 0.7 * work["trot"]


@pytest.mark.parametrize("name", ["run", "walk", "economic"])
@pytest.mark.parametrize("direction", range(2))
def test_every_gait_takes_a_push_and_goes_on(walker, name, direction):
    walker.gait.choose(name)
    walker.gait.walk(0.15, 0, 0)
    walker.go(1.5 + 0.13 * direction)
    angle = 0.4 + direction * np.pi / 2
    walker.plant.push((200 * np.cos(angle), 200 * np.sin(angle), 0.0), 0.1)
    walker.go(0.3)
    assert walker.gait.mode == ("trot" if name == "walk" else name)  # a walk is too slow to catch itself
    walker.go(3.5)
    assert walker.gait.mode == name
    assert walker.go(1.02)[0] == pytest.approx(0.15, abs=0.05)


def test_gaits_change_under_way_and_a_velocity_beyond_the_next_one_is_cut(walker):
    walker.gait.choose("run")
    walker.gait.walk(1.0, 0, 0)
    walker.go(1.5)
    for name in ("walk", "economic", "run", "trot", "walk", "run"):
        walker.gait.choose(name)
        walker.go(2.4)
        assert walker.gait.mode == name
        assert walker.gait.velocity[0] == min(1.0, BY_NAME[name].vx[1])
    walker.gait.walk(0, 0, 0)
    walker.go(2.5)
    assert walker.stands()


def test_a_gait_has_its_own_limits():
    gait = GaitController()
    gait.walk(0.8, 0, 0)
    gait.choose("walk")
    for name in NAMES:
        gait.choose(name)
        assert gait.gait == name
        gait.walk(BY_NAME[name].vx[1], 0, 0)
        with pytest.raises(InvalidValueError, match="vx"):
            gait.walk(BY_NAME[name].vx[1] + 0.01, 0, 0)
    for bad, error in (("gallop", InvalidValueError), (3, DTypeError)):
        with pytest.raises(error):
            gait.choose(bad)
    assert gait.gait == NAMES[-1]


def test_it_goes_on_to_the_byte_from_a_pickle(walker):
    walker.gait.walk(0.4, 0.1, 0.2)
    walker.go(0.7)
    other, command = pickle.loads(pickle.dumps(walker.gait)), JointCommand()
    for _ in range(100):
        other.update(walker.state, command)
        walker.go(0.002)
        assert command == walker.command


@pytest.mark.parametrize(("name", "value"), [("vx", 0.9), ("vy", -0.5), ("vyaw", 2.0), ("vx", np.nan)])
def test_a_velocity_beyond_the_limits_is_refused(name, value):
    wanted = {"vx": 0.1, "vy": 0.0, "vyaw": 0.0}
    gait = GaitController()
    with pytest.raises(InvalidValueError, match=name):
        gait.walk(**{**wanted, name: value})
    assert gait.velocity == (0, 0, 0)


@pytest.mark.parametrize("name", ["height", "roll", "pitch", "yaw", "lift"])
def test_a_posture_beyond_the_limits_is_refused(name):
    gait = GaitController()
    for value in (LIMITS[name][0] - 0.01, LIMITS[name][1] + 0.01, np.inf):
        with pytest.raises(InvalidValueError, match=name):
            gait.pose(**{name: value})
    with pytest.raises(DTypeError):
        gait.pose(**{name: "low"})


def test_a_state_with_nan_leaves_command_and_controller_as_they_were():
    plant, gait, command = make_plant("joint"), GaitController(), JointCommand(kp=7.0)
    state = plant.state
    gait.update(state, command)
    kept, before = gait.state_dict(), pickle.loads(pickle.dumps(command))
    state.q[4] = np.nan
    with pytest.raises(InvalidValueError, match="finite"):
        gait.update(state, command)
    assert gait.state_dict() == kept
    assert command == before
    with pytest.raises(DTypeError, match="PlantState"):
        gait.update(None, command)
    with pytest.raises(DTypeError, match="JointCommand"):
        gait.update(plant.state, None)


def test_a_forged_state_is_refused():
    gait = GaitController()
    kept = gait.state_dict()
    for forged in (
        {},
        {"memory": b"", "wish": b""},
        {**kept, "memory": kept["memory"] + b"\0"},
        {**kept, "memory": b"\xff" * len(kept["memory"])},
        {**kept, "wish": b"\xff" * len(kept["wish"])},
    ):
        with pytest.raises(InvalidValueError):
            gait.load_state_dict(forged)
    assert gait.state_dict() == kept
    assert "GaitController" in repr(gait)
