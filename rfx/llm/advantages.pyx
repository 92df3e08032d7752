"""Advantages of completions within their group."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from rfx.kernels.groups cimport GroupRule, even_groups, ragged_groups, spread

import numpy as np

from rfx.arrays import finite, floats, integer, number, out_array
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm.reduction import token_mask

cnp.import_array()

cdef object PLAIN_DDOF = 0


def compute_group_advantages(rewards):
    """Standardise the rewards of one group: (rewards - mean) / std.

    Parameters
    ----------
    rewards : array_like, shape (G,)
        Of G completions of one prompt.

    Returns
    -------
    ndarray, shape (G,)
        float32 for a float32 array, else float64; computed in float64. Zeros where the standard deviation (of the
        population) is not above 1e-8, as in a constant group or a group of one.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not a vector; not real numbers; not finite, or so large that their squares overflow.

    See Also
    --------
    group_advantages : many groups at once, and the other ways to scale.

    Examples
    --------
    >>> compute_group_advantages([1.0, 0.0, 0.0, 1.0])
    array([ 1., -1., -1.,  1.])
    """
    cdef cnp.ndarray given = floats(rewards, "rewards", (None,))
    cdef GroupRule rule = GroupRule(1, 0, 0.0, 0.0, 0.0, 1e-8)
    return evenly(given, given.shape[0], &rule, None)


def group_advantages(rewards, group_size=None, group_ids=None, *, scale="group", ddof=0, eps=0.0, std_floor=1e-8,
                     leave_one_out=False, mask=None, out=None):
    """Take the mean of its group off each reward, and divide by a standard deviation if asked to.

    Parameters
    ----------
    rewards : array_like, shape (N,) or (P, G)
        For (P, G) each row is a group. For (N,) one of the next two says what the groups are.
    group_size : int, optional
        Groups lie side by side, each of this size; N is a multiple of it.
    group_ids : array_like of int, shape (N,), optional
        Equal numbers are one group; in any order, groups of any size.
    scale : {"group", "batch", "none"}
        Divide by the standard deviation of the group (GRPO), of all rewards, or not at all (Dr. GRPO).
    ddof : int
        The standard deviation divides by n - ddof: 0 for the population, 1 as torch and TRL do it.
    eps : float
        Added to the standard deviation.
    std_floor : float
        A standard deviation not above this counts as none: the advantages are 0. Raise it (1e-3, say) where rewards
        carry rounding noise that must not be blown up.
    leave_one_out : bool
        Take the mean of the others instead: RLOO with ``scale="none"``. The standard deviation stays that of all.
    mask : array_like of bool, the shape of rewards, optional
        False: the reward is not looked at, it may be NaN, and its advantage is 0.
    out : ndarray, optional
        Of the shape and dtype of the result.

    Returns
    -------
    ndarray, the shape of rewards
        float32 for a float32 array, else float64; computed in float64. A group of one gets 0. With ``scale="group"``
        none is larger than sqrt(n - 1) for ``ddof=0``, however close the rewards are.

    Raises
    ------
    ShapeError, DTypeError, ConfigError, InvalidValueError
        Shapes that do not fit; not numbers; no groups, or groups named twice, or an unknown scale; rewards that are
        not finite, or so large that their squares overflow.

    Notes
    -----
    Two passes, no E[x^2] - E[x]^2. TRL's figures: ``ddof=1, eps=1e-4``. Shao et al. 2024 (GRPO), Liu et al. 2025
    (Dr. GRPO), Ahmadian et al. 2024 (RLOO).

    Examples
    --------
    >>> group_advantages([1.0, 0.0, 5.0, 5.0], group_size=2)
    array([ 1., -1.,  0.,  0.])
    """
    cdef cnp.ndarray given = rewards if plain(rewards) else floats(rewards, "rewards")
    cdef GroupRule rule = GroupRule(0, bool(leave_one_out), 1.0, 0.0, at_least_0(eps, "eps"), at_least_0(std_floor, "std_floor"))
    cdef Py_ssize_t size = 0
    if ddof is not PLAIN_DDOF:
        rule.ddof = integer(ddof, "ddof", minimum=0, maximum=2**53)
    if scale not in ("group", "batch", "none"):
        raise ConfigError(f'expected scale to be "group", "batch" or "none", got {scale!r}')
    rule.by_group = scale == "group"
    size = size_of_groups(given, group_size, group_ids)
    if mask is not None:
        mask = token_mask(mask, np.shape(given)).reshape(-1)
    if scale == "batch":
        rule.shared = overall(given, mask, &rule)
    if size and mask is None:
        return evenly(given, size, &rule, out)
    return raggedly(given, mask, group_ids, size, &rule, out)


cdef inline bint plain(value):
    # an array that rfx.arrays.floats would hand back as it is
    return cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY_RO(value)


cdef inline double at_least_0(value, str name) except -1.0:
    # number() with minimum 0, by the short way for what is a good float already
    if type(value) is float and 0.0 <= <double>value <= 1.7976931348623157e308:
        return value
    return number(value, name, minimum=0.0)


cdef Py_ssize_t size_of_groups(cnp.ndarray rewards, group_size, group_ids) except -1:
    # 0 where group_ids says which the groups are
    cdef Py_ssize_t size
    if not 1 <= rewards.ndim <= 2:
        raise ShapeError(f"expected rewards of shape (N,) or (P, G), got {np.shape(rewards)}")
    if group_ids is not None:
        if group_size is not None or rewards.ndim != 1:
            raise ConfigError("expected either group_size, group_ids or rewards of shape (P, G), got two of them")
        return 0
    if rewards.ndim == 2:
        size = rewards.shape[1]
        if group_size is not None and integer(group_size, "group_size") != size:
            raise ShapeError(f"expected rewards of shape (P, {group_size}), got {np.shape(rewards)}")
        return max(size, 1)
    if group_size is None:
        raise ConfigError("expected group_size, group_ids or rewards of shape (P, G) to say what the groups are")
    if type(group_size) is int and 0 < group_size < 2**62:
        size = group_size
    else:
        size = integer(group_size, "group_size", minimum=1, maximum=2**62)
    if rewards.shape[0] % size:
        raise ShapeError(f"expected a multiple of group_size {size} rewards, got {rewards.shape[0]}")
    return size


cdef int refuse(rewards, mask) except -1:
    finite(rewards if mask is None else np.where(mask.reshape(np.shape(rewards)), rewards, 0.0), "rewards")
    raise InvalidValueError("expected rewards whose squares stay in the range of float64, got larger ones")


cdef double overall(cnp.ndarray rewards, mask, GroupRule* rule) except? -1.0:
    # what all advantages are divided by: 0 stands for rewards that do not differ
    cdef const double[::1] r = rewards.astype(np.float64, copy=False).reshape(-1)
    cdef const unsigned char[::1] m
    cdef const unsigned char* let = NULL
    cdef double std
    if r.shape[0] == 0:
        return 0.0
    if mask is not None:
        m = mask.view(np.uint8)
        let = &m[0]
    with nogil:
        std = spread(&r[0], let, r.shape[0], rule.ddof)
    if not std <= 1.7976931348623157e308:
        refuse(rewards, mask)
    return std + rule.eps if std > rule.std_floor else 0.0


cdef object evenly(cnp.ndarray rewards, Py_ssize_t size, GroupRule* rule, out):
    cdef bint single = cnp.PyArray_TYPE(rewards) == cnp.NPY_FLOAT
    cdef cnp.ndarray result, r = rewards.astype(np.float64) if single else rewards
    if out is None:
        result = cnp.PyArray_EMPTY(rewards.ndim, rewards.shape, cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE, 0)
    else:
        result = out_array(out, np.shape(rewards), rewards.dtype, rewards)
    cdef cnp.ndarray a = np.empty(np.shape(rewards)) if single else result
    cdef const double* source = <const double*>cnp.PyArray_DATA(r)
    cdef double* target = <double*>cnp.PyArray_DATA(a)
    cdef Py_ssize_t groups = cnp.PyArray_SIZE(r) // size if size else 0
    cdef bint bad
    with nogil:
        bad = even_groups(source, groups, size, rule, target)
    if bad:
        refuse(rewards, None)
    if single:
        result[...] = a
    return result


cdef object raggedly(cnp.ndarray rewards, mask, group_ids, Py_ssize_t size, GroupRule* rule, out):
    cdef cnp.ndarray result = out_array(out, np.shape(rewards), rewards.dtype, rewards)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(rewards)
    flat = rewards.astype(np.float64, copy=False).reshape(-1)
    order = None
    if group_ids is not None:
        order, offsets = sorted_groups(group_ids, n)
        flat = flat[order]
        mask = mask if mask is None else mask[order]
    else:
        offsets = np.arange(0, n + 1, size, dtype=np.int64)
    cdef const double[::1] r = flat
    cdef const int64_t[::1] o = offsets
    cdef const unsigned char[::1] m
    cdef const unsigned char* let = NULL
    advantages = np.empty(n)
    cdef double[::1] a = advantages
    cdef bint bad
    if n == 0:
        return result
    if mask is not None:
        m = mask.view(np.uint8)
        let = &m[0]
    with nogil:
        bad = ragged_groups(&r[0], let, &o[0], o.shape[0] - 1, rule, &a[0])
    if bad:
        refuse(flat, mask)
    if order is None:
        result.reshape(-1)[...] = advantages
    else:
        result[order] = advantages
    return result


cdef tuple sorted_groups(group_ids, Py_ssize_t n):
    # the order that puts groups side by side, and where each begins, with n at the end
    ids = np.asarray(group_ids)
    if ids.shape != (n,):
        raise ShapeError(f"expected group_ids of shape ({n},), got {ids.shape}")
    if ids.dtype.kind not in "iu" and ids.size:
        raise DTypeError(f"expected group_ids to be integers, got dtype {ids.dtype}")
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.diff(ids)) + 1
    return order, np.concatenate(([0], starts, [n])).astype(np.int64)
