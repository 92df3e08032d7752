"""Returns: what came after each step, with the value of the state where the counting stops."""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals

import numpy as np

from rfx.estimators.rollout cimport (
    clip_of,
    first_array,
    fraction,
    is_env_major,
    last_row,
    like,
    mask_like,
    one_out,
    real_type,
)
from rfx.kernels.scan cimport any_flag
from rfx.kernels.scan_returns cimport (
    Rollout,
    discounted_rows,
    longest_episode,
    one_step_rows,
    retrace_rows,
    step_more_rows,
    td_lambda_rows,
    upgo_rows,
)

from rfx import arrays
from rfx.errors import InvalidValueError

cnp.import_array()

ctypedef void (*scan_float)(const Rollout*, float*) noexcept nogil
ctypedef void (*scan_double)(const Rollout*, double*) noexcept nogil


cdef class _Case:
    """A rollout that came in: its arrays, time-major, and the pointers to them."""

    cdef Rollout at
    cdef int type_num
    cdef bint env_major
    cdef cnp.ndarray model      # of the shape that the caller uses
    cdef list kept              # the arrays, alive

    cdef const void* array(self, object value, str name) except NULL:
        cdef cnp.ndarray array = like(value, name, self.model)
        self.kept.append(array)
        if self.env_major:
            array = np.ascontiguousarray(array.T)
            self.kept.append(array)
        return cnp.PyArray_DATA(array)

    cdef const unsigned char* mask(self, object value, str name) except NULL:
        cdef cnp.ndarray array = mask_like(value, name, self.model)
        self.kept.append(array)
        if self.env_major:
            array = np.ascontiguousarray(array.T)
            self.kept.append(array)
        return <const unsigned char*>cnp.PyArray_DATA(array)

    cdef object scan(self, scan_float f, scan_double d, object out):
        """Run a scan over it and return what it wrote, in ``out`` if given."""
        cdef cnp.ndarray result = one_out(out, "out", self.model, tuple(self.kept))
        cdef cnp.ndarray rows = np.empty((self.at.steps, self.at.n), self.model.dtype) if self.env_major else result
        cdef void* target = cnp.PyArray_DATA(rows)
        with nogil:
            if self.type_num == cnp.NPY_FLOAT:
                f(&self.at, <float*>target)
            else:
                d(&self.at, <double*>target)
        if self.env_major:
            result[...] = rows.T
        return result


cdef _Case read(object rewards, object terminated, object truncated, object final_values, object last_values, object gamma,
               object time_axis, tuple others):
    """Read what all scans need; ``others`` are arrays that have a say in the dtype."""
    cdef _Case case = _Case()
    case.type_num = real_type((rewards, final_values, last_values, *others))
    case.model = first_array(rewards, "rewards", case.type_num)
    case.env_major = is_env_major(time_axis, case.model)
    case.kept = [case.model]
    case.at.rewards = case.array(case.model, "rewards")
    case.at.terminated = case.mask(terminated, "terminated")
    case.at.truncated = case.mask(truncated, "truncated")
    last = last_row(last_values, "last_values", case.model, case.env_major)
    case.kept.append(last)
    case.at.last_values = cnp.PyArray_DATA(last)
    if final_values is not None:
        case.at.final_values = case.array(final_values, "final_values")
    if not any_flag(case.at.truncated, cnp.PyArray_SIZE(case.model)):
        case.at.truncated = NULL
    elif final_values is None:
        raise InvalidValueError("expected final_values, as some steps are truncated, got None")
    case.at.gamma = fraction(gamma, "gamma")
    case.at.steps = cnp.PyArray_DIM(case.model, 1 if case.env_major else 0)
    case.at.n = 1 if cnp.PyArray_NDIM(case.model) == 1 else cnp.PyArray_DIM(case.model, 0 if case.env_major else 1)
    return case


def discounted_returns(rewards, terminated, truncated, final_values, last_values, gamma, *, time_axis=0, out=None):
    """Return the discounted sums of the rewards to the end of each episode, or to where it was cut.

    Parameters
    ----------
    rewards : array_like, shape (T,) or (T, N)
        float32 if all arrays given are float32, else float64.
    terminated, truncated, final_values, last_values, time_axis
        As in :func:`gae`.
    gamma : float
        Within [0, 1].
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray, same shape
        G_t = r_t + gamma G_{t+1}; at an end r_t, plus gamma final_values[t] if truncated; after the last step last_values.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`.
    """
    cdef _Case case = read(rewards, terminated, truncated, final_values, last_values, gamma, time_axis, ())
    return case.scan(discounted_rows[float], discounted_rows[double], out)


def td_lambda(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, *, time_axis=0, out=None):
    """Return the lambda-returns: geometric mixtures of the returns over 1, 2, ... steps (Sutton 1988).

    Parameters
    ----------
    rewards, values, terminated, truncated, final_values, last_values, gamma, lam, time_axis
        As in :func:`gae`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray, same shape
        G_t = r_t + gamma ((1 - lam) V(s_{t+1}) + lam G_{t+1}); at an end r_t + gamma V(s'_t). Up to rounding what gae() calls
        returns; ``values[0]`` is not read.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`.
    """
    cdef _Case case = read(rewards, terminated, truncated, final_values, last_values, gamma, time_axis, (values,))
    case.at.values = case.array(values, "values")
    case.at.lam = fraction(lam, "lam")
    return case.scan(td_lambda_rows[float], td_lambda_rows[double], out)


def n_step_returns(rewards, values, terminated, truncated, final_values, last_values, gamma, n, *, time_axis=0, out=None):
    """Return the rewards of the next ``n`` steps and the value of the state after them, discounted.

    Parameters
    ----------
    rewards, values, terminated, truncated, final_values, last_values, gamma, time_axis
        As in :func:`gae`.
    n : int
        At least 1. Fewer steps count where the episode ends, or the rollout.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray, same shape
        G_t = r_t + ... + gamma^{m-1} r_{t+m-1} + gamma^m V(s_{t+m}), m = n or what is left; V is 0 after a terminated step and
        final_values after a truncated one.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`; ``n`` below 1.

    Notes
    -----
    O(T N m), with m the smaller of n and the longest episode. Ctrl+C gets through.
    """
    cdef _Case case = read(rewards, terminated, truncated, final_values, last_values, gamma, time_axis, (values,))
    cdef Py_ssize_t _k, count = arrays.integer(n, "n", minimum=1, maximum=2**62)
    case.at.values = case.array(values, "values")
    cdef cnp.ndarray result = one_out(out, "out", case.model, tuple(case.kept))
    cdef cnp.ndarray rows = np.empty((case.at.steps, case.at.n), case.model.dtype)
    cdef void* target = cnp.PyArray_DATA(rows)
    count = min(count, case.at.steps)
    if count > 16:
        count = min(count, longest_episode(&case.at))  # more steps change nothing
    if case.type_num == cnp.NPY_FLOAT:
        one_step_rows[float](&case.at, <float*>target)
    else:
        one_step_rows[double](&case.at, <double*>target)
    for _k in range(count - 1):
        with nogil:
            if case.type_num == cnp.NPY_FLOAT:
                step_more_rows[float](&case.at, <float*>target)
            else:
                step_more_rows[double](&case.at, <double*>target)
        PyErr_CheckSignals()
    result[...] = rows.T if case.env_major else rows.reshape(np.shape(result))
    return result


def retrace(log_rhos, rewards, q_values, values, terminated, truncated, final_values, last_values, gamma, lam=1.0, *,
            c_bar=1.0, time_axis=0, out=None):
    """Return targets for action values from another policy's steps, with traces cut by clipped ratios (Munos et al. 2016).

    Parameters
    ----------
    log_rhos : array_like, shape (T,) or (T, N)
        log(pi(a_t | s_t) / mu(a_t | s_t)). The first row is not read.
    rewards : array_like, same shape
    q_values : array_like, same shape
        Q(s_t, a_t) of the actions taken.
    values : array_like, same shape
        The mean of Q(s_t, .) under pi.
    terminated, truncated, final_values, last_values, gamma, time_axis
        As in :func:`gae`; the values are means of Q under pi.
    lam : float, optional
        Decay of the traces, within [0, 1].
    c_bar : float, optional
        Clip of the ratios; math.inf for none, which is no longer Retrace.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray, same shape
        G_t = r_t + gamma (V(s_{t+1}) + c_{t+1} (G_{t+1} - Q(s_{t+1}, a_{t+1}))), c = lam min(c_bar, ratio); at an end
        r_t + gamma V(s'_t).

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`.
    """
    cdef _Case case = read(
        rewards, terminated, truncated, final_values, last_values, gamma, time_axis, (values, q_values, log_rhos))
    case.at.values = case.array(values, "values")
    case.at.q_values = case.array(q_values, "q_values")
    case.at.log_rhos = case.array(log_rhos, "log_rhos")
    case.at.lam, case.at.c_bar = fraction(lam, "lam"), clip_of(c_bar, "c_bar")
    return case.scan(retrace_rows[float], retrace_rows[double], out)


def upgo(rewards, values, terminated, truncated, final_values, last_values, gamma, *, time_axis=0, out=None):
    """Return upgoing returns: they follow the rollout as long as it does better than expected (Vinyals et al. 2019).

    Parameters
    ----------
    rewards, values, terminated, truncated, final_values, last_values, gamma, time_axis
        As in :func:`gae`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray, same shape
        G_t = r_t + gamma G_{t+1} where r_{t+1} + gamma V(s'_{t+1}) >= V(s_{t+1}), else r_t + gamma V(s_{t+1}); at an end
        r_t + gamma V(s'_t). The advantage is G_t - V(s_t), to be multiplied with a clipped ratio.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`.
    """
    cdef _Case case = read(rewards, terminated, truncated, final_values, last_values, gamma, time_axis, (values,))
    case.at.values = case.array(values, "values")
    row = np.empty(case.at.n, case.model.dtype)
    case.kept.append(row)
    case.at.row = cnp.PyArray_DATA(row)
    return case.scan(upgo_rows[float], upgo_rows[double], out)
