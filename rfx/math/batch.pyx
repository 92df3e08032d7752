"""Quaternions in arrays: functions on (N, 4) rows, scalar first, float32 or float64, without the GIL.

A quaternion argument may be one (4,) or many (N, 4); one (also of shape (1, 4)) goes with many. The result is float32 if
all arrays given are float32, else float64; lists, numbers and Quaternion objects take the dtype of the arrays beside
them. float32 is computed in double and rounded once. ``out`` is C-contiguous, of the shape and dtype of the result,
overlaps no input, and is returned; after an error its content is undefined.

Quaternions must be of unit length (squared length within 1e-3 of 1), except for quat_multiply and quat_normalize. They
are not normalised again: what they lack in length shows in the result.
"""

cimport numpy as cnp

from rfx.kernels.quaternion cimport (
    BAD_QUATERNION,
    quat_from_euler_n,
    quat_from_matrix_n,
    quat_inverse_n,
    quat_is_unit,
    quat_make,
    quat_mul_n,
    quat_normalize_n,
    quat_rotate_n,
    quat_slerp_n,
    quat_to_euler_n,
    quat_to_matrix as matrix_of_quat,
    quat_to_matrix_n,
)
from rfx.kernels.types cimport Mat3, Quat
from rfx.math.rows cimport check_unit, common_dtype, result_rows, rows_of, run_map, run_pair, take_rows, together
from rfx.math.vectors cimport affine_rows

import numpy as np

from rfx.arrays import finite, number
from rfx.errors import InvalidValueError

cnp.import_array()


def quat_multiply(a, b, out=None):
    """Return Hamilton's product a b: b is applied first.

    Parameters
    ----------
    a, b : array_like, shape (4,) or (N, 4)
        Any finite quaternions; the product is not normalised.
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite, or a product that overflows.
    """
    dtype = common_dtype((a, b))
    cdef cnp.ndarray p = take_rows(a, "a", (4,), dtype), q = take_rows(b, "b", (4,), dtype)
    cdef Py_ssize_t n = together(rows_of(p, 1), rows_of(q, 1), "a and b")
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (p, q))
    if run_pair(p, 4, q, 4, result, n, quat_mul_n[float], quat_mul_n[double]):
        finite(p, "a")
        finite(q, "b")
        raise InvalidValueError("expected a and b with a product in the range of their dtype, got one that overflows")
    return result


def quat_rotate(quaternions, vectors, out=None):
    """Return q v q* row by row; one quaternion for all vectors is turned into a matrix first.

    Parameters
    ----------
    quaternions : array_like, shape (4,) or (N, 4)
    vectors : array_like, shape (3,) or (N, 3)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (3,) or (N, 3)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not of unit length, not finite, or too large to be rotated.
    """
    dtype = common_dtype((quaternions, vectors))
    cdef cnp.ndarray q = take_rows(quaternions, "quaternions", (4,), dtype)
    cdef cnp.ndarray v = take_rows(vectors, "vectors", (3,), dtype)
    cdef Py_ssize_t n = together(rows_of(q, 1), rows_of(v, 1), "quaternions and vectors")
    cdef cnp.ndarray result
    cdef double[3] zero
    cdef Mat3 m
    cdef int bad
    if cnp.PyArray_SIZE(q) == 4 and cnp.PyArray_NDIM(v) == 2:
        m = matrix_of(q, "quaternions")
        zero[0] = zero[1] = zero[2] = 0.0
        return affine_rows(m.m, zero, v, "vectors", out)
    result = result_rows(out, n, (3,), dtype, (q, v))
    bad = run_pair(q, 4, v, 3, result, n, quat_rotate_n[float], quat_rotate_n[double])
    if bad:
        if bad & BAD_QUATERNION:
            check_unit(q, "quaternions")
        finite(v, "vectors")
        raise InvalidValueError("expected vectors whose image stays within the range of their dtype, got larger ones")
    return result


cdef Mat3 matrix_of(cnp.ndarray q, str name) except *:
    """Return the matrix of the one quaternion in q."""
    cdef list c = np.ravel(q).tolist()
    cdef Quat p = quat_make(c[0], c[1], c[2], c[3])
    if not quat_is_unit(p):
        check_unit(q, name)
    return matrix_of_quat(p)


def quat_slerp(a, b, t, out=None):
    """Interpolate between a and b along the shorter great circle.

    Parameters
    ----------
    a, b : array_like, shape (4,) or (N, 4)
    t : float or array_like, shape (N,)
        0 gives a, 1 gives b up to sign; not clamped, at most 1e300 in size.
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not of unit length, or ``t`` not finite.
    """
    dtype = common_dtype((a, b, t))
    cdef cnp.ndarray p = take_rows(a, "a", (4,), dtype), q = take_rows(b, "b", (4,), dtype)
    cdef cnp.ndarray s = take_rows(t, "t", (), dtype)
    cdef Py_ssize_t n = together(rows_of(p, 1), rows_of(q, 1), "a and b")
    n = together(n, rows_of(s, 0), "quaternions and t")
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (p, q, s))
    cdef Py_ssize_t rows = 1 if n < 0 else n
    cdef Py_ssize_t p_step = 4 if rows_of(p, 1) == n else 0
    cdef Py_ssize_t q_step = 4 if rows_of(q, 1) == n else 0
    cdef Py_ssize_t s_step = 1 if rows_of(s, 0) == n else 0
    cdef void* first = cnp.PyArray_DATA(p)
    cdef void* second = cnp.PyArray_DATA(q)
    cdef void* third = cnp.PyArray_DATA(s)
    cdef void* target = cnp.PyArray_DATA(result)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT
    cdef int bad
    with nogil:
        if single:
            bad = quat_slerp_n[float](<const float*>first, p_step, <const float*>second, q_step,
                                      <const float*>third, s_step, <float*>target, rows)
        else:
            bad = quat_slerp_n[double](<const double*>first, p_step, <const double*>second, q_step,
                                       <const double*>third, s_step, <double*>target, rows)
    if bad:
        check_unit(p, "a")
        check_unit(q, "b")
        finite(s, "t")
        raise InvalidValueError("expected t between -1e300 and 1e300, got larger ones")
    return result


def quat_from_euler(angles, out=None):
    """Return qz(yaw) qy(pitch) qx(roll) of rows [roll, pitch, yaw], radians.

    Parameters
    ----------
    angles : array_like, shape (3,) or (N, 3)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite.
    """
    dtype = common_dtype((angles,))
    cdef cnp.ndarray a = take_rows(angles, "angles", (3,), dtype)
    cdef Py_ssize_t n = rows_of(a, 1)
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (a,))
    if run_map(a, result, n, quat_from_euler_n[float], quat_from_euler_n[double]):
        finite(a, "angles")
    return result


def quat_to_euler(quaternions, out=None):
    """Return rows [roll, pitch, yaw]; ranges and gimbal lock as in Quaternion.to_euler.

    Parameters
    ----------
    quaternions : array_like, shape (4,) or (N, 4)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (3,) or (N, 3)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not of unit length.
    """
    dtype = common_dtype((quaternions,))
    cdef cnp.ndarray q = take_rows(quaternions, "quaternions", (4,), dtype)
    cdef Py_ssize_t n = rows_of(q, 1)
    cdef cnp.ndarray result = result_rows(out, n, (3,), dtype, (q,))
    if run_map(q, result, n, quat_to_euler_n[float], quat_to_euler_n[double]):
        check_unit(q, "quaternions")
    return result


def quat_from_matrix(matrices, out=None, atol=1e-6):
    """Return the quaternions of rotation matrices; the largest component comes out positive.

    Parameters
    ----------
    matrices : array_like, shape (3, 3) or (N, 3, 3)
    out : ndarray, optional
    atol : float
        Largest entry of ``R @ R.T - 1`` that is let through; the result is of unit length anyway.

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not a rotation within ``atol``.
    """
    dtype = common_dtype((matrices,))
    cdef cnp.ndarray m = take_rows(matrices, "matrices", (3, 3), dtype)
    cdef Py_ssize_t n = rows_of(m, 2), rows = 1 if n < 0 else n
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (m,))
    cdef double tolerance = number(atol, "atol", minimum=0.0)
    cdef void* source = cnp.PyArray_DATA(m)
    cdef void* target = cnp.PyArray_DATA(result)
    cdef bint single = cnp.PyArray_TYPE(m) == cnp.NPY_FLOAT
    cdef int bad
    with nogil:
        if single:
            bad = quat_from_matrix_n[float](<const float*>source, tolerance, <float*>target, rows)
        else:
            bad = quat_from_matrix_n[double](<const double*>source, tolerance, <double*>target, rows)
    if bad:
        finite(m, "matrices")
        wide = np.reshape(m, (-1, 3, 3)).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.abs(wide @ wide.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
            worst = np.flatnonzero(~(error <= tolerance) | (np.linalg.det(wide) < 0.0))
        i = int(worst[0]) if worst.size else 0
        raise InvalidValueError(f"expected matrices to be rotations within {tolerance:g}, got {wide[i].tolist()} at row {i}")
    return result


def quat_to_matrix(quaternions, out=None):
    """Return the rotation matrices.

    Parameters
    ----------
    quaternions : array_like, shape (4,) or (N, 4)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (3, 3) or (N, 3, 3)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not of unit length.
    """
    dtype = common_dtype((quaternions,))
    cdef cnp.ndarray q = take_rows(quaternions, "quaternions", (4,), dtype)
    cdef Py_ssize_t n = rows_of(q, 1)
    cdef cnp.ndarray result = result_rows(out, n, (3, 3), dtype, (q,))
    if run_map(q, result, n, quat_to_matrix_n[float], quat_to_matrix_n[double]):
        check_unit(q, "quaternions")
    return result


def quat_inverse(quaternions, out=None):
    """Return the rotations back: the conjugates.

    Parameters
    ----------
    quaternions : array_like, shape (4,) or (N, 4)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not of unit length.
    """
    dtype = common_dtype((quaternions,))
    cdef cnp.ndarray q = take_rows(quaternions, "quaternions", (4,), dtype)
    cdef Py_ssize_t n = rows_of(q, 1)
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (q,))
    if run_map(q, result, n, quat_inverse_n[float], quat_inverse_n[double]):
        check_unit(q, "quaternions")
    return result


def quat_normalize(quaternions, out=None):
    """Return the quaternions scaled to unit length, however long or short they are.

    Parameters
    ----------
    quaternions : array_like, shape (4,) or (N, 4)
    out : ndarray, optional

    Returns
    -------
    ndarray, shape (4,) or (N, 4)

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes; not real numbers; not finite, or zero (or subnormal in float64) and so without a direction.
    """
    dtype = common_dtype((quaternions,))
    cdef cnp.ndarray q = take_rows(quaternions, "quaternions", (4,), dtype)
    cdef Py_ssize_t n = rows_of(q, 1)
    cdef cnp.ndarray result = result_rows(out, n, (4,), dtype, (q,))
    if run_map(q, result, n, quat_normalize_n[float], quat_normalize_n[double]):
        finite(q, "quaternions")
        size = np.abs(np.reshape(q, (-1, 4))).max(axis=1)
        i = int(np.flatnonzero(size < np.finfo(np.float64).tiny)[0])
        raise InvalidValueError(f"expected quaternions that can be normalised, got one of length 0 at row {i}")
    return result
