"""Poses in arrays: functions on (N, 7) rows ``x y z qw qx qy qz``, float32 or float64, without the GIL.

A pose argument may be one (7,) or many (N, 7); dtype, broadcasting, ``out`` and the unit length of the quaternions are
as in rfx.math.batch.
"""

cimport numpy as cnp

from rfx.kernels.pose cimport pose_apply_n, pose_compose_n, pose_inverse_n
from rfx.kernels.quaternion cimport quat_is_unit, quat_make, quat_to_matrix
from rfx.kernels.types cimport Mat3, Quat
from rfx.math.rows cimport check_unit, common_dtype, result_rows, rows_of, run_map, run_pair, take_rows, together
from rfx.math.vectors cimport affine_rows

import numpy as np

from rfx.arrays import finite
from rfx.errors import InvalidValueError

cnp.import_array()


cdef object check_poses(cnp.ndarray poses, str name):
    """Raise for the first pose that is not finite or whose quaternion is not of unit length."""
    finite(poses, name)
    check_unit(np.ascontiguousarray(np.asarray(poses)[..., 3:]), f"the quaternion of {name}")


def pose_compose(a, b, out=None):
    """Return a b row by row: b is applied first.

    Parameters
    ----------
    a, b : array_like, shape (7,) or (N, 7)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (7,) or (N, 7)
        The quaternion of a product is brought back to unit length where it drifts.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite, not of unit length, or a position that overflows.
    """
    dtype = common_dtype((a, b))
    cdef cnp.ndarray p = take_rows(a, "a", (7,), dtype), q = take_rows(b, "b", (7,), dtype)
    cdef Py_ssize_t n = together(rows_of(p, 1), rows_of(q, 1), "a and b")
    cdef cnp.ndarray result = result_rows(out, n, (7,), dtype, (p, q))
    if run_pair(p, 7, q, 7, result, n, pose_compose_n[float], pose_compose_n[double]):
        check_poses(p, "a")
        check_poses(q, "b")
        raise InvalidValueError("expected positions that stay within the range of their dtype, got one that overflows")
    return result


def pose_inverse(poses, out=None):
    """Return the poses back: (-R^T p, R^T).

    Parameters
    ----------
    poses : array_like, shape (7,) or (N, 7)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (7,) or (N, 7)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite, not of unit length, or a position that overflows.
    """
    dtype = common_dtype((poses,))
    cdef cnp.ndarray p = take_rows(poses, "poses", (7,), dtype)
    cdef Py_ssize_t n = rows_of(p, 1)
    cdef cnp.ndarray result = result_rows(out, n, (7,), dtype, (p,))
    if run_map(p, result, n, pose_inverse_n[float], pose_inverse_n[double]):
        check_poses(p, "poses")
        raise InvalidValueError("expected positions that stay within the range of their dtype, got one that overflows")
    return result


def pose_transform_points(poses, points, out=None):
    """Return R point + p row by row; one pose for all points is turned into a matrix first.

    Parameters
    ----------
    poses : array_like, shape (7,) or (N, 7)
    points : array_like, shape (3,) or (N, 3)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (3,) or (N, 3)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite, not of unit length, or a point that overflows.
    """
    dtype = common_dtype((poses, points))
    cdef cnp.ndarray p = take_rows(poses, "poses", (7,), dtype), v = take_rows(points, "points", (3,), dtype)
    cdef Py_ssize_t n = together(rows_of(p, 1), rows_of(v, 1), "poses and points")
    cdef cnp.ndarray result
    cdef list c
    cdef double[3] t
    cdef Quat q
    cdef Mat3 m
    cdef int bad
    if cnp.PyArray_SIZE(p) == 7 and cnp.PyArray_NDIM(v) == 2:
        c = np.ravel(finite(p, "poses")).tolist()
        t[0], t[1], t[2] = c[0], c[1], c[2]
        q = quat_make(c[3], c[4], c[5], c[6])
        if not quat_is_unit(q):
            check_poses(p, "poses")
        m = quat_to_matrix(q)
        return affine_rows(m.m, t, v, "points", out)
    result = result_rows(out, n, (3,), dtype, (p, v))
    bad = run_pair(p, 7, v, 3, result, n, pose_apply_n[float], pose_apply_n[double])
    if bad:
        check_poses(p, "poses")
        finite(v, "points")
        raise InvalidValueError("expected points whose image stays within the range of their dtype, got larger ones")
    return result
