"""Potential-based reward shaping, and potentials of distances to a goal."""

cimport numpy as cnp

from rfx.kernels.elementwise cimport goal_distances, shape_potential

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cnp.import_array()


def shape_rewards_pbrs(rewards, phi_current, phi_next, gamma, dones, *, terminal="raw", out=None):
    """Return ``r + gamma phi(s') - phi(s)``.

    Parameters
    ----------
    rewards : array_like, shape (T,) or any other
    phi_current, phi_next : array_like, shape of rewards
        Potentials of the state before and after each step.
    gamma : float
        The discount that is learnt with, 0 to 1.
    dones : array_like of bool, or of 0 and 1, shape of rewards
        Where the episode *terminated*. At a truncation there is a future: leave it 0 and give the potential of the
        true last state in ``phi_next``.
    terminal : {"raw", "zero_potential"}
        What comes out where an episode terminated. "raw": the reward as it is. "zero_potential": ``r - phi(s)``, as if
        the potential of a terminal state were 0; only so the shaping cancels out along every episode and leaves the
        optimal policy as it is. With "raw" each episode that terminates gains the potential of its last state.
    out : ndarray, optional
        Of the shape and dtype of the result.

    Returns
    -------
    ndarray, shape of rewards
        float32 if all three arrays are float32, else float64. Where an episode terminated ``phi_next`` has no
        influence, NaN or not.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Shapes differ; not real numbers; dones are neither 0 nor 1, or a result is not finite.

    Notes
    -----
    Ng, Harada and Russell 1999; for terminal states Grzes 2017.

    Examples
    --------
    >>> shape_rewards_pbrs([1.0, 1.0], [0.5, 0.6], [0.6, 9.0], 0.5, [0.0, 1.0]).tolist()
    [0.8, 1.0]
    >>> shape_rewards_pbrs([1.0], [0.25], [9.0], 0.5, [True], terminal="zero_potential").tolist()
    [0.75]
    """
    cdef double discount = arrays.number(gamma, "gamma", minimum=0.0, maximum=1.0)
    cdef double keep
    if not isinstance(terminal, str) or terminal not in ("raw", "zero_potential"):
        raise ConfigError(f"expected terminal to be 'raw' or 'zero_potential', got {terminal!r}")
    keep = 1.0 if terminal == "zero_potential" else 0.0
    cdef cnp.ndarray r = arrays.floats(rewards, "rewards")
    shape = (<object>r).shape
    cdef cnp.ndarray phi = arrays.floats(phi_current, "phi_current", shape)
    cdef cnp.ndarray after = arrays.floats(phi_next, "phi_next", shape)
    cdef cnp.ndarray ended = flags(dones, shape)
    cdef bint single = (<object>r).dtype == (<object>phi).dtype == (<object>after).dtype == np.float32
    if not single:
        r, phi, after = [(<object>a).astype(np.float64, copy=False) for a in (r, phi, after)]
    cdef cnp.ndarray result = arrays.out_array(out, shape, (<object>r).dtype, r, phi, after, ended)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(r)
    cdef void* reward = cnp.PyArray_DATA(r)
    cdef void* before = cnp.PyArray_DATA(phi)
    cdef void* later = cnp.PyArray_DATA(after)
    cdef void* target = cnp.PyArray_DATA(result)
    cdef const unsigned char* end = <const unsigned char*>cnp.PyArray_DATA(ended)
    cdef bint good
    with nogil:
        if single:
            good = shape_potential(<const float*>reward, <const float*>before, <const float*>later, end,
                                   <float>discount, <float>keep, <float*>target, n)
        else:
            good = shape_potential(<const double*>reward, <const double*>before, <const double*>later, end,
                                   discount, keep, <double*>target, n)
    if not good:
        explain(r, phi, after, ended, keep)
    return result


cdef explain(rewards, phi, phi_next, ended, keep):
    # say which of the numbers that count is not finite
    ended = ended.view(bool)
    arrays.finite(rewards, "rewards")
    arrays.finite(phi if keep else np.where(ended, 0.0, phi), "phi_current")
    arrays.finite(np.where(ended, 0.0, phi_next), "phi_next")
    raise InvalidValueError("expected shaped rewards in the range of their dtype, got ones that overflow")


pbrs_simd = shape_rewards_pbrs


def compute_goal_distance_potentials(observations, goal, *, goal_start=0, scale=1.0, out=None):
    """Return ``-scale |observation[goal_start : goal_start + len(goal)] - goal|``: potentials that grow towards a goal.

    Parameters
    ----------
    observations : array_like, shape (N, D)
    goal : array_like, shape (G,)
    goal_start : int
        Where in an observation the numbers lie that the goal is about.
    scale : float
        At least 0.
    out : ndarray, shape (N,), optional

    Returns
    -------
    ndarray, shape (N,)
        float32 for float32 observations and a goal that is float32 or a list, else float64.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Wrong shapes, or a goal that reaches past the observation; not real numbers; not finite.
    """
    cdef cnp.ndarray x = arrays.floats(observations, "observations", (None, None))
    cdef cnp.ndarray to = arrays.finite(arrays.floats(goal, "goal", (None,)), "goal")
    if isinstance(goal, np.ndarray) and (<object>to).dtype != (<object>x).dtype:
        x, to = (<object>x).astype(np.float64), (<object>to).astype(np.float64)
    dtype = (<object>x).dtype
    to = (<object>to).astype(dtype, copy=False)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 0), step = cnp.PyArray_DIM(x, 1), d = cnp.PyArray_DIM(to, 0)
    cdef Py_ssize_t start = arrays.integer(goal_start, "goal_start", minimum=0, maximum=step)
    cdef double factor = arrays.number(scale, "scale", minimum=0.0)
    if start + d > step:
        raise ShapeError(f"expected observations of at least {start + d} numbers, got {step}")
    cdef cnp.ndarray result = arrays.out_array(out, (n,), dtype, x, to)
    cdef void* rows = cnp.PyArray_DATA(x)
    cdef void* end = cnp.PyArray_DATA(to)
    cdef void* target = cnp.PyArray_DATA(result)
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT, good
    with nogil:
        if single:
            good = goal_distances(<const float*>rows + start, n, step, <const float*>end, d, factor, <float*>target)
        else:
            good = goal_distances(<const double*>rows + start, n, step, <const double*>end, d, factor, <double*>target)
    if not good:
        arrays.finite((<object>x)[:, start:start + d], "observations")
        raise InvalidValueError("expected distances whose squares are finite, got ones that overflow")
    return result


cdef cnp.ndarray flags(value, shape):
    # 0 or 1 for each, as bytes
    array = np.asarray(value)
    if array.shape != shape:
        raise ShapeError(f"expected dones of shape {shape}, got {array.shape}")
    if array.dtype != np.bool_:
        if array.size and array.dtype.kind not in "iuf":
            raise DTypeError(f"expected dones to be bool, or 0 and 1, got dtype {array.dtype}")
        odd = ~((array == 0) | (array == 1))
        if odd.any():
            raise InvalidValueError(f"expected dones to be 0 or 1, got {array[odd][0]}")
        array = array == 1
    return np.ascontiguousarray(array).view(np.uint8).reshape(shape)
