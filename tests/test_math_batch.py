"""rfx.math array functions: row by row the same as Quaternion and Transform, and what is refused."""

import math

import numpy as np
import pytest
import strategies as some
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import rfx.math as rm
from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.math import Quaternion, Transform

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
sizes = pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 200])


def unit_rows(n, seed=0, dtype=np.float64):
    q = np.random.default_rng(seed).normal(size=(n, 4))
    return (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(dtype)


def rows(n, width=3, seed=5, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(dtype)


def pose_rows(n, seed=0, dtype=np.float64):
    return np.concatenate([rows(n, 3, seed, dtype), unit_rows(n, seed + 1, dtype)], axis=1)


def as_transform(row):
    row = row.astype(float)
    return Transform(row[:3], Quaternion.from_wxyz(row[3:]))


def as_row(t):
    return np.concatenate([t.position, t.orientation.to_wxyz()])


# name -> (function, its arguments for n rows, the same for one row by the classes)
CASES = {
    "quat_multiply": (
        rm.quat_multiply,
        lambda n, d: (unit_rows(n, 1, d), unit_rows(n, 2, d)),
        lambda a, b: (Quaternion(*a) * Quaternion(*b)).to_wxyz(),
    ),
    "quat_rotate": (
        rm.quat_rotate,
        lambda n, d: (unit_rows(n, 1, d), rows(n, 3, 2, d)),
        lambda q, v: Quaternion(*q).rotate_vector(v),
    ),
    "quat_slerp": (
        rm.quat_slerp,
        lambda n, d: (unit_rows(n, 1, d), unit_rows(n, 2, d), np.linspace(-0.5, 1.5, n).astype(d)),
        lambda a, b, t: Quaternion(*a).slerp(Quaternion(*b), float(t)).to_wxyz(),
    ),
    "quat_from_euler": (
        rm.quat_from_euler,
        lambda n, d: (rows(n, 3, 3, d),),
        lambda e: Quaternion.from_euler(*e).to_wxyz(),
    ),
    "quat_to_euler": (rm.quat_to_euler, lambda n, d: (unit_rows(n, 4, d),), lambda q: Quaternion(*q).to_euler()),
    "quat_to_matrix": (
        rm.quat_to_matrix,
        lambda n, d: (unit_rows(n, 4, d),),
        lambda q: Quaternion(*q).to_rotation_matrix(),
    ),
    "quat_from_matrix": (
        rm.quat_from_matrix,
        lambda n, d: (rm.quat_to_matrix(unit_rows(n, 4)).astype(d),),
        lambda m: Quaternion.from_rotation_matrix(m).to_wxyz(),
    ),
    "quat_inverse": (rm.quat_inverse, lambda n, d: (unit_rows(n, 4, d),), lambda q: Quaternion(*q).inverse().to_wxyz()),
    "quat_normalize": (rm.quat_normalize, lambda n, d: (rows(n, 4, 6, d),), lambda q: Quaternion(*q).to_wxyz()),
    "pose_compose": (
        rm.pose_compose,
        lambda n, d: (pose_rows(n, 1, d), pose_rows(n, 2, d)),
        lambda a, b: as_row(as_transform(a) * as_transform(b)),
    ),
    "pose_inverse": (
        rm.pose_inverse,
        lambda n, d: (pose_rows(n, 1, d),),
        lambda a: as_row(as_transform(a).inverse()),
    ),
    "pose_transform_points": (
        rm.pose_transform_points,
        lambda n, d: (pose_rows(n, 1, d), rows(n, 3, 2, d)),
        lambda a, v: as_transform(a).transform_point(v),
    ),
}
every = pytest.mark.parametrize("name", CASES)
pairs = pytest.mark.parametrize("name", [n for n in CASES if len(CASES[n][1](1, np.float64)) > 1])


def expected_rows(one, arguments, n):
    wide = [np.asarray(a, np.float64) for a in arguments]
    return np.array([one(*[a[i] for a in wide]) for i in range(n)])


def distance(a, b):
    return np.abs(np.asarray(a, float) - b).max(initial=0.0)


@every
@dtypes
@sizes
def test_rows_are_what_the_classes_say(name, dtype, n):
    function, make, one = CASES[name]
    arguments = make(n, dtype)
    result = function(*arguments)
    assert result.dtype == dtype
    assert len(result) == n
    if n:
        expected = expected_rows(one, arguments, n)
        assert result.shape == expected.shape
        assert distance(result, expected) < TOLERANCE[dtype] * 4


@every
@dtypes
def test_a_single_row_has_no_row_axis(name, dtype):
    function, make, _ = CASES[name]
    arguments = make(3, dtype)
    result = function(*[a[1] for a in arguments])
    assert result.dtype == dtype
    assert distance(result, np.asarray(function(*arguments)[1], float)) < TOLERANCE[dtype]


@pairs
@dtypes
@pytest.mark.parametrize("n", [0, 1, 5, 70])
def test_one_goes_with_many_on_either_side(name, dtype, n):
    function, make, _ = CASES[name]
    arguments = make(max(n, 1), dtype)
    for place in range(len(arguments)):
        for one in (arguments[place][0], arguments[place][:1]):
            mixed = [one if i == place else a[:n] for i, a in enumerate(arguments)]
            full = [np.repeat(a[:1], n, axis=0) if i == place else a[:n] for i, a in enumerate(arguments)]
            result = function(*mixed)
            assert result.shape == function(*full).shape
            assert distance(result, np.asarray(function(*full), float)) < TOLERANCE[dtype]


@every
@dtypes
def test_out_is_filled_and_returned(name, dtype):
    function, make, _ = CASES[name]
    arguments = make(5, dtype)
    expected = function(*arguments)
    out = np.full_like(expected, 7)
    assert function(*arguments, out=out) is out
    assert (out == expected).all()


@every
def test_a_wrong_out_is_refused(name):
    function, make, _ = CASES[name]
    arguments = make(5, np.float64)
    right = function(*arguments)
    read_only = right.copy()
    read_only.flags.writeable = False
    for out, error in [
        (right.astype(np.float32), DTypeError),
        (right[:4], ShapeError),
        (np.repeat(right, 2, axis=-1)[..., ::2], ShapeError),
        (read_only, InvalidValueError),
        (right.tolist(), DTypeError),
    ]:
        with pytest.raises(error, match="out"):
            function(*arguments, out=out)


def test_out_must_not_overlap_an_input():
    q = unit_rows(4)
    with pytest.raises(InvalidValueError, match="overlap"):
        rm.quat_inverse(q, out=q)
    with pytest.raises(InvalidValueError, match="overlap"):
        rm.quat_multiply(q[0], q, out=q)


@every
@dtypes
def test_strided_and_read_only_input_is_taken(name, dtype):
    function, make, _ = CASES[name]
    arguments = make(6, dtype)
    strided = []
    for a in arguments:
        wide = np.repeat(a, 2, axis=0)
        wide.flags.writeable = False
        strided.append(wide[::2])
    assert (function(*strided) == function(*arguments)).all()


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("n", [None, 3, 70])
def test_a_number_that_is_not_finite_is_refused_in_every_argument(name, bad, n):
    function, make, _ = CASES[name]
    for place in range(len(make(1, np.float64))):
        arguments = [np.array(a[0]) if n is None else a for a in make(n or 1, np.float64)]
        arguments[place].reshape(n or 1, -1)[:, -1] = bad
        with pytest.raises(InvalidValueError, match="finite"):
            function(*arguments)


@every
def test_a_number_that_is_not_finite_is_refused_in_the_one_of_many(name):
    function, make, _ = CASES[name]
    arguments = list(make(5, np.float64))
    arguments[0] = arguments[0][0].copy()
    arguments[0].flat[0] = math.nan
    with pytest.raises(InvalidValueError, match=r"finite, got nan at .*\[0"):
        function(*arguments)


UNIT = ["quat_rotate", "quat_slerp", "quat_to_euler", "quat_to_matrix", "quat_inverse"]


@pytest.mark.parametrize("name", [*UNIT, "pose_compose", "pose_inverse", "pose_transform_points"])
def test_quaternions_must_be_of_unit_length(name):
    function, make, _ = CASES[name]
    for scale in (0.0, 0.99, 1.01):
        arguments = make(5, np.float64)
        arguments[0][3, -4:] *= scale
        with pytest.raises(InvalidValueError, match=r"unit length.*\[3\]"):
            function(*arguments)
        one = [arguments[0][3], *[a[0] if a.ndim == 1 else a for a in arguments[1:]]]
        with pytest.raises(InvalidValueError, match="unit length"):
            function(*one)
    arguments = make(5, np.float64)
    arguments[0][:, -4:] *= 1.0001
    function(*arguments)


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((2, 5)), np.zeros((1, 2, 2, 4)), 3.0])
@every
def test_other_shapes_are_refused(name, bad):
    function, make, _ = CASES[name]
    arguments = list(make(2, np.float64))
    if name == "quat_from_euler" and np.shape(bad) == (3,):
        bad = np.zeros(4)
    arguments[0] = bad
    with pytest.raises(ShapeError, match=r"expected .* of shape"):
        function(*arguments)


@pairs
def test_numbers_of_rows_must_agree(name):
    function, make, _ = CASES[name]
    arguments = list(make(4, np.float64))
    arguments[-1] = arguments[-1][:3]
    with pytest.raises(ShapeError, match="got 4 and 3"):
        function(*arguments)


@every
def test_input_that_is_no_number_is_refused(name):
    function, make, _ = CASES[name]
    arguments = list(make(2, np.float64))
    arguments[0] = arguments[0].astype(str)
    with pytest.raises(DTypeError, match="real numbers"):
        function(*arguments)


def test_arrays_decide_the_dtype_and_lists_follow():
    v32, v64 = rows(3, dtype=np.float32), rows(3)
    assert rm.quat_rotate([1, 0, 0, 0], v32).dtype == np.float32
    assert rm.quat_rotate(Quaternion(), v32).dtype == np.float32
    assert rm.quat_rotate(np.array([1.0, 0, 0, 0]), v32).dtype == np.float64
    assert rm.quat_rotate(np.array([1, 0, 0, 0], np.float32), v64).dtype == np.float64
    assert rm.quat_slerp([1, 0, 0, 0], [0, 1, 0, 0], 0.5).dtype == np.float64


def test_products_need_no_unit_length_and_overflow_is_refused():
    assert rm.quat_multiply([2, 0, 0, 0], [[0, 3, 0, 0]]).tolist() == [[0, 6, 0, 0]]
    for dtype, big in ((np.float32, 1e30), (np.float64, 1e300)):
        with pytest.raises(InvalidValueError, match="overflows"):
            rm.quat_multiply(np.full((2, 4), big, dtype), np.full((2, 4), big, dtype))


@pytest.mark.parametrize(("dtype", "big"), [(np.float32, 3e38), (np.float64, 1.5e308)])
def test_vectors_that_overflow_are_refused(dtype, big):
    v = np.full((2, 3), big, dtype)
    q = np.repeat(np.array([[math.cos(0.4), 0, 0, math.sin(0.4)]], dtype), 2, axis=0)
    pose = np.concatenate([v, q], axis=1)
    for call in (
        lambda: rm.quat_rotate(q, v),
        lambda: rm.quat_rotate(q[0], v),
        lambda: rm.quat_rotate(q, v[0]),
        lambda: rm.pose_transform_points(pose, v),
        lambda: rm.pose_transform_points(pose[0], v),
        lambda: rm.pose_compose(pose, pose),
        lambda: rm.pose_inverse(pose),
    ):
        with pytest.raises(InvalidValueError, match="range"):
            call()


def test_slerp_refuses_a_useless_t():
    a, b = unit_rows(3, 1), unit_rows(3, 2)
    for bad in (math.nan, math.inf, 1.1e300):
        with pytest.raises(InvalidValueError, match="t"):
            rm.quat_slerp(a, b, bad)
    with pytest.raises(ShapeError, match="expected t of shape"):
        rm.quat_slerp(a, b, np.zeros((3, 1)))


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_normalize_takes_any_length(scale):
    q = rows(5, 4)
    assert distance(rm.quat_normalize(q * scale), q / np.linalg.norm(q, axis=1, keepdims=True)) < 1e-15
    with pytest.raises(InvalidValueError, match="length 0 at row 2"):
        rm.quat_normalize(q * [[scale], [1], [0], [1], [0]])


def test_a_matrix_that_is_no_rotation_is_named():
    m = rm.quat_to_matrix(unit_rows(5))
    reflected = m.copy()
    reflected[2, 0] *= -1
    with pytest.raises(InvalidValueError, match="at row 2"):
        rm.quat_from_matrix(reflected)
    m[3] *= 1.001
    with pytest.raises(InvalidValueError, match="at row 3"):
        rm.quat_from_matrix(m)
    assert np.abs(np.linalg.norm(rm.quat_from_matrix(m, atol=0.01), axis=1) - 1).max() < 1e-15


@given(st.lists(st.tuples(some.quaternions(), some.quaternions(), st.floats(0, 1)), min_size=1, max_size=5))
@settings(max_examples=50)
def test_slerp_of_rows_agrees_with_turning_by_a_part_of_the_angle(cases):
    a, b = (np.array([np.asarray(c[i]) for c in cases]) for i in (0, 1))
    t = np.array([c[2] for c in cases])
    between = Rotation.from_quat(rm.quat_slerp(a, b, t), scalar_first=True)
    start, end = (Rotation.from_quat(x, scalar_first=True) for x in (a, b))
    assert np.abs((start.inv() * between).magnitude() - t * (start.inv() * end).magnitude()).max() < 1e-12
    assert np.abs((between.inv() * end).magnitude() - (1 - t) * (start.inv() * end).magnitude()).max() < 1e-12


@given(st.lists(some.quaternions(), min_size=1, max_size=5))
@settings(max_examples=50)
def test_matrices_and_angles_of_rows_come_back(quaternions):
    q = np.array([np.asarray(x) for x in quaternions])
    for back in (rm.quat_from_matrix(rm.quat_to_matrix(q)), rm.quat_from_euler(rm.quat_to_euler(q))):
        assert np.abs(np.abs((back * q).sum(axis=1)) - 1).max() < 1e-12


def test_every_public_name_is_there_and_no_other():
    for name in rm.__all__:
        assert getattr(rm, name).__name__ == name
    assert set(rm.__all__) <= set(dir(rm))
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = rm.no_such_thing
