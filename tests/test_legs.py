"""Legs and forces: kinematics, its inverse, Jacobians, and forces that are shared out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import InvalidValueError, ShapeError
from rfx.robots import GO2
from rfx.sim.gait import feet_of, ground_forces, jacobians_of, joints_for
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
