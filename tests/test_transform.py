"""rfx.math.Transform: group axioms, 4x4 matrices and scipy as oracles, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.transform
import strategies as some
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.math import Quaternion, Transform

ATOL = 1e-12
RigidTransform = getattr(scipy.spatial.transform, "RigidTransform", None)
needs_rigid_transform = pytest.mark.skipif(RigidTransform is None, reason="this scipy has no RigidTransform")
twists = st.builds(lambda v, w: np.concatenate([v, w.log()]), some.vectors(10.0), some.quaternions())


def same(a, b, atol=ATOL):
    return np.abs(a.to_matrix() - b.to_matrix()).max() < atol * (1 + np.abs(a.position).max())


def hat(xi):
    v, (x, y, z) = xi[:3], xi[3:]
    return np.array([[0, -z, y, v[0]], [z, 0, -x, v[1]], [-y, x, 0, v[2]], [0, 0, 0, 0]])


# --- group -----------------------------------------------------------------------------------------------------------


@given(some.transforms(), some.transforms(), some.transforms())
def test_composition_is_associative(a, b, c):
    assert same((a * b) * c, a * (b * c))


@given(some.transforms())
def test_identity_and_inverse_are_those_of_a_group(t):
    one = Transform.identity()
    assert one * t == t
    assert t * one == t
    assert same(t * t.inverse(), one, 1e-13)
    assert same(t.inverse() * t, one, 1e-13)


@given(some.transforms(), some.transforms(), some.vectors(10.0))
def test_composition_is_the_product_of_matrices(a, b, v):
    expected = a.to_matrix() @ b.to_matrix()
    for product in (a * b, a @ b, a.compose(b)):
        assert np.abs(product.to_matrix() - expected).max() < ATOL
    assert np.abs((a * b).transform_point(v) - a.transform_point(b.transform_point(v))).max() < ATOL


@given(some.transforms(), some.vectors(10.0))
def test_points_are_moved_and_vectors_only_turned(t, v):
    m = t.to_matrix()
    for point in (t.transform_point(v), t * v, t @ v, t.transform_point(v[None])[0], t @ v.tolist()):
        assert np.abs(point - (m[:3, :3] @ v + m[:3, 3])).max() < ATOL
    for vector in (t.transform_vector(v), t.transform_vector(v[None])[0]):
        assert np.abs(vector - m[:3, :3] @ v).max() < ATOL


@needs_rigid_transform
@given(some.transforms(), some.transforms(), some.vectors(10.0))
def test_agrees_with_scipy_rigid_transform(a, b, v):
    p, q = (RigidTransform.from_components(t.position, t.orientation.to_scipy()) for t in (a, b))
    assert np.abs((a * b).to_matrix() - (p * q).as_matrix()).max() < ATOL
    assert np.abs(a.inverse().to_matrix() - p.inv().as_matrix()).max() < ATOL
    assert np.abs(a.transform_point(v) - p.apply(v)).max() < ATOL


# --- exp, log, adjoint -----------------------------------------------------------------------------------------------


@given(twists)
def test_exp_is_the_matrix_exponential(xi):
    assert np.abs(Transform.exp(xi).to_matrix() - scipy.linalg.expm(hat(xi))).max() < ATOL


@given(some.transforms())
def test_exp_takes_log_back(t):
    xi = t.log()
    assert xi.shape == (6,)
    assert np.linalg.norm(xi[3:]) <= math.pi + 1e-15
    assert same(Transform.exp(xi), t)


@needs_rigid_transform
@given(some.vectors(10.0), some.from_tangent(3.1))
def test_exp_and_log_agree_with_scipy_whose_angular_part_is_first(v, turn):
    xi = np.concatenate([v, turn.log()])
    theirs = RigidTransform.from_exp_coords(np.concatenate([xi[3:], xi[:3]]))
    assert np.abs(Transform.exp(xi).to_matrix() - theirs.as_matrix()).max() < ATOL
    assert np.abs(Transform.exp(xi).log() - xi).max() < 1e-11  # cot(h/2) near half a turn


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-160, 1e-9, 1e-4])
def test_log_of_small_turns_keeps_the_position(size):
    t = Transform.exp([1, 2, 3, size, -size, 0])
    assert t.position == pytest.approx([1, 2, 3], abs=1e-3)
    assert t.log() == pytest.approx([1, 2, 3, size, -size, 0], rel=1e-13, abs=1e-320)


@given(some.transforms(), twists)
def test_adjoint_moves_twists(t, xi):
    assert same(t * Transform.exp(xi), Transform.exp(t.adjoint() @ xi) * t, 1e-11)


@given(some.transforms(), some.transforms())
def test_adjoint_is_a_homomorphism(a, b):
    assert np.abs((a * b).adjoint() - a.adjoint() @ b.adjoint()).max() < 1e-11


# --- construction and conversion -------------------------------------------------------------------------------------


def test_parts_are_what_was_given():
    q = Quaternion.from_euler(0.1, 0.2, 0.3)
    t = Transform([1, 2, 3], q)
    assert t.position.tolist() == [1, 2, 3] == [t.x, t.y, t.z]
    assert t.orientation == q
    assert (t.roll, t.pitch, t.yaw) == q.to_euler()
    assert t == Transform.from_euler((1, 2, 3), 0.1, 0.2, 0.3)
    assert Transform.from_position(1, 2, 3) == Transform([1, 2, 3]) != t
    assert Transform() == Transform.identity() == Transform.__new__(Transform)


def test_position_is_a_copy():
    t = Transform([1, 2, 3])
    t.position[0] = 9
    assert t.x == 1


def test_a_transform_cannot_be_changed():
    t = Transform([1, 2, 3])
    with pytest.raises(AttributeError):
        t.x = 2.0
    with pytest.raises(InvalidStateError, match="immutable"):
        t.__init__()
    assert t == Transform([1, 2, 3])


@given(some.transforms())
def test_matrices_come_back(t):
    assert same(Transform.from_matrix(t.to_matrix()), t, 1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, 0, 1.1), "rotation within"),
        ((3, 0, 0.1), "last row"),
        ((3, 3, 2.0), "last row"),
        ((0, 3, math.nan), "finite"),
        ((2, 2, -1.0), "rotation"),
    ],
)
def test_a_matrix_that_is_no_pose_is_refused(change, message):
    matrix = np.eye(4)
    matrix[change[0], change[1]] = change[2]
    with pytest.raises(InvalidValueError, match=message):
        Transform.from_matrix(matrix)
    with pytest.raises(ShapeError, match=r"\(4, 4\), got \(3, 3\)"):
        Transform.from_matrix(np.eye(3))


@pytest.mark.parametrize("bad", [[1, 2], [1, 2, math.nan], [math.inf, 0, 0], np.zeros((1, 3))])
def test_a_bad_position_is_refused(bad):
    for call in (Transform, lambda p: Transform.from_euler(p, 0, 0, 0)):
        with pytest.raises(InvalidValueError, match="expected position"):
            call(bad)


@pytest.mark.parametrize("bad", ["abc", [None] * 3, {}])
def test_a_position_of_another_type_is_refused(bad):
    with pytest.raises((DTypeError, ShapeError), match="expected position"):
        Transform(bad)


def test_an_orientation_must_be_a_quaternion():
    with pytest.raises(DTypeError, match="Quaternion, got list"):
        Transform(None, [1, 0, 0, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_coordinates_angles_and_twists_must_be_finite(bad):
    with pytest.raises(InvalidValueError, match="expected y"):
        Transform.from_position(0, bad, 0)
    with pytest.raises(InvalidValueError, match="expected pitch"):
        Transform.from_euler([0, 0, 0], 0, bad, 0)
    with pytest.raises(InvalidValueError, match="expected twist"):
        Transform.exp([0, 0, 0, 0, 0, bad])
    with pytest.raises(InvalidValueError, match="angular part"):
        Transform.exp([0, 0, 0, 1.7e308, 1.7e308, 0])


def test_positions_that_overflow_are_refused():
    far = Transform([1.7e308, 1.7e308, 1.7e308])
    turned = Transform([1.7e308, 1.7e308, 0], Quaternion.from_euler(0, 0, math.pi / 4))
    for call in (lambda: far * far, turned.inverse, lambda: far.lerp(turned, 1e10), lambda: far @ [1e308, 0, 0]):
        with pytest.raises(InvalidValueError, match="overflows"):
            call()
    with pytest.raises(InvalidValueError, match="range"):
        far.transform_point([[1e308, 0, 0]])


# --- lerp, comparison, rows ------------------------------------------------------------------------------------------


@given(some.transforms(), some.transforms(), st.floats(-2, 2))
def test_lerp_is_straight_in_position_and_slerp_in_orientation(a, b, t):
    between = a.lerp(b, t)
    assert np.abs(between.position - (a.position + (b.position - a.position) * t)).max() < ATOL
    assert between.orientation == a.orientation.slerp(b.orientation, t)
    assert a.lerp(b, 0) == a
    assert a.lerp(b, 1).is_close(b, 1e-14)
    assert a.lerp(b, 1).position.tolist() == b.position.tolist()


def test_lerp_compose_and_is_close_refuse_other_things():
    t = Transform()
    for call in (lambda o: t.lerp(o, 0.5), t.compose, t.is_close):
        with pytest.raises(DTypeError, match="Transform, got Quaternion"):
            call(Quaternion())
    with pytest.raises(InvalidValueError, match="expected t"):
        t.lerp(t, math.nan)
    for other in (2.0, "a", None, Quaternion()):
        with pytest.raises(TypeError):
            t * other
        with pytest.raises(TypeError):
            t @ other
    with pytest.raises(TypeError):
        np.eye(4) @ t


def test_is_close_looks_at_position_and_rotation():
    t = Transform([1, 2, 3], Quaternion(1, 2, 3, 4))
    assert t.is_close(Transform([1, 2, 3 + 1e-10], Quaternion(-1, -2, -3, -4)))
    assert not t.is_close(Transform([1, 2, 3 + 1e-8], Quaternion(1, 2, 3, 4)))
    assert not t.is_close(Transform([1, 2, 3], Quaternion(1, 2, 3, 4.0001)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 9])
@pytest.mark.parametrize("name", ["transform_point", "transform_vector"])
def test_rows_keep_their_dtype_and_out_is_used(dtype, n, name):
    t = Transform([1, 2, 3], Quaternion(1, 2, 3, 4))
    rows = np.random.default_rng(2).normal(size=(n, 6)).astype(dtype)
    rows.flags.writeable = False
    v = rows[:, ::2]
    out = np.empty((n, 3), dtype)
    assert getattr(t, name)(v, out=out) is out
    m = t.to_matrix()
    expected = v.astype(float) @ m[:3, :3].T + (m[:3, 3] if name == "transform_point" else 0)
    assert np.abs(out - expected).max(initial=0) < (1e-6 if dtype == np.float32 else 1e-14)


def test_out_must_not_be_the_input():
    points = np.ones((4, 3))
    with pytest.raises(InvalidValueError, match="overlap"):
        Transform([1, 2, 3]).transform_point(points, out=points)
    assert (points == 1).all()


# --- object ----------------------------------------------------------------------------------------------------------


@given(some.transforms(1e6))
@settings(max_examples=30)
def test_pickles_and_copies_are_equal_to_the_last_bit(t):
    for other in (pickle.loads(pickle.dumps(t)), copy.copy(t), copy.deepcopy(t)):
        assert other == t
        assert hash(other) == hash(t)


def test_repr_shows_position_and_angles():
    assert (
        repr(Transform.from_euler([1, 2, 3], 0.1, 0.2, 0.3))
        == "Transform(pos=[1.000, 2.000, 3.000], rpy=[0.100, 0.200, 0.300])"
    )
    assert Transform() != "Transform"
