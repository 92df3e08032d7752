"""Vectors in and out of the faces of this room: a quick way for what is common, rfx.arrays for the rest."""

cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_AsDouble, PyLong_CheckExact
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE
from libc.math cimport isfinite
from libc.string cimport memcpy

from rfx.kernels.quaternion cimport affine_n
from rfx.kernels.types cimport Vec3

import numpy as np

from rfx.arrays import finite, floats, number, out_array
from rfx.errors import InvalidValueError, ShapeError

cnp.import_array()


cdef double real_number(object value, str name) except? -1.0:
    """Return ``value`` as a finite double; rfx.arrays.number for all but an exact, finite float."""
    if PyFloat_CheckExact(value) and isfinite(PyFloat_AS_DOUBLE(value)):
        return PyFloat_AS_DOUBLE(value)
    return number(value, name)


cdef inline bint read1(object value, double* out) noexcept:
    if PyFloat_CheckExact(value):
        out[0] = PyFloat_AS_DOUBLE(value)
    elif PyLong_CheckExact(value):
        try:
            out[0] = PyLong_AsDouble(value)
        except OverflowError:
            return False
    else:
        return False
    return isfinite(out[0])


cdef bint read3(object value, Vec3* out) noexcept:
    """Read three finite numbers from an array, a list or a tuple; false, never an error, for anything unusual."""
    cdef cnp.ndarray array
    cdef char* data
    cdef Py_ssize_t step
    cdef list items
    if cnp.PyArray_CheckExact(value):
        array = value
        if (
            cnp.PyArray_TYPE(array) != cnp.NPY_DOUBLE
            or cnp.PyArray_NDIM(array) != 1
            or cnp.PyArray_DIM(array, 0) != 3
            or not cnp.PyArray_ISBEHAVED_RO(array)
        ):
            return False
        data = <char*>cnp.PyArray_DATA(array)
        step = cnp.PyArray_STRIDE(array, 0)
        out.x = (<double*>data)[0]
        out.y = (<double*>(data + step))[0]
        out.z = (<double*>(data + 2 * step))[0]
        return isfinite(out.x) and isfinite(out.y) and isfinite(out.z)
    if PyTuple_CheckExact(value):
        if PyTuple_GET_SIZE(value) != 3:
            return False
        return (
            read1((<tuple>value)[0], &out.x) and read1((<tuple>value)[1], &out.y) and read1((<tuple>value)[2], &out.z)
        )
    if PyList_CheckExact(value):
        items = value
        if len(items) != 3:
            return False
        return read1(items[0], &out.x) and read1(items[1], &out.y) and read1(items[2], &out.z)
    return False


cdef int take3(object value, str name, Vec3* out) except -1:
    """Read three finite numbers, or raise an error that names the argument."""
    cdef cnp.ndarray array
    cdef const double* data
    if not read3(value, out):
        array = finite(floats(value, name, (3,), np.float64), name)
        data = <const double*>cnp.PyArray_DATA(array)
        out.x, out.y, out.z = data[0], data[1], data[2]
    return 0


cdef object make3(Vec3 v):
    """Return a new array of shape (3,); InvalidValueError where a result overflowed."""
    cdef cnp.npy_intp size = 3
    cdef cnp.ndarray array
    cdef double* data
    if not (isfinite(v.x) and isfinite(v.y) and isfinite(v.z)):
        raise InvalidValueError("expected a vector that stays within the range of a float, got one that overflows")
    array = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_DOUBLE)
    data = <double*>cnp.PyArray_DATA(array)
    data[0] = v.x
    data[1] = v.y
    data[2] = v.z
    return array


cdef object make_matrix(const double* m, Py_ssize_t rows, Py_ssize_t columns):
    """Return a new float64 array of shape (rows, columns), or (columns,) when rows is 0."""
    cdef cnp.npy_intp[2] shape
    cdef cnp.ndarray array
    shape[0] = rows
    shape[1] = columns
    if rows:
        array = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_DOUBLE)
    else:
        array = cnp.PyArray_SimpleNew(1, &shape[1], cnp.NPY_DOUBLE)
    memcpy(cnp.PyArray_DATA(array), m, (rows if rows else 1) * columns * sizeof(double))
    return array


cdef object affine_rows(const double* m, const double* t, object vectors, str name, object out):
    """Return m v + t for one vector (3,), always float64, or for rows (N, 3) in their dtype."""
    cdef cnp.ndarray rows = floats(vectors, name), result
    cdef Py_ssize_t n = 1
    cdef bint single
    cdef int bad
    cdef void* target
    cdef const void* source
    if rows.ndim == 1:
        rows = floats(rows, name, (3,), np.float64)
    elif rows.ndim == 2 and cnp.PyArray_DIM(rows, 1) == 3:
        n = cnp.PyArray_DIM(rows, 0)
    else:
        raise ShapeError(f"expected {name} of shape (3,) or (N, 3), got {np.shape(rows)}")
    result = out_array(out, np.shape(rows), rows.dtype, rows)
    single = cnp.PyArray_TYPE(rows) == cnp.NPY_FLOAT
    source = cnp.PyArray_DATA(rows)
    target = cnp.PyArray_DATA(result)
    with nogil:
        if single:
            bad = affine_n[float](m, t, <const float*>source, <float*>target, n)
        else:
            bad = affine_n[double](m, t, <const double*>source, <double*>target, n)
    if bad:
        finite(rows, name)
        raise InvalidValueError(f"expected {name} whose image stays within the range of {rows.dtype}, got larger ones")
    return result
