"""Updates of network weights in place: Reptile, Polyak, averages. Of one array, or of a list of arrays at once.

Arrays are float32 or float64, of any shape. What is written to is C-contiguous and writeable, and overlaps nothing
else; that is checked before the first number is changed. The numbers are looked at as they are updated: one whose new
value is not finite stays what it was, and an error comes at the end. So no NaN ever gets into what is written to, and
memory is gone through once, as fast as without a check. ``atomic=True`` looks at all numbers first and then changes all
of them or none, in twice the time.
"""

cimport numpy as cnp

from rfx.kernels.elementwise cimport all_finite, blend, mean_of, move_toward, toward_is_finite
from rfx.kernels.types cimport real

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError, InvalidValueError, ShapeError

cnp.import_array()

cdef object FLOAT32 = np.dtype(np.float32), FLOAT64 = np.dtype(np.float64)

ctypedef const void* Source

cdef enum:
    MOST_VECTORS = 4096


def reptile_update(meta_params, task_params, lr, *, atomic=False):
    """Move ``meta_params`` in place: ``meta += lr (task - meta)``, Reptile's outer step (Nichol et al. 2018).

    Parameters
    ----------
    meta_params : ndarray, or list or tuple of ndarray
        float32 or float64, C-contiguous and writeable.
    task_params : ndarray, or list or tuple of ndarray
        Of the same shapes and dtypes.
    lr : float
        At least 0.
    atomic : bool
        With True all numbers are looked at before any is changed, which takes twice as long for large arrays. With False
        memory is gone through once: where a number is not finite, or would overflow, that one stays as it was, the
        others move, and the error comes after that.

    Raises
    ------
    DTypeError, ShapeError, InvalidValueError
        Other shapes, dtypes or layouts; read-only or overlapping arrays; numbers that are not finite, or overflow.
        Nothing has changed then, but for numbers: see ``atomic``.
    """
    update(meta_params, task_params, arrays.number(lr, "lr", minimum=0.0), "meta_params", "task_params", True, atomic)


def polyak_update(target, source, tau, *, atomic=False):
    """Move ``target`` in place: ``target = tau source + (1 - tau) target``; see :func:`reptile_update`.

    ``tau`` is 0 to 1: 1 copies.
    """
    update(target, source, arrays.number(tau, "tau", minimum=0.0, maximum=1.0), "target", "source", False, atomic)


def average_weight_vectors(vectors, weights=None, *, out=None):
    """Return the mean of arrays, or of lists of arrays, position by position.

    Parameters
    ----------
    vectors : sequence of ndarray, or sequence of lists of ndarray
        At least one; all of the same shapes and dtypes.
    weights : array_like, shape (len(vectors),), optional
        At least 0, not all 0; divided by their sum.
    out : ndarray, or list of ndarray, optional
        Written to instead of new arrays.

    Returns
    -------
    ndarray, or list of ndarray
        Summed in double, rounded once.

    Raises
    ------
    DTypeError, ShapeError, InvalidValueError
        As :func:`reptile_update`; no vectors; weights below 0.
    """
    if not isinstance(vectors, (list, tuple)) and not (isinstance(vectors, np.ndarray) and vectors.ndim > 1):
        raise DTypeError(f"expected vectors to be a sequence of arrays, got {type(vectors).__name__}")
    cdef Py_ssize_t count = len(vectors)
    if count == 0:
        raise InvalidValueError("expected at least one vector to average, got none")
    if count > MOST_VECTORS:
        raise InvalidValueError(f"expected at most {MOST_VECTORS} vectors, got {count}")
    shares = np.full(count, 1.0) if weights is None else arrays.finite(
        arrays.floats(weights, "weights", (count,)), "weights").astype(np.float64)
    if np.any(shares < 0.0) or not np.isfinite(shares.sum()) or shares.sum() <= 0.0:
        raise InvalidValueError("expected weights of at least 0 with a finite sum above 0")
    shares = shares / shares.sum()
    if not isinstance(vectors[0], (list, tuple)):
        parts = [many(vector, f"vectors[{k}]") for k, vector in enumerate(vectors)]
        return average(parts, shares, None if out is None else [out])[0]
    parts = []
    for k, vector in enumerate(vectors):
        if not isinstance(vector, (list, tuple)):
            raise DTypeError(f"expected vectors[{k}] to be a list of arrays, got {type(vector).__name__}")
        parts.append(many(vector, f"vectors[{k}]"))
    if out is not None and (not isinstance(out, (list, tuple)) or len(out) != len(parts[0])):
        raise ShapeError(f"expected out to be a list of {len(parts[0])} arrays")
    return average(parts, shares, out)


reptile_update_simd = reptile_update
polyak_update_simd = polyak_update
average_weights_simd = average_weight_vectors


cdef int update(targets, sources, double rate, str to, str by, bint toward, atomic) except -1:
    if type(atomic) is not bool:
        raise DTypeError(f"expected atomic to be a bool, got {type(atomic).__name__}")
    cdef list into = many(targets, to), from_ = many(sources, by)
    cdef Py_ssize_t k
    if len(into) != len(from_):
        raise ShapeError(f"expected {by} of {len(into)} arrays, got {len(from_)}")
    for k in range(len(into)):
        if not ready(into[k], from_[k]):
            check_like(into[k], from_[k], at(to, k, into), at(by, k, from_))
            array = into[k]
            arrays.out_array(array, array.shape, array.dtype, name=at(to, k, into))
    check_apart(into, from_, to, by)
    for k in range(len(into)):
        if not cnp.PyArray_ISCARRAY_RO(from_[k]):
            from_[k] = np.ascontiguousarray(from_[k]).reshape(from_[k].shape)
        if atomic and not step(into[k], from_[k], rate, toward, True):
            refuse(into[k], from_[k], at(to, k, into), at(by, k, from_))
    cdef Py_ssize_t bad = -1
    for k in range(len(into)):
        if not step(into[k], from_[k], rate, toward, False) and bad < 0:
            bad = k
    if bad >= 0:
        refuse(into[bad], from_[bad], at(to, bad, into), at(by, bad, from_))
    return 0


cdef int refuse(target, source, str to, str by) except -1:
    arrays.finite(source, by)
    arrays.finite(target, to)
    raise InvalidValueError(f"expected {to} to stay within the range of its dtype, got an overflow")


cdef inline bint ready(cnp.ndarray target, cnp.ndarray source):
    # whether nothing is left to complain about: same dtype and shape, target contiguous and writeable
    return (cnp.PyArray_TYPE(target) == cnp.PyArray_TYPE(source) and cnp.PyArray_SAMESHAPE(target, source)
            and cnp.PyArray_ISCARRAY(target))


cdef bint step(cnp.ndarray target, cnp.ndarray source, double rate, bint toward, bint ask):
    # the update, or (ask) only whether all of it would be finite; a tau within 0..1 cannot overflow
    cdef void* t = cnp.PyArray_DATA(target)
    cdef void* s = cnp.PyArray_DATA(source)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(target)
    cdef bint single = cnp.PyArray_TYPE(target) == cnp.NPY_FLOAT
    with nogil:
        if single:
            return step_of(<float*>t, <const float*>s, <float>rate, n, toward, ask)
        return step_of(<double*>t, <const double*>s, rate, n, toward, ask)


cdef bint is_finite(cnp.ndarray array):
    cdef void* data = cnp.PyArray_DATA(array)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array)
    cdef bint single = cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT
    with nogil:
        return all_finite(<const float*>data, n) if single else all_finite(<const double*>data, n)


cdef inline bint step_of(real* t, const real* s, real rate, Py_ssize_t n, bint toward, bint ask) noexcept nogil:
    if ask:
        return toward_is_finite(t, s, rate, n) if toward else all_finite(s, n) and all_finite(t, n)
    return move_toward(t, s, rate, n) if toward else blend(t, s, rate, n)


cdef list average(list parts, cnp.ndarray shares, out):
    cdef const double* weights = <const double*>cnp.PyArray_DATA(shares)
    cdef Py_ssize_t count = len(parts), n, k, j
    cdef Source[MOST_VECTORS] sources
    cdef cnp.ndarray array, target
    cdef void* to
    cdef bint single
    cdef list first = parts[0], result = []
    for k in range(count):
        if len(parts[k]) != len(first):
            raise ShapeError(f"expected vectors[{k}] of {len(first)} arrays, got {len(parts[k])}")
        for j in range(len(first)):
            name = at(f"vectors[{k}]", j, first)
            check_like(first[j], parts[k][j], at("vectors[0]", j, first), name)
            parts[k][j] = array = np.ascontiguousarray(parts[k][j]).reshape((<object>first[j]).shape)
            if not is_finite(array):
                arrays.finite(array, name)
    for j in range(len(first)):
        inputs = [parts[k][i] for k in range(count) for i in range(len(first))] if out is not None else ()
        result.append(arrays.out_array(
            None if out is None else out[j], (<object>first[j]).shape, (<object>first[j]).dtype, *inputs))
    if out is not None:
        check_apart(result, [], "out", "vectors")
    for j in range(len(first)):
        target = result[j]
        n, single, to = cnp.PyArray_SIZE(target), cnp.PyArray_TYPE(target) == cnp.NPY_FLOAT, cnp.PyArray_DATA(target)
        for k in range(count):
            array = parts[k][j]
            sources[k] = cnp.PyArray_DATA(array)
        with nogil:
            if single:
                mean_of(<const float**>sources, weights, count, <float*>to, n)
            else:
                mean_of(<const double**>sources, weights, count, <double*>to, n)
    return result


cdef list many(value, str name):
    # a list of float arrays
    cdef list found = list(value) if isinstance(value, (list, tuple)) else [value]
    cdef Py_ssize_t k
    for k in range(len(found)):
        array = found[k]
        if not isinstance(array, np.ndarray):
            raise DTypeError(f"expected {at(name, k, found)} to be a numpy array, got {type(array).__name__}")
        if array.dtype is not FLOAT32 and array.dtype is not FLOAT64 and array.dtype not in arrays.FLOATS:
            raise DTypeError(f"expected {at(name, k, found)} of dtype float32 or float64, got {array.dtype}")
    return found


cdef str at(str name, Py_ssize_t k, list found):
    return name if len(found) == 1 else f"{name}[{k}]"


cdef int check_like(first, second, str first_name, str second_name) except -1:
    if second.shape != first.shape:
        raise ShapeError(f"expected {second_name} of shape {first.shape} as {first_name}, got {second.shape}")
    if second.dtype != first.dtype:
        raise DTypeError(f"expected {second_name} of dtype {first.dtype} as {first_name}, got {second.dtype}")
    return 0


cdef int check_apart(list written, list read, str written_name, str read_name) except -1:
    # no two of the arrays written to overlap, and none overlaps one that is read: sorted by address, neighbours suffice
    cdef list spans = [span(a, True) for a in written if a.size]
    spans += [span(a, False) for a in read if a.size]
    spans.sort()
    end_read = end_written = 0
    for start, end, writes in spans:
        if start < end_written or (writes and start < end_read):
            raise InvalidValueError(f"expected {written_name} not to overlap itself or {read_name}, got arrays that share memory")
        if writes:
            end_written = max(end_written, end)
        else:
            end_read = max(end_read, end)
    return 0


cdef tuple span(cnp.ndarray array, bint writes):
    # the addresses it lies between
    if cnp.PyArray_ISCARRAY_RO(array):
        start = <size_t>cnp.PyArray_DATA(array)
        return start, start + <size_t>cnp.PyArray_NBYTES(array), writes
    return (*np.lib.array_utils.byte_bounds(array), writes)
