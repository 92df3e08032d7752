"""From values of tokens to values of sequences and batches."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from rfx.kernels.token_kl cimport exp_n, segment_sums

import numpy as np

from rfx.arrays import floats, integer
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cnp.import_array()

cdef tuple HOWS = ("none", "per_sequence_sum", "per_sequence_mean", "sum", "token_mean", "sequence_mean", "fixed_mean")


def token_mask(mask, shape):
    """Return a mask as a contiguous bool array of this shape; numbers must be 0 or 1."""
    array = np.asarray(mask)
    if array.dtype.kind != "b":
        if array.size and (array.dtype.kind not in "iuf" or not ((array == 0) | (array == 1)).all()):
            raise DTypeError(f"expected mask to be bool, or to hold 0 and 1, got dtype {array.dtype}")
        array = array != 0
    if array.shape != shape:
        raise ShapeError(f"expected mask of shape {shape}, got {array.shape}")
    return np.require(array, requirements=["C", "A"]) if array.ndim else array


def token_offsets(offsets, shape):
    """Return where sequences begin and end in the flat array: of a vector as given, else each row of the last axis."""
    if offsets is None:
        if len(shape) == 0:
            raise ShapeError("expected values of shape (T,) or (..., T), got a number")
        width = shape[len(shape) - 1]
        rows = int(np.prod(shape[:-1], dtype=np.int64))
        return np.arange(rows + 1, dtype=np.int64) * width
    if len(shape) != 1:
        raise ShapeError(f"expected values of shape (N,) beside offsets, got {shape}")
    array = np.asarray(offsets)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DTypeError(f"expected offsets to be a vector of integers, got shape {array.shape} of {array.dtype}")
    array = array.astype(np.int64)
    if not array.size or array[0] != 0 or array[array.size - 1] != shape[0] or (np.diff(array) < 0).any():
        raise InvalidValueError(f"expected offsets that rise from 0 to {shape[0]}, got {array.tolist()[:8]}")
    return array


def token_exp(values):
    """Return exp of an array as float64: the same bytes on every CPU, within 0.7 units in the last place."""
    cdef cnp.ndarray x = np.ascontiguousarray(values, dtype=np.float64)
    cdef cnp.ndarray result = np.empty(np.shape(x))
    cdef const double* source = <const double*>cnp.PyArray_DATA(x)
    cdef double* target = <double*>cnp.PyArray_DATA(result)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    with nogil:
        exp_n(source, target, n)
    return result.reshape(np.shape(values))


def reduce_tokens(values, mask=None, *, how="token_mean", offsets=None, max_length=None):
    """Add up values of tokens that the mask lets through, by sequence or over the batch.

    Parameters
    ----------
    values : array_like, shape (T,) or (..., T)
        Each row of the last axis is a sequence.
    mask : array_like of bool, the same shape, optional
        False: the token does not count, whatever its value.
    how : str
        "none": the values, 0 behind the mask.
        "per_sequence_sum", "per_sequence_mean": one number for each sequence.
        "sum": of all tokens.
        "token_mean": of all tokens alike (DAPO).
        "sequence_mean": the mean of the means of the sequences (GRPO).
        "fixed_mean": sum / (number of sequences x ``max_length``) (Dr. GRPO).
    offsets : array_like of int, shape (S + 1,), optional
        For values (T,): sequence s is [offsets[s], offsets[s + 1]), as in ``cu_seqlens``.
    max_length : int, optional
        For "fixed_mean"; the length of the last axis if not given.

    Returns
    -------
    float or ndarray, float64
        A number, or shape (S,), or for rows the shape of values without the last axis. A sequence without a token has the
        mean 0, and counts as a sequence.

    Raises
    ------
    ShapeError, DTypeError, ConfigError, InvalidValueError
        Shapes that do not fit; not numbers; an unknown ``how``; NaN where the mask looks, or inf beside -inf.
    """
    if how not in HOWS:
        raise ConfigError(f"expected how to be one of {', '.join(HOWS)}, got {how!r}")
    cdef cnp.ndarray given = floats(values, "values", None, np.float64)
    cdef cnp.ndarray flags
    cdef const unsigned char* let = NULL
    cdef const int64_t[::1] at = token_offsets(offsets, np.shape(given))
    cdef Py_ssize_t n = at.shape[0] - 1
    cdef cnp.ndarray sums = np.empty(n), counts = np.empty(n)
    cdef const double* source = <const double*>cnp.PyArray_DATA(given)
    cdef double* to = <double*>cnp.PyArray_DATA(sums)
    cdef double* seen = <double*>cnp.PyArray_DATA(counts)
    if mask is not None:
        flags = mask = token_mask(mask, np.shape(given))
        let = <const unsigned char*>cnp.PyArray_DATA(flags)
    with nogil:
        segment_sums(source, let, &at[0], n, to, seen)
    if np.isnan(sums).any():
        raise InvalidValueError("expected values without NaN, and without inf beside -inf")
    if how == "none":
        return given.copy() if mask is None else np.where(mask, given, 0.0)
    shape = (n,) if offsets is not None else np.shape(given)[:given.ndim - 1]
    if how == "per_sequence_sum":
        return sums.reshape(shape)
    means = sums / np.maximum(counts, 1.0)
    if how == "per_sequence_mean":
        return means.reshape(shape)
    if how == "sequence_mean":
        return total(means) / max(n, 1)
    if how == "fixed_mean":
        return total(sums) / max(n * fixed_length(max_length, offsets, given), 1)
    return total(sums) / (max(total(counts), 1.0) if how == "token_mean" else 1.0)


cdef object fixed_length(max_length, offsets, cnp.ndarray values):
    if max_length is not None:
        return integer(max_length, "max_length", minimum=1)
    if offsets is not None:
        raise ConfigError('expected max_length for "fixed_mean" beside offsets, got None')
    return values.shape[values.ndim - 1]


cdef double total(cnp.ndarray sums) except? -1.0:
    cdef int64_t[2] ends
    cdef double result, count
    ends[0], ends[1] = 0, cnp.PyArray_SIZE(sums)
    segment_sums(<const double*>cnp.PyArray_DATA(sums), NULL, ends, 1, &result, &count)
    if result != result:
        raise InvalidValueError("expected values without inf beside -inf")
    return result
