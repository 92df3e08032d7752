"""rfx.math.Quaternion: what it does to vectors, interpolation and distance."""

import math

import numpy as np
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.math import Quaternion

ATOL = 1e-12


def gap(a, b):
    """Distance of two arrays of components up to the sign of the whole."""
    a, b = np.asarray(a), np.asarray(b)
    return min(np.abs(a - b).max(), np.abs(a + b).max())


# --- rotation --------------------------------------------------------------------------------------------------------


@given(some.quaternions(), some.vectors())
def test_rotation_agrees_with_scipy(q, v):
    expected = q.to_scipy().apply(v)
    for result in (q.rotate_vector(v), q * v, q.rotate_vector(v[None])[0], q * v.tolist()):
        assert np.abs(result - expected).max() < ATOL * (1 + np.abs(v).max())


@given(some.quaternions(), some.quaternions(), some.vectors())
def test_a_product_acts_like_one_after_the_other(a, b, v):
    assert np.abs((a * b) * v - a * (b * v)).max() < ATOL * (1 + np.abs(v).max())


@pytest.mark.parametrize(
    "v", [(1, 2, 3), [1.0, 2, 3.0], np.array([1, 2, 3]), np.array([1, 2, 3], np.float32), np.arange(9.0)[1::1][:3]]
)
def test_one_vector_of_any_kind_gives_float64(v):
    result = Quaternion(1, 2, 3, 4).rotate_vector(v)
    assert result.dtype == np.float64
    assert result.shape == (3,)
    assert result == pytest.approx(Quaternion(1, 2, 3, 4).to_rotation_matrix() @ np.asarray(v, float), abs=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_rows_keep_their_dtype_and_out_is_used(dtype, n):
    q = Quaternion(1, 2, 3, 4)
    v = np.random.default_rng(1).normal(size=(n, 3)).astype(dtype)
    out = np.empty_like(v)
    result = q.rotate_vector(v, out=out)
    assert result is out
    error = np.abs(result - v.astype(float) @ q.to_rotation_matrix().T).max(initial=0)
    assert error < (1e-6 if dtype == np.float32 else 1e-14)
    assert (q * v == result).all()


def test_strided_and_read_only_vectors_are_taken():
    q = Quaternion(1, 2, 3, 4)
    wide = np.arange(30.0).reshape(5, 6)
    wide.flags.writeable = False
    assert (q * wide[:, ::2] == q * wide[:, ::2].copy()).all()
    assert (q * wide[0, ::-2] == q * wide[0, ::-2].copy()).all()
    assert (q * wide.astype(">f8")[:, :3] == q * wide[:, :3]).all()


def test_out_for_one_vector_is_used():
    out = np.empty(3)
    v = np.array([1.0, 2.0, 3.0])
    q = Quaternion(1, 2, 3, 4)
    assert q.rotate_vector(v, out=out) is out
    assert out == pytest.approx(q * v, abs=1e-14)
    with pytest.raises(InvalidValueError, match="overlap"):
        q.rotate_vector(v, out=v)


@pytest.mark.parametrize("bad", [[1, 2], np.zeros((3, 4)), np.zeros((2, 2, 3)), np.float64(3.0)])
def test_vectors_of_another_shape_are_refused(bad):
    with pytest.raises(ShapeError, match="vector"):
        Quaternion().rotate_vector(bad)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_vectors_that_are_not_finite_are_refused(bad):
    for v in ([1.0, bad, 2.0], np.array([bad, 0, 0]), np.array([[0, 0, 0], [0, 0, bad]])):
        with pytest.raises(InvalidValueError, match="finite"):
            Quaternion().rotate_vector(v)


def test_integers_of_any_size_are_taken_or_refused_cleanly():
    assert Quaternion().rotate_vector([10**30, -1, 0]).tolist() == [1e30, -1.0, 0.0]
    for v in ([10**400, 0, 0], (0, 0, -(10**400))):
        with pytest.raises((DTypeError, InvalidValueError), match="expected vector"):
            Quaternion().rotate_vector(v)


def test_a_rotation_that_overflows_is_refused():
    q = Quaternion.from_euler(0, 0, math.pi / 4)
    for v in ([1.7e308, 1.7e308, 0], [[1.7e308, 1.7e308, 0]], np.full((2, 3), 3e38, np.float32)):
        with pytest.raises(InvalidValueError, match="range"):
            q.rotate_vector(v)


@pytest.mark.parametrize("other", [2.0, "abc", None, 1j])
def test_products_with_other_things_are_type_errors(other):
    with pytest.raises(TypeError):
        Quaternion() * other


def test_an_array_times_a_quaternion_is_a_type_error():
    for array in (np.ones(4), np.ones((4, 3))):
        with pytest.raises(TypeError):
            array * Quaternion()


# --- interpolation and distance --------------------------------------------------------------------------------------


@given(some.quaternions(), some.quaternions(), st.floats(0, 1))
def test_slerp_agrees_with_scipy(a, b, t):
    if abs(a.dot(b)) < 1e-6:
        return  # half a turn apart: two shortest ways, and scipy may take the other
    expected = Slerp([0, 1], Rotation.concatenate([a.to_scipy(), b.to_scipy()]))(t)
    assert gap(a.slerp(b, t).to_xyzw(), expected.as_quat()) < ATOL


@given(some.quaternions(), some.from_tangent(3.0), st.floats(-3, 3))
def test_slerp_turns_at_constant_speed_also_beyond_the_ends(a, turn, t):
    expected = a * Quaternion.exp(turn.log() * t)
    assert gap(a.slerp(a * turn, t), expected) < ATOL


@given(some.quaternions(), some.quaternions())
def test_slerp_starts_at_one_and_ends_at_the_other(a, b):
    assert a.slerp(b, 0) == a
    assert gap(a.slerp(b, 1), b) < 1e-15
    assert gap(a.slerp(a, 0.3), a) < 1e-15


def test_slerp_of_half_a_turn_is_defined():
    a, b = Quaternion(), Quaternion(0, 1, 0, 0)
    assert gap(a.slerp(b, 0.5), Quaternion(1, 1, 0, 0)) < 1e-15


@pytest.mark.parametrize("t", [1e6, -1e300, 1e300])
def test_far_extrapolation_of_equal_rotations_stays_there(t):
    q = Quaternion(1, 2, 3, 4)
    assert q.slerp(q, t).is_close(q)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.1e300])
def test_slerp_refuses_a_useless_t(bad):
    with pytest.raises(InvalidValueError, match="t"):
        Quaternion().slerp(Quaternion(0, 1, 0, 0), bad)
    with pytest.raises(DTypeError, match="Quaternion, got list"):
        Quaternion().slerp([1, 0, 0, 0], 0.5)


@given(some.directions(), st.floats(1e-300, 3.14159), some.quaternions())
def test_distance_is_the_angle_of_the_turn(axis, angle, q):
    turn = Quaternion.from_axis_angle(axis, angle)
    assert Quaternion().angular_distance(turn) == pytest.approx(angle, rel=1e-14)
    assert q.angular_distance(q * turn) == pytest.approx(angle, abs=1e-14)


@given(some.quaternions())
def test_a_rotation_is_close_to_itself_and_to_its_negative(q):
    negative = Quaternion(-q.w, -q.x, -q.y, -q.z)
    assert q.angular_distance(q) == 0.0 == q.angular_distance(negative)
    assert q.is_close(negative, atol=0.0)
    assert q != negative
    assert not q.is_close(q * Quaternion.from_euler(1e-6, 0, 0))
    assert q.is_close(q * Quaternion.from_euler(1e-6, 0, 0), atol=1.1e-6)


def test_is_close_dot_and_distance_refuse_other_things():
    q = Quaternion()
    for call in (q.is_close, q.dot, q.angular_distance):
        with pytest.raises(DTypeError, match="expected other to be a Quaternion, got ndarray"):
            call(np.array([1.0, 0, 0, 0]))
    with pytest.raises(InvalidValueError, match="atol"):
        q.is_close(q, atol=-1)
