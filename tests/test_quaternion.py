"""rfx.math.Quaternion: group axioms, scipy as oracle, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest
import strategies as some
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from rfx.errors import DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.math import Quaternion

ATOL = 1e-12
angles = st.floats(-10.0, 10.0)


def gap(a, b):
    """Distance of two arrays of components up to the sign of the whole."""
    a, b = np.asarray(a), np.asarray(b)
    return min(np.abs(a - b).max(), np.abs(a + b).max())


# --- group -----------------------------------------------------------------------------------------------------------


@given(some.quaternions(), some.quaternions(), some.quaternions())
def test_product_is_associative(a, b, c):
    assert gap((a * b) * c, a * (b * c)) < 1e-15 * 8


@given(some.quaternions())
def test_identity_and_inverse_are_those_of_a_group(q):
    one = Quaternion.identity()
    assert one * q == q == q * one
    assert gap(q * q.inverse(), one) < 1e-15
    assert q.inverse() == q.conjugate()
    assert q.inverse().inverse() == q


@given(some.quaternions(), some.quaternions())
def test_length_stays_one(a, b):
    assert abs((a * b).norm() - 1) < 2e-15
    assert abs(a.slerp(b, 0.37).norm() - 1) < 2e-15


def test_a_long_chain_of_products_does_not_drift():
    step = Quaternion.from_euler(0.01, -0.02, 0.03)
    q = Quaternion()
    for _ in range(20_000):
        q = q * step
    assert abs(q.norm() - 1) < 2e-15
    expected = Rotation.from_rotvec(step.to_rotation_vector() * 20_000)
    assert gap(q.to_xyzw(), expected.as_quat()) < 1e-11


@given(some.quaternions(), some.quaternions())
def test_product_agrees_with_scipy(a, b):
    assert gap((a * b).to_xyzw(), (a.to_scipy() * b.to_scipy()).as_quat()) < ATOL


# --- construction ----------------------------------------------------------------------------------------------------


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4))
@example((1e-200, 0.0, 1e-200, 0.0))
@example((1e200, 1e200, 0.0, 0.0))
@example((1e308, 1e308, 1e308, 1e308))
@example((3e-308, 0.0, 0.0, 0.0))
def test_any_finite_quaternion_is_normalised_or_refused(c):
    largest = max(map(abs, c))
    if largest < np.finfo(float).tiny:
        with pytest.raises(InvalidValueError, match="normalised"):
            Quaternion(*c)
        return
    scaled = np.array(c) / largest
    assert np.abs(Quaternion(*c).to_wxyz() - scaled / np.linalg.norm(scaled)).max() < 1e-15


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_component_that_is_not_finite_is_refused(bad, place):
    c = [1.0, 2.0, 3.0, 4.0]
    c[place] = bad
    with pytest.raises(InvalidValueError, match=f"expected {'wxyz'[place]} to be finite"):
        Quaternion(*c)
    with pytest.raises(InvalidValueError, match="expected values to be finite"):
        Quaternion.from_wxyz(c)


def test_zero_and_subnormal_quaternions_are_value_errors():
    for c in [(0, 0, 0, 0), (-0.0, 0.0, 0.0, 0.0), (1e-310, 0, 0, 0)]:
        with pytest.raises(ValueError, match="normalised"):
            Quaternion(*c)
        with pytest.raises(ValueError, match="normalised"):
            Quaternion.from_xyzw(c)


@pytest.mark.parametrize("bad", ["1", None, [1.0], 1j, Quaternion()])
def test_a_component_that_is_no_number_is_a_type_error(bad):
    with pytest.raises(DTypeError, match="expected w"):
        Quaternion(bad)


def test_a_quaternion_cannot_be_changed():
    q = Quaternion(1, 2, 3, 4)
    with pytest.raises(AttributeError):
        q.w = 2.0
    with pytest.raises(InvalidStateError, match="immutable"):
        q.__init__(1, 0, 0, 0)
    assert q == Quaternion(1, 2, 3, 4)


def test_a_quaternion_made_without_init_is_the_identity():
    assert Quaternion.__new__(Quaternion) == Quaternion.identity()


def test_orders_of_components_are_named():
    q = Quaternion.from_wxyz([1, 2, 3, 4])
    assert (q.w, q.x, q.y, q.z) == tuple(q.to_wxyz())
    assert tuple(q.to_xyzw()) == (q.x, q.y, q.z, q.w)
    assert Quaternion.from_xyzw(q.to_xyzw()) == q == Quaternion.from_wxyz(q.to_wxyz())
    with pytest.raises(ShapeError, match=r"shape \(4,\), got \(3,\)"):
        Quaternion.from_xyzw([1, 2, 3])


# --- conversions -----------------------------------------------------------------------------------------------------


def test_the_golden_rotation():
    rotated = Quaternion.from_euler(0.1, 0.2, 0.3).rotate_vector([1, 0, 0])
    assert rotated == pytest.approx([0.93629, 0.28963, -0.19867], abs=5e-6)
    assert rotated.shape == (3,)
    assert rotated.dtype == np.float64


@given(angles, angles, angles)
def test_from_euler_agrees_with_scipy(roll, pitch, yaw):
    expected = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_quat()
    assert gap(Quaternion.from_euler(roll, pitch, yaw).to_xyzw(), expected) < ATOL


@given(some.quaternions())
def test_euler_angles_come_back_as_the_same_rotation(q):
    roll, pitch, yaw = q.to_euler()
    assert -math.pi < roll <= math.pi
    assert -math.pi / 2 <= pitch <= math.pi / 2
    assert -math.pi < yaw <= math.pi
    assert (q.roll, q.pitch, q.yaw) == (roll, pitch, yaw)
    assert gap(Quaternion.from_euler(roll, pitch, yaw), q) < ATOL


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_euler_angles_come_back_away_from_the_lock(roll, pitch, yaw):
    assert Quaternion.from_euler(roll, pitch, yaw).to_euler() == pytest.approx((roll, pitch, yaw), abs=ATOL)


@pytest.mark.parametrize("sign", [1, -1])
def test_at_gimbal_lock_yaw_is_zero_and_roll_has_the_rest(sign):
    half = math.sqrt(0.5)
    lock = Quaternion(half, 0.0, sign * half, 0.0)
    q = lock * Quaternion.from_euler(0.4, 0.0, 0.0)
    roll, pitch, yaw = q.to_euler()
    assert pitch == sign * math.pi / 2
    assert yaw == 0.0
    assert roll == pytest.approx(0.4, abs=ATOL)


@given(some.vectors(10.0))
def test_exp_agrees_with_scipy(vector):
    q = Quaternion.from_rotation_vector(vector)
    assert gap(q.to_xyzw(), Rotation.from_rotvec(vector).as_quat()) < ATOL
    assert Quaternion.exp(vector) == q


@given(some.quaternions())
def test_log_agrees_with_scipy_and_exp_takes_it_back(q):
    vector = q.log()
    assert np.linalg.norm(vector) <= math.pi + 1e-15
    assert gap(Quaternion.exp(vector), q) < 1e-15 * 4
    expected = q.to_scipy().as_rotvec()
    near = np.abs(vector - expected).max() < ATOL
    assert near or (abs(q.w) < ATOL and np.abs(vector + expected).max() < 1e-9)
    assert (q.to_rotation_vector() == vector).all()


@given(some.directions(), st.floats(1e-300, 1e-9))
def test_tiny_rotation_vectors_keep_their_digits(axis, angle):
    vector = axis * angle
    assert Quaternion.exp(vector).log() == pytest.approx(vector, rel=1e-14, abs=1e-315)


@given(some.quaternions())
def test_axis_and_angle_come_back(q):
    axis, angle = q.to_axis_angle()
    assert abs(np.linalg.norm(axis) - 1) < 1e-15 * 2
    assert 0 <= angle <= math.pi
    assert gap(Quaternion.from_axis_angle(axis, angle), q) < 1e-15 * 4


def test_the_axis_of_the_identity_is_z():
    axis, angle = Quaternion.identity().to_axis_angle()
    assert axis.tolist() == [0, 0, 1]
    assert angle == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e300])
def test_the_length_of_an_axis_does_not_matter(scale):
    q = Quaternion.from_axis_angle([scale, -scale, scale], 0.7)
    assert gap(q, Quaternion.from_axis_angle([1, -1, 1], 0.7)) < 1e-15


def test_an_axis_without_direction_is_refused():
    with pytest.raises(InvalidValueError, match="axis to have a direction"):
        Quaternion.from_axis_angle([0, 0, 0], 0.0)
    with pytest.raises(InvalidValueError, match="expected axis to be finite, got nan"):
        Quaternion.from_axis_angle([0, math.nan, 1], 0.0)
    with pytest.raises(ShapeError, match=r"expected axis of shape \(3,\), got \(2,\)"):
        Quaternion.from_axis_angle([0, 1], 0.0)
    with pytest.raises(InvalidValueError, match="angle"):
        Quaternion.from_axis_angle([0, 0, 1], math.inf)


def test_a_rotation_vector_of_infinite_length_is_refused():
    with pytest.raises(InvalidValueError, match="finite length"):
        Quaternion.from_rotation_vector([1.7e308, 1.7e308, 1.7e308])
    assert abs(Quaternion.from_rotation_vector([1e200, 0, 0]).norm() - 1) < 2e-15


@given(some.quaternions())
def test_matrices_agree_with_scipy_and_come_back(q):
    matrix = q.to_rotation_matrix()
    assert np.abs(matrix - q.to_scipy().as_matrix()).max() < ATOL
    assert gap(Quaternion.from_rotation_matrix(matrix), q) < 1e-15 * 4


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3) * 1.01, "rotation within 1e-06, got one off by 0.0201"),
        (np.diag([1.0, 1.0, -1.0]), "rotation"),
        (np.zeros((3, 3)), "rotation"),
        (np.full((3, 3), np.nan), "finite"),
        (np.full((3, 3), 1e200), "rotation"),
        (np.eye(4), r"shape \(3, 3\), got \(4, 4\)"),
    ],
)
def test_a_matrix_that_is_no_rotation_is_refused(matrix, message):
    with pytest.raises(InvalidValueError, match=message):
        Quaternion.from_rotation_matrix(matrix)


def test_the_tolerance_of_a_matrix_can_be_chosen():
    assert gap(Quaternion.from_rotation_matrix(np.eye(3) * 1.01, atol=0.1), Quaternion()) < 1e-15


@given(some.quaternions())
def test_scipy_rotations_come_and_go(q):
    assert gap(Quaternion.from_scipy(q.to_scipy()), q) < 1e-15


def test_only_one_scipy_rotation_is_taken():
    with pytest.raises(ShapeError, match="single rotation"):
        Quaternion.from_scipy(Rotation.identity(2))
    with pytest.raises(DTypeError, match="scipy Rotation, got list"):
        Quaternion.from_scipy([1, 0, 0, 0])


def test_numpy_sees_wxyz():
    q = Quaternion(1, 2, 3, 4)
    assert np.asarray(q).tolist() == [q.w, q.x, q.y, q.z]
    assert np.asarray(q, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(q, copy=False)


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


# --- object ----------------------------------------------------------------------------------------------------------


@given(some.quaternions())
def test_pickles_and_copies_are_equal_to_the_last_bit(q):
    for other in (pickle.loads(pickle.dumps(q)), copy.copy(q), copy.deepcopy(q), Quaternion(*q.to_wxyz())):
        assert other == q
        assert hash(other) == hash(q)


def test_equality_with_other_things_is_false():
    assert Quaternion() != (1.0, 0.0, 0.0, 0.0)
    assert Quaternion() is not None
    assert len({Quaternion(), Quaternion(2, 0, 0, 0), Quaternion(1, -0.0, 0, 0)}) == 1


def test_repr_shows_four_decimals():
    assert repr(Quaternion.from_euler(0.1, 0.2, 0.3)) == "Quaternion(w=0.9833, x=0.0343, y=0.1060, z=0.1436)"
