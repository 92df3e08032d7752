"""What the array faces of this room share: dtype, broadcasting of one against many, and what to say when rows are bad."""

cimport numpy as cnp

import numpy as np

from rfx.arrays import finite, floats, out_array
from rfx.errors import InvalidValueError, ShapeError

cnp.import_array()


cdef object common_dtype(tuple values):
    """Return float32 if there are arrays and all of them are float32, else float64; lists and numbers have no say."""
    cdef list dtypes = [v.dtype for v in values if isinstance(v, np.ndarray)]
    return np.float32 if dtypes and all(d == np.float32 for d in dtypes) else np.float64


cdef cnp.ndarray take_rows(object value, str name, tuple row, object dtype):
    """Return ``value`` as an array of the shape ``row`` (one) or (N, *row) (many)."""
    cdef cnp.ndarray array = floats(value, name, None, dtype)
    shape = np.shape(array)
    if shape != row and (len(shape) != len(row) + 1 or shape[1:] != row):
        one = ", ".join(map(str, row))
        raise ShapeError(f"expected {name} of shape ({one}{',' if len(row) == 1 else ''}) or (N, {one}), got {shape}")
    return array


cdef Py_ssize_t rows_of(cnp.ndarray array, Py_ssize_t axes) noexcept:
    """Return N of (N, *row), where a row has that many axes; -1 for a single row."""
    return -1 if cnp.PyArray_NDIM(array) == axes else cnp.PyArray_DIM(array, 0)


cdef Py_ssize_t together(Py_ssize_t a, Py_ssize_t b, str names) except -2:
    """Return the number of rows of a result (-1: single): equal numbers, or one against many."""
    if a == b or b == -1 or (b == 1 and a != -1):
        return a
    if a == -1 or a == 1:
        return b
    raise ShapeError(f"expected {names} with as many rows, or one against many, got {a} and {b}")


cdef cnp.ndarray result_rows(object out, Py_ssize_t n, tuple row, object dtype, tuple inputs):
    return out_array(out, row if n < 0 else (n, *row), np.dtype(dtype), *inputs)


cdef int run_map(cnp.ndarray a, cnp.ndarray out, Py_ssize_t n, map_float f, map_double d) noexcept:
    """Call the loop for the dtype of the arrays without the GIL; n = -1 is one row."""
    cdef bint single = cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT
    cdef void* source = cnp.PyArray_DATA(a)
    cdef void* target = cnp.PyArray_DATA(out)
    cdef int bad
    if n < 0:
        n = 1
    with nogil:
        if single:
            bad = f(<const float*>source, <float*>target, n)
        else:
            bad = d(<const double*>source, <double*>target, n)
    return bad


cdef int run_pair(cnp.ndarray a, Py_ssize_t a_step, cnp.ndarray b, Py_ssize_t b_step, cnp.ndarray out, Py_ssize_t n,
                  pair_float f, pair_double d) noexcept:
    """Call the loop for the dtype of the arrays without the GIL. The steps are widths of a row; single rows stay put."""
    cdef bint single = cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT
    cdef void* first = cnp.PyArray_DATA(a)
    cdef void* second = cnp.PyArray_DATA(b)
    cdef void* target = cnp.PyArray_DATA(out)
    cdef int bad
    if rows_of(a, 1) != n:
        a_step = 0
    if rows_of(b, 1) != n:
        b_step = 0
    if n < 0:
        n = 1
    with nogil:
        if single:
            bad = f(<const float*>first, a_step, <const float*>second, b_step, <float*>target, n)
        else:
            bad = d(<const double*>first, a_step, <const double*>second, b_step, <double*>target, n)
    return bad


cdef object check_unit(cnp.ndarray quaternions, str name):
    """Raise for the first row that is not finite or not of unit length within 1e-3 (of its square)."""
    finite(quaternions, name)
    rows = np.reshape(quaternions, (-1, 4)).astype(np.float64)
    with np.errstate(over="ignore"):
        crooked = np.flatnonzero(~(np.abs((rows * rows).sum(axis=1) - 1.0) <= 1e-3))
    if crooked.size:
        i = int(crooked[0])
        at = f"{name}[{i}]" if cnp.PyArray_NDIM(quaternions) > 1 else name
        raise InvalidValueError(
            f"expected {name} to be of unit length (see quat_normalize), got {rows[i].tolist()} at {at}"
        )
