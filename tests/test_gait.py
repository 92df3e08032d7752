"""rfx.sim.gait: the kinematics of the legs, and a robot that walks where it is told, takes pushes and stands again."""

import pickle

import gait_walkers
import numpy as np
import pytest

from rfx.errors import DTypeError, InvalidValueError
from rfx.sim import GaitController, JointCommand, make_plant
from rfx.sim.gait import LIMITS, feet_of

walker = gait_walkers.walker


# -- walking


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
