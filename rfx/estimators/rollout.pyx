"""What the faces over rollouts share: how arrays, masks and numbers come in. C level only: see rollout.pxd."""

cimport numpy as cnp
from libc.math cimport INFINITY

import numpy as np

from rfx.kernels.scan cimport flags_of

from rfx import arrays
from rfx.errors import DTypeError, InvalidValueError, ShapeError

cnp.import_array()


cdef int real_type(tuple values) except -1:
    """Return NPY_FLOAT if there are arrays and all of them are float32, else NPY_DOUBLE; lists and numbers have no say."""
    cdef bint some = False
    for value in values:
        if isinstance(value, np.ndarray):
            if cnp.PyArray_TYPE(value) != cnp.NPY_FLOAT:
                return cnp.NPY_DOUBLE
            some = True
    return cnp.NPY_FLOAT if some else cnp.NPY_DOUBLE


cdef cnp.ndarray first_array(object value, str name, int type_num):
    """Return ``value`` as an array (T,) or (T, N) of this type; the others are measured by it."""
    cdef cnp.ndarray array
    if cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == type_num and cnp.PyArray_ISCARRAY_RO(value):
        array = value
    else:
        array = arrays.floats(value, name, None, cnp.PyArray_DescrFromType(type_num))
    if cnp.PyArray_NDIM(array) != 1 and cnp.PyArray_NDIM(array) != 2:
        raise ShapeError(f"expected {name} of shape (T,) or (T, N), got {np.shape(array)}")
    return array


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    return (cnp.PyArray_NDIM(a) == cnp.PyArray_NDIM(b) and cnp.PyArray_DIM(a, 0) == cnp.PyArray_DIM(b, 0)
            and (cnp.PyArray_NDIM(a) == 1 or cnp.PyArray_DIM(a, 1) == cnp.PyArray_DIM(b, 1)))


cdef cnp.ndarray like(object value, str name, cnp.ndarray model):
    """Return ``value`` as an array of the type and shape of ``model``."""
    if (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == cnp.PyArray_TYPE(model)
            and same_shape(value, model) and cnp.PyArray_ISCARRAY_RO(value)):
        return value
    return arrays.floats(value, name, np.shape(model), cnp.PyArray_DescrFromType(cnp.PyArray_TYPE(model)))


cdef cnp.ndarray mask_like(object value, str name, cnp.ndarray model):
    """Return ``value`` as a bool array of the shape of ``model``: bool, or numbers that are 0 or 1."""
    cdef cnp.ndarray array, flags
    cdef bint good = True
    if cnp.PyArray_CheckExact(value) and same_shape(value, model) and cnp.PyArray_ISCARRAY_RO(value):
        array = value
        if cnp.PyArray_TYPE(array) == cnp.NPY_BOOL:
            return array
    else:
        try:
            array = np.asarray(value, order="C")
        except (ValueError, TypeError, OverflowError) as error:
            raise ShapeError(f"expected {name} to be a rectangular array of flags: {error}") from error
        if np.shape(array) != np.shape(model):
            raise ShapeError(f"expected {name} of shape {np.shape(model)}, got {np.shape(array)}")
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"expected {name} to be bool, or numbers that are 0 or 1, got dtype {array.dtype}")
    flags = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(model), cnp.PyArray_DIMS(model), cnp.NPY_BOOL, 0)
    cdef unsigned char* to = <unsigned char*>cnp.PyArray_DATA(flags)
    if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT and cnp.PyArray_ISCARRAY_RO(array):
        good = flags_of[float](<const float*>cnp.PyArray_DATA(array), to, cnp.PyArray_SIZE(array))
    elif cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY_RO(array):
        good = flags_of[double](<const double*>cnp.PyArray_DATA(array), to, cnp.PyArray_SIZE(array))
    else:
        np.not_equal(array, 0, out=flags)
        good = bool((flags == array).all())
    if not good:
        raise InvalidValueError(f"expected {name} to be bool, or numbers that are 0 or 1, got others")
    return flags


cdef cnp.ndarray last_row(object value, str name, cnp.ndarray model, bint env_major):
    """Return ``value`` as an array with one entry for each environment of ``model``; (T,) has one, given as a number too."""
    cdef object dtype = cnp.PyArray_DescrFromType(cnp.PyArray_TYPE(model))
    cdef cnp.ndarray array
    cdef cnp.npy_intp n
    if cnp.PyArray_NDIM(model) == 1:
        if type(value) is float:
            return np.array(value, dtype)
        array = arrays.floats(value, name, None, None).astype(dtype)
        if cnp.PyArray_NDIM(array) > 1 or cnp.PyArray_SIZE(array) != 1:
            raise ShapeError(f"expected {name} to be one number, got shape {np.shape(array)}")
        return array
    n = cnp.PyArray_DIM(model, 0 if env_major else 1)
    if (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == cnp.PyArray_TYPE(model)
            and cnp.PyArray_NDIM(value) == 1 and cnp.PyArray_DIM(value, 0) == n and cnp.PyArray_ISCARRAY_RO(value)):
        return value
    return arrays.floats(value, name, (n,), dtype)


cdef bint is_env_major(object time_axis, cnp.ndarray model) except -1:
    """Return whether the arrays are (N, T) and not (T,) or (T, N)."""
    cdef Py_ssize_t axis = arrays.integer(time_axis, "time_axis", minimum=0, maximum=cnp.PyArray_NDIM(model) - 1)
    return axis == 1


cdef double fraction(object value, str name) except -1.0:
    """Return a number within [0, 1]."""
    if type(value) is float and 0.0 <= <double>value <= 1.0:
        return value
    return arrays.number(value, name, minimum=0.0, maximum=1.0)


cdef double clip_of(object value, str name) except -1.0:
    """Return an upper bound of ratios: not negative, or inf."""
    if isinstance(value, float) and value == INFINITY:
        return INFINITY
    return arrays.number(value, name, minimum=0.0)


cdef cnp.ndarray empty_like(cnp.ndarray model):
    return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(model), cnp.PyArray_DIMS(model), cnp.PyArray_TYPE(model), 0)


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    # whether two contiguous arrays share no byte
    cdef char* p = <char*>cnp.PyArray_DATA(a)
    cdef char* q = <char*>cnp.PyArray_DATA(b)
    return p + cnp.PyArray_NBYTES(a) <= q or q + cnp.PyArray_NBYTES(b) <= p


cdef cnp.ndarray one_out(object out, str name, cnp.ndarray model, tuple inputs):
    """Return an array like ``model`` to write into: a new one, or ``out`` if it overlaps none of the inputs (None: no input)."""
    cdef bint good
    if out is None:
        return empty_like(model)
    good = (cnp.PyArray_CheckExact(out) and cnp.PyArray_TYPE(out) == cnp.PyArray_TYPE(model) and same_shape(out, model)
            and cnp.PyArray_ISCARRAY(out))
    for array in inputs:
        good = good and (array is None or apart(out, array))
    if good:
        return out
    dtype = cnp.PyArray_DescrFromType(cnp.PyArray_TYPE(model))
    return arrays.out_array(out, np.shape(model), dtype, *[a for a in inputs if a is not None], name=name)


cdef tuple pair_out(object out, cnp.ndarray model, tuple inputs):
    """Return two arrays like ``model`` to write into: new ones, or those of ``out``, which overlap nothing."""
    if out is None:
        return empty_like(model), empty_like(model)
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise DTypeError(f"expected out to be two arrays, got {type(out).__name__}")
    first = one_out(out[0], "out[0]", model, inputs)
    return first, one_out(out[1], "out[1]", model, (first, *inputs))
