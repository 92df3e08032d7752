"""Priorities of transitions from their errors. The exponent alpha belongs to the buffer that is given them."""

cimport numpy as cnp

from rfx.kernels.elementwise cimport priorities_of

import numpy as np

from rfx import arrays
from rfx.errors import InvalidValueError

cnp.import_array()


def compute_priorities(losses, eps=1e-6, *, out=None):
    """Return ``|loss| + eps`` (Schaul et al. 2016, proportional), so that nothing is left out for good.

    Parameters
    ----------
    losses : array_like of any shape
        TD errors or losses, float32 or float64.
    eps : float
        At least 0.
    out : ndarray of float64, optional

    Returns
    -------
    ndarray of float64, shape of losses

    Raises
    ------
    DTypeError, ShapeError, InvalidValueError
        Not real numbers; ``out`` of another shape; not finite.
    """
    return priorities(losses, None, 0.0, arrays.number(eps, "eps", minimum=0.0), 0.0, "losses", out)


def compute_td_priorities(td_errors, *, min_priority=1e-6, out=None):
    """Return ``max(|td_error|, min_priority)``; see :func:`compute_priorities`."""
    least = arrays.number(min_priority, "min_priority", minimum=0.0)
    return priorities(td_errors, None, 0.0, 0.0, least, "td_errors", out)


def compute_lap_priorities(td_errors, losses=None, *, eta=1.0, min_priority=None, out=None):
    """Return ``max(|td_error|, 1)``: loss-adjusted prioritisation (Fujimoto, Meger and Precup 2020).

    Parameters
    ----------
    td_errors : array_like of any shape
    losses : array_like, shape of td_errors, optional
        With them ``max(|td_error| + eta loss, min_priority)`` comes out, as rlox has it.
    eta : float
        At least 0.
    min_priority : float, optional
        At least 0; 1 without losses, else 1e-6. Raising to alpha keeps the order, so that the buffer's
        ``priority ** alpha`` is the paper's ``max(|td_error| ** alpha, 1)``.
    out : ndarray of float64, optional

    Returns
    -------
    ndarray of float64, shape of td_errors

    Raises
    ------
    DTypeError, ShapeError, InvalidValueError
        Not real numbers; shapes differ; not finite, or losses below 0.
    """
    if min_priority is None:
        min_priority = 1.0 if losses is None else 1e-6
    least = arrays.number(min_priority, "min_priority", minimum=0.0)
    return priorities(td_errors, losses, arrays.number(eta, "eta", minimum=0.0), 0.0, least, "td_errors", out)


compute_priorities_simd = compute_priorities


cdef object priorities(errors, losses, double eta, double plus, double least, str name, out):
    cdef cnp.ndarray e = arrays.floats(errors, name)
    shape = (<object>e).shape
    cdef cnp.ndarray more = e if losses is None else arrays.floats(losses, "losses", shape)
    if losses is None:
        eta = 0.0
    else:
        arrays.finite(more, "losses")
        if np.any(<object>more < 0.0):
            raise InvalidValueError("expected losses to be at least 0")
    if (<object>e).dtype != (<object>more).dtype:
        e, more = (<object>e).astype(np.float64), (<object>more).astype(np.float64)
    cdef cnp.ndarray result = arrays.out_array(out, shape, np.float64, e, more)
    cdef void* error = cnp.PyArray_DATA(e)
    cdef void* loss = cnp.PyArray_DATA(more)
    cdef double* target = <double*>cnp.PyArray_DATA(result)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(e)
    cdef bint single = cnp.PyArray_TYPE(e) == cnp.NPY_FLOAT, good
    with nogil:
        if single:
            good = priorities_of(<const float*>error, <const float*>loss, eta, plus, least, target, n)
        else:
            good = priorities_of(<const double*>error, <const double*>loss, eta, plus, least, target, n)
    if not good:
        arrays.finite(e, name)
        raise InvalidValueError(f"expected {name} whose priorities are finite, got ones that overflow")
    return result
