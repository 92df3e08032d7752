"""Divergence of a policy from a reference, from log-probabilities of tokens."""

cimport numpy as cnp

from rfx.kernels.token_kl cimport full_kl, k_terms

import numpy as np

from rfx.arrays import floats, out_array
from rfx.errors import ConfigError, InvalidValueError, ShapeError
from rfx.llm.reduction import reduce_tokens, token_mask

cnp.import_array()

cdef dict ESTIMATORS = {"k1": 1, "k2": 2, "k3": 3}


cdef tuple pair(a, b, str a_name, str b_name):
    # both as arrays of one shape; float32 if both are, else float64
    cdef cnp.ndarray p = floats(a, a_name), q = floats(b, b_name)
    if np.shape(p) != np.shape(q):
        raise ShapeError(f"expected {a_name} and {b_name} of one shape, got {np.shape(p)} and {np.shape(q)}")
    if p.dtype != q.dtype:
        p, q = p.astype(np.float64, copy=False), q.astype(np.float64, copy=False)
    return p, q


cdef int refuse(array, str name, mask) except -1:
    # the error for the first log-probability that is none
    bad = ~(array < np.inf) if mask is None else ~(array < np.inf) & mask
    if bad.any():
        index = ", ".join([str(i) for i in np.unravel_index(int(np.argmax(bad)), np.shape(bad))])
        raise InvalidValueError(
            f"expected {name} to hold log-probabilities, finite or -inf, got {array[bad][0]} at {name}[{index}]")
    return 0


cdef object full_rows(cnp.ndarray p, cnp.ndarray q, Py_ssize_t rows, Py_ssize_t width):
    cdef cnp.ndarray sums = np.empty(rows)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT
    cdef void* a = cnp.PyArray_DATA(p)
    cdef void* b = cnp.PyArray_DATA(q)
    cdef double* to = <double*>cnp.PyArray_DATA(sums)
    cdef bint bad
    with nogil:
        if single:
            bad = full_kl(<const float*>a, <const float*>b, rows, width, to)
        else:
            bad = full_kl(<const double*>a, <const double*>b, rows, width, to)
    if bad:
        refuse(p, "log_p", None)
        refuse(q, "log_q", None)
    if np.isnan(sums).any():
        raise InvalidValueError("expected log_p whose exponentials stay in the range of float64, got larger ones")
    return sums


def compute_token_kl(log_p, log_q):
    """Return the sum over t of exp(log_p[t]) (log_p[t] - log_q[t]).

    Parameters
    ----------
    log_p, log_q : array_like, shape (T,)
        Log-probabilities of policy and reference. -inf is a probability of 0: such terms of ``log_p`` count 0, and
        ``log_q = -inf`` beside a ``log_p`` that is not makes the sum inf.

    Returns
    -------
    float
        Summed in float64; 0.0 for T = 0.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Lengths differ; not real numbers; NaN or inf.

    Notes
    -----
    This is KL(p || q) where t runs over a whole vocabulary, all the outcomes of one draw. Over tokens that were *sampled*
    from the policy it is not: it weighs each by its probability a second time. Use :func:`token_kl` for those, and
    :func:`categorical_kl` for many draws with whole vocabularies.

    Examples
    --------
    >>> compute_token_kl([-1.0, -2.0, -0.5], [-1.0, -2.0, -0.5])
    0.0
    """
    p, q = pair(log_p, log_q, "log_p", "log_q")
    if p.ndim != 1:
        raise ShapeError(f"expected log_p of shape (N,), got {p.shape}")
    return float(full_rows(p, q, 1, p.shape[0])[0])


def categorical_kl(log_p, log_q):
    """Return KL(p || q) of distributions given in full, along the last axis.

    Parameters
    ----------
    log_p, log_q : array_like, shape (..., V)
        Log-probabilities of all V outcomes; see :func:`compute_token_kl`.

    Returns
    -------
    ndarray, shape (...,), float64

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Shapes differ; not real numbers; NaN or inf.
    """
    p, q = pair(log_p, log_q, "log_p", "log_q")
    if p.ndim == 0:
        raise ShapeError("expected log_p of shape (..., V), got a number")
    shape, width = p.shape[:-1], p.shape[p.ndim - 1]
    return full_rows(p, q, int(np.prod(shape, dtype=np.int64)), width).reshape(shape)


def token_kl(log_probs, ref_log_probs, *, estimator="k3", mask=None, reduction="none", offsets=None, out=None):
    """Estimate KL(policy || reference) from tokens that were sampled from the policy.

    Parameters
    ----------
    log_probs, ref_log_probs : array_like, shape (T,), (B, T) or any other
        What policy and reference give to the sampled tokens.
    estimator : {"k1", "k2", "k3"}
        With d = ref_log_probs - log_probs: k1 = -d is unbiased and of high variance; k2 = d^2 / 2 is biased, its gradient
        is not; k3 = exp(d) - 1 - d is unbiased and never below 0, what GRPO subtracts.
    mask : array_like of bool, the same shape, optional
        False: the token is not looked at, its values may be NaN, and it counts 0.
    reduction : str
        "none", or one of :func:`rfx.llm.reduce_tokens`.
    offsets : array_like of int, shape (S + 1,), optional
        Where sequences begin in a vector of tokens, for the reductions.
    out : ndarray, optional
        For the terms, of their shape and dtype.

    Returns
    -------
    ndarray or float
        The terms, float32 for two float32 arrays (inf beyond its range), else float64; or what the reduction makes of
        them, float64.

    Raises
    ------
    ShapeError, DTypeError, ConfigError, InvalidValueError
        Shapes differ; not real numbers; an unknown estimator or reduction; NaN or inf where the mask looks, or a sum of
        inf and -inf.

    Notes
    -----
    -inf in both counts 0; in one of them the term is infinite, as the formula says (k1 = -inf where only the policy is
    -inf, which it cannot be for a token it sampled). k3 keeps all digits where d is small. Schulman, "Approximating KL
    divergence", 2020; the sign is that of TRL, exp(ref - policy) - (ref - policy) - 1.

    Examples
    --------
    >>> token_kl([-1.0, -2.0], [-1.5, -2.0], estimator="k1")
    array([0.5, 0. ])
    """
    if not isinstance(estimator, str) or estimator not in ESTIMATORS:
        raise ConfigError(f'expected estimator to be "k1", "k2" or "k3", got {estimator!r}')
    cdef int kind = ESTIMATORS[estimator]
    cdef cnp.ndarray p, r, terms, flags
    cdef const unsigned char* let = NULL
    p, r = pair(log_probs, ref_log_probs, "log_probs", "ref_log_probs")
    if mask is not None:
        flags = mask = token_mask(mask, np.shape(p))
        let = <const unsigned char*>cnp.PyArray_DATA(flags)
    terms = out_array(out, np.shape(p), p.dtype, p, r)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT
    cdef Py_ssize_t n = cnp.PyArray_SIZE(p)
    cdef void* a = cnp.PyArray_DATA(p)
    cdef void* b = cnp.PyArray_DATA(r)
    cdef void* to = cnp.PyArray_DATA(terms)
    cdef bint bad
    with nogil:
        if single:
            bad = k_terms(kind, <const float*>a, <const float*>b, let, <float*>to, n)
        else:
            bad = k_terms(kind, <const double*>a, <const double*>b, let, <double*>to, n)
    if bad:
        refuse(p, "log_probs", mask)
        refuse(r, "ref_log_probs", mask)
    return terms if reduction == "none" else reduce_tokens(terms, mask, how=reduction, offsets=offsets)
