"""rfx.math.Quaternion: group axioms, scipy as oracle, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest
import strategies as some
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

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
