"""rfx.estimators.shaping against the formula, step by step, and against what shaping promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators import compute_goal_distance_potentials, pbrs_simd, shape_rewards_pbrs


def slow(rewards, phi, phi_next, gamma, dones, terminal):
    out = []
    for r, p, q, d in zip(rewards, phi, phi_next, dones, strict=True):
        if d:
            out.append(r - p if terminal == "zero_potential" else r)
        else:
            out.append(r + gamma * q - p)
    return out


@st.composite
def rollouts(draw):
    n, seed = draw(st.integers(0, 80)), draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    return (*rng.normal(0, 10, (3, n)), rng.random(n) < 0.2)


@given(rollouts(), st.floats(0, 1), st.sampled_from(["raw", "zero_potential"]))
def test_is_the_formula(rollout, gamma, terminal):
    rewards, phi, phi_next, dones = rollout
    expected = slow(rewards, phi, phi_next, gamma, dones, terminal)
    np.testing.assert_allclose(
        shape_rewards_pbrs(rewards, phi, phi_next, gamma, dones, terminal=terminal), expected, rtol=1e-14, atol=1e-14
    )


def test_example_of_the_design_document():
    shaped = shape_rewards_pbrs([1.0] * 4, [0.5, 0.6, 0.7, 0.8], [0.6, 0.7, 0.8, 0.9], 0.99, [0.0, 0.0, 0.0, 1.0])
    assert shaped[3] == 1.0
    np.testing.assert_allclose(shaped[:3], [1 + 0.594 - 0.5, 1 + 0.693 - 0.6, 1 + 0.792 - 0.7], rtol=1e-14)


@given(st.integers(1, 30), st.integers(0, 2**32), st.floats(0, 1))
def test_zero_potential_cancels_out_along_an_episode(length, seed, gamma):
    """The shaped return is the return less the potential of the first state, whatever the policy did."""
    rng = np.random.default_rng(seed)
    rewards, states = rng.normal(size=length), rng.normal(size=length + 1)
    dones = np.arange(length) == length - 1
    shaped = shape_rewards_pbrs(rewards, states[:-1], states[1:], gamma, dones, terminal="zero_potential")
    discounts = gamma ** np.arange(length)
    np.testing.assert_allclose((discounts * shaped).sum(), (discounts * rewards).sum() - states[0], atol=1e-12)


def test_raw_does_not_cancel_out():
    shaped = shape_rewards_pbrs([0.0, 0.0], [1.0, 5.0], [5.0, 9.0], 1.0, [False, True])
    assert shaped.sum() == -1.0 + 5.0


@pytest.mark.parametrize("terminal", ["raw", "zero_potential"])
def test_what_follows_a_terminal_state_has_no_influence(terminal):
    clean = shape_rewards_pbrs([1.0, 2.0], [3.0, 4.0], [5.0, 0.0], 0.9, [0, 1], terminal=terminal)
    odd = shape_rewards_pbrs([1.0, 2.0], [3.0, 4.0], [5.0, math.nan], 0.9, [0, 1], terminal=terminal)
    assert clean.tolist() == odd.tolist()


def test_float32_stays_float32_and_any_shape_goes():
    rng = np.random.default_rng(0)
    r, p, q = rng.normal(size=(3, 7, 5)).astype(np.float32)
    dones = rng.random((7, 5)) < 0.3
    shaped = shape_rewards_pbrs(r, p, q, 0.9, dones)
    assert shaped.dtype == np.float32
    np.testing.assert_allclose(shaped, np.where(dones, r, r + np.float32(0.9) * q - p), rtol=1e-6, atol=1e-6)
    assert shape_rewards_pbrs(r, p.astype(np.float64), q, 0.9, dones).dtype == np.float64
    np.testing.assert_array_equal(
        shape_rewards_pbrs(r[:, ::2], p[:, ::2], q[:, ::2], 0.9, dones[:, ::2]), shaped[:, ::2]
    )


def test_out_is_written_and_returned():
    r, p, q = np.ones((3, 4))
    out = np.empty(4)
    assert shape_rewards_pbrs(r, p, q, 1.0, np.zeros(4), out=out) is out
    assert out.tolist() == [1.0] * 4
    with pytest.raises(InvalidValueError, match="overlap"):
        shape_rewards_pbrs(r, p, q, 1.0, np.zeros(4), out=r)


@pytest.mark.parametrize("name", ["rewards", "phi_current", "phi_next"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_by_name(name, bad):
    arguments = {"rewards": [1.0, 1.0], "phi_current": [0.0, 0.0], "phi_next": [0.0, 0.0]}
    arguments[name] = [0.0, bad]
    with pytest.raises(InvalidValueError, match=rf"{name}\[1\]"):
        shape_rewards_pbrs(gamma=0.9, dones=[1, 0], **arguments)


def test_overflow_is_refused():
    with pytest.raises(InvalidValueError, match="overflow"):
        shape_rewards_pbrs([1e308], [-1e308], [1e308], 1.0, [0])


def test_wrong_arguments_are_refused():
    one = [1.0]
    with pytest.raises(InvalidValueError, match=r"0 or 1, got 0\.5"):
        shape_rewards_pbrs(one, one, one, 0.9, [0.5])
    with pytest.raises(InvalidValueError, match="0 or 1"):
        shape_rewards_pbrs(one, one, one, 0.9, [math.nan])
    with pytest.raises(DTypeError, match="dones"):
        shape_rewards_pbrs(one, one, one, 0.9, ["no"])
    with pytest.raises(ShapeError, match="phi_next"):
        shape_rewards_pbrs(one, one, [1.0, 2.0], 0.9, [0])
    with pytest.raises(ShapeError, match="dones"):
        shape_rewards_pbrs(one, one, one, 0.9, [0, 1])
    with pytest.raises(InvalidValueError, match="gamma"):
        shape_rewards_pbrs(one, one, one, 1.5, [0])
    with pytest.raises(ConfigError, match="terminal"):
        shape_rewards_pbrs(one, one, one, 0.9, [0], terminal="none")


def test_the_simd_name_is_the_same_function():
    assert pbrs_simd is shape_rewards_pbrs


def test_goal_distances():
    x = np.array([[0.0, 0.0, 7.0], [3.0, 4.0, 7.0]])
    assert compute_goal_distance_potentials(x, [3.0, 4.0], scale=2.0).tolist() == [-10.0, 0.0]
    assert compute_goal_distance_potentials(x, [4.0, 7.0], goal_start=1).tolist() == [-4.0, 0.0]
    rng = np.random.default_rng(1)
    x, goal = rng.normal(size=(40, 6)), rng.normal(size=3)
    expected = -0.5 * np.linalg.norm(x[:, 2:5] - goal, axis=1)
    np.testing.assert_allclose(compute_goal_distance_potentials(x, goal, goal_start=2, scale=0.5), expected, rtol=1e-14)
    single = compute_goal_distance_potentials(x.astype(np.float32), goal.tolist(), goal_start=2, scale=0.5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-6)


def test_goal_distances_of_no_rows():
    assert compute_goal_distance_potentials(np.zeros((0, 2)), [1.0]).shape == (0,)


def test_wrong_goals_are_refused():
    x = np.zeros((2, 3))
    with pytest.raises(ShapeError):
        compute_goal_distance_potentials(x, [1.0, 2.0], goal_start=2)
    with pytest.raises(InvalidValueError, match="goal_start"):
        compute_goal_distance_potentials(x, [1.0], goal_start=4)
    with pytest.raises(InvalidValueError, match="goal"):
        compute_goal_distance_potentials(x, [math.nan])
    with pytest.raises(InvalidValueError, match="observations"):
        compute_goal_distance_potentials(np.full((1, 1), math.nan), [1.0])
    with pytest.raises(InvalidValueError, match="scale"):
        compute_goal_distance_potentials(x, [1.0], scale=-1.0)
