"""The compiled faces of the simulation: motor law, joints against the analytic oscillator, rays against MuJoCo's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import InvalidValueError, ShapeError
from rfx.sim.core import cast_rays, motor_law, step_joints

FREE = [1e9, -1e9, 1e9]  # torque limit and travel that are never reached


def law_of(rows, enabled=None):
    command = np.array(rows, dtype=np.float64).reshape(5, -1)
    n = command.shape[1]
    law = np.full((n, 3), 99.0)
    motor_law(command, np.ones(n, np.uint8) if enabled is None else np.array(enabled, np.uint8), law)
    return law


def run(plant, law, q, dq, h, steps):
    state = np.array([[q], [dq], [0.0], [0.0]])
    step_joints(state, np.array([law], dtype=np.float64), np.array([plant], dtype=np.float64), h, steps)
    return state[:, 0]


@given(st.lists(st.floats(-50, 50), min_size=5, max_size=5), st.floats(-3, 3), st.floats(-30, 30))
def test_the_law_is_the_formula(numbers, q, dq):
    q_des, dq_des, tau = numbers[:3]
    kp, kd = abs(numbers[3]), abs(numbers[4])
    offset, stiffness, damping = law_of([q_des, dq_des, tau, kp, kd])[0]
    assert offset - stiffness * q - damping * dq == pytest.approx(tau + kp * (q_des - q) + kd * (dq_des - dq), abs=1e-9)


def test_no_command_values_leave_their_term_out():
    assert law_of([2.146e9, 0, 1, 50, 2])[0].tolist() == [1, 0, 2]
    assert law_of([0.5, 16000, 1, 50, 2])[0].tolist() == [26, 50, 0]


def test_a_disabled_motor_gives_nothing():
    assert law_of([[1, 1], [0, 0], [5, 5], [50, 50], [2, 2]], enabled=[0, 1]).tolist() == [[0, 0, 0], [55, 50, 2]]


@pytest.mark.parametrize(("row", "value"), [(0, np.nan), (2, np.inf), (3, -1.0), (4, -0.001), (4, np.nan)])
def test_a_bad_command_is_named_and_leaves_the_law_alone(row, value):
    command = np.ones((5, 3))
    command[row, 2] = value
    law = np.full((3, 3), 7.0)
    with pytest.raises(InvalidValueError, match=rf"{['q', 'dq', 'tau', 'kp', 'kd'][row]}\[2\]"):
        motor_law(command, np.ones(3, np.uint8), law)
    assert (law == 7.0).all()


def test_lengths_are_checked_and_none_is_fine():
    with pytest.raises(ShapeError):
        motor_law(np.ones((5, 3)), np.ones(4, np.uint8), np.ones((3, 3)))
    with pytest.raises(ShapeError):
        step_joints(np.ones((4, 2)), np.ones((2, 3)), np.ones((1, 6)), 0.002, 1)
    motor_law(np.ones((5, 0)), np.ones(0, np.uint8), np.ones((0, 3)))
    step_joints(np.ones((4, 0)), np.ones((0, 3)), np.ones((0, 6)), 0.002, 1)
    with pytest.raises(InvalidValueError, match="h to be"):
        step_joints(np.ones((4, 1)), np.ones((1, 3)), np.ones((1, 6)), 0.0, 1)
    with pytest.raises(InvalidValueError, match="inertia"):
        step_joints(np.ones((4, 1)), np.ones((1, 3)), np.zeros((1, 6)), 0.002, 1)


@given(inertia=st.floats(0.01, 0.1), kp=st.floats(1, 100), damping=st.floats(0.01, 0.95))
@settings(max_examples=40)
def test_a_joint_is_the_damped_oscillator(inertia, kp, damping):
    omega = np.sqrt(kp / inertia)
    kd = 2 * damping * inertia * omega
    t, h = 0.4, 0.001
    q, dq, _, _ = run([inertia, 0, 0, *FREE], [0, kp, kd], 1.0, 0.0, h, round(t / h))
    fast = omega * np.sqrt(1 - damping**2)
    shrink = np.exp(-damping * omega * t)
    exact = shrink * (np.cos(fast * t) + damping * omega / fast * np.sin(fast * t))
    # global error of the method is (a constant near 0.04) * (omega h)^2 * omega t
    bound = 0.1 * (omega * h) ** 2 * omega * t + 1e-9
    assert q == pytest.approx(exact, abs=bound)
    assert dq == pytest.approx(-shrink * omega**2 / fast * np.sin(fast * t), abs=bound * omega)


def test_the_method_is_of_second_order():
    exact = np.exp(-2.0) * (np.cos(10.0) + 0.2 * np.sin(10.0))  # omega^2 = 104, damping 2, at t = 1
    errors = [abs(run([1, 0, 0, *FREE], [0, 104, 4], 1.0, 0.0, h, round(1 / h))[0] - exact) for h in (0.01, 0.005)]
    assert 3.6 < errors[0] / errors[1] < 4.4


@given(kp=st.floats(0, 1e8), kd=st.floats(0, 1e8), q=st.floats(-3, 3), dq=st.floats(-100, 100))
def test_no_gain_makes_a_joint_unstable(kp, kd, q, dq):
    end = run([0.017, 0.1, 0.2, *FREE], [0, kp, kd], q, dq, 0.002, 2000)
    before = 0.5 * kp * q * q + 0.5 * 0.017 * dq * dq
    assert np.isfinite(end).all()
    assert 0.5 * kp * end[0] ** 2 + 0.5 * 0.017 * end[1] ** 2 <= before * (1 + 1e-9) + 1e-12


def test_very_strong_damping_brings_the_joint_to_rest_without_ringing():
    assert abs(run([0.017, 0, 0, *FREE], [0, 0, 1e6], 0.0, 10.0, 0.002, 2)[1]) < 1e-3


def test_coulomb_friction_stops_a_joint_where_it_should_and_holds_it():
    # v(t) = v0 - c/I t: from 1 rad/s with c/I = 4 it stops after 0.25 s and v0^2 / 8 = 0.125 rad.
    q, dq, _, _ = run([0.05, 0, 0.2, *FREE], [0, 0, 0], 0.0, 1.0, 0.0001, 5000)
    assert dq == 0.0
    assert q == pytest.approx(0.125, abs=2e-4)
    assert run([0.05, 0, 0.2, *FREE], [0.19, 0, 0], 0.0, 0.0, 0.002, 500)[0] == 0.0


def test_the_torque_stops_at_its_limit():
    q, dq, ddq, torque = run([0.05, 0, 0, 10.0, -1e9, 1e9], [1e5, 1e5, 0], 0.0, 0.0, 0.002, 1)
    assert torque == 10.0
    assert ddq == pytest.approx(10.0 / 0.05)
    assert dq == pytest.approx(0.4)
    assert q == pytest.approx(0.5 * 200 * 0.002**2)


def test_the_end_of_travel_holds():
    q, dq, _, torque = run([0.05, 0, 0, 10.0, -0.5, 0.5], [5.0, 0, 0], 0.0, 0.0, 0.002, 1000)
    assert (q, dq, torque) == (0.5, 0.0, 5.0)


def sphere(x, y, z, r):
    return [0, x, y, z, *np.eye(3).ravel(), r, 0, 0, r]


def test_a_ray_meets_the_nearer_sphere_and_sees_its_normal():
    distance, index, normal = cast_rays(
        [sphere(5, 0, 0, 1), sphere(9, 0, 0, 1)], [0.0, 0, 0], [[1.0, 0, 0], [0, 1.0, 0]]
    )
    assert distance.tolist() == [4.0, np.inf]
    assert index.tolist() == [0, -1]
    assert normal.tolist() == [[-1, 0, 0], [0, 0, 0]]


def test_each_ray_may_start_elsewhere_and_nothing_is_behind():
    distance, _, _ = cast_rays([sphere(5, 0, 0, 1)], [[0.0, 0, 0], [10.0, 0, 0]], [[1.0, 0, 0], [1.0, 0, 0]])
    assert distance.tolist() == [4.0, np.inf]


def test_no_shapes_and_no_rays_are_fine():
    distance, index, _ = cast_rays(np.zeros((0, 17)), [0.0, 0, 0], [[1.0, 0, 0]])
    assert (distance[0], index[0]) == (np.inf, -1)
    assert cast_rays([sphere(0, 0, 0, 1)], [0.0, 0, 0], np.zeros((0, 3)))[0].shape == (0,)
    with pytest.raises(ShapeError):
        cast_rays(np.zeros((1, 16)), [0.0, 0, 0], [[1.0, 0, 0]])
    with pytest.raises(ShapeError):
        cast_rays(np.zeros((1, 17)), np.zeros((2, 3)), [[1.0, 0, 0]])


def distance_to(kind, size, p):
    """Signed distance from points to a primitive in its own frame, from the textbook: an independent oracle."""
    radial = np.hypot(p[:, 0], p[:, 1])
    if kind == 0:
        return np.linalg.norm(p, axis=1) - size[0]
    if kind == 1:
        away = np.abs(p) - size
        return np.linalg.norm(np.maximum(away, 0), axis=1) + np.minimum(away.max(axis=1), 0)
    if kind == 2:
        away = np.stack([radial - size[0], np.abs(p[:, 2]) - size[1]], axis=1)
        return np.linalg.norm(np.maximum(away, 0), axis=1) + np.minimum(away.max(axis=1), 0)
    return np.hypot(radial, np.maximum(np.abs(p[:, 2]) - size[1], 0)) - size[0]


@pytest.mark.parametrize("kind", range(4), ids=["sphere", "box", "cylinder", "capsule"])
def test_rays_end_on_the_surface_and_no_earlier(kind):
    rng = np.random.default_rng(kind)
    size = np.array([0.4, 0.3, 0.2])
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    centre = np.array([0.1, -0.2, 0.3])
    start = rng.normal(size=(3000, 3))
    start *= 2.0 / np.linalg.norm(start, axis=1, keepdims=True)
    way = rng.normal(size=(3000, 3)) * 0.35 - start
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    distance, index, normal = cast_rays([[kind, *centre, *turn.ravel(), *size, 0.8]], start, way)

    def gap(t, shift=0.0):
        return distance_to(kind, size, (start + t[:, None] * way + shift - centre) @ turn)

    hit = index == 0
    distance[~hit] = 0.0
    assert 500 < hit.sum() < 3000
    assert np.abs(gap(distance)[hit]).max() < 1e-9
    for part in np.linspace(0.0, 0.999, 60):
        assert (gap(part * distance) > -1e-9)[hit].all()
        assert (gap(np.full(3000, 4.0 * part)) > -1e-3)[~hit].all()
    slope = np.stack([(gap(distance, 1e-6 * axis) - gap(distance)) / 1e-6 for axis in np.eye(3)], axis=1)
    away_from_edges = hit & (np.abs(np.linalg.norm(slope, axis=1) - 1) < 1e-3)
    assert away_from_edges.sum() > 0.95 * hit.sum()
    assert np.abs((slope - normal)[away_from_edges]).max() < 1e-3
