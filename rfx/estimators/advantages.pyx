"""Generalised advantage estimation."""

cimport numpy as cnp

from rfx.estimators.rollout cimport first_array, fraction, is_env_major, last_row, like, mask_like, pair_out, real_type
from rfx.kernels.scan cimport any_flag, gae_one, gae_rows
from rfx.kernels.types cimport real

from rfx.errors import InvalidValueError

cnp.import_array()


def gae(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, *, time_axis=0, out=None):
    """Estimate advantages by the exponentially weighted sum of the errors ahead, exact at every kind of end.

    Parameters
    ----------
    rewards : array_like, shape (T,) or (T, N)
        Received after the action of each step. float32 if all arrays given are float32, else float64.
    values : array_like, same shape
        V(s_t) of the state that the action was taken in.
    terminated, truncated : array_like of bool, same shape
        Whether the episode ended with this step for good (there is no future), or was cut here (there is one). Where both
        are set, it is over.
    final_values : array_like, same shape, or None
        V of the state that a truncated step led to, before any reset; read only where ``truncated``, so that the rest may
        hold anything. None only if nothing is truncated.
    last_values : float, or array_like of shape (N,)
        V of the states after the last step; not read where that step ended an episode.
    gamma, lam : float
        Discount and trace decay, within [0, 1].
    time_axis : int, optional
        1 for arrays of shape (N, T).
    out : tuple of two ndarray, optional
        Where to write advantages and returns.

    Returns
    -------
    advantages, returns : ndarray, same shape
        returns = advantages + values, the targets of the critic.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Shapes that do not fit; not real numbers; masks with other numbers than 0 and 1, gamma or lam out of range, truncated
        steps without final_values. NaN and infinities go through, but never past the end of an episode.

    Notes
    -----
    delta_t = r_t + gamma V(s'_t) - V(s_t), where V(s'_t) is 0 if terminated, final_values[t] if truncated, else V(s_{t+1});
    A_t = delta_t + gamma lam A_{t+1}, the second term only where the episode goes on (Schulman et al. 2016, eq. 11, 16).

    The bytes are the same on every CPU. Time-major rows give those of the plain backward loop; a single environment and
    (N, T) are added up four steps at a time, which differs by roundings.
    """
    return estimate(rewards, values, terminated, truncated, final_values, last_values, gamma, lam, time_axis, out, False)


def compute_gae(rewards, values, dones, last_value, gamma, gae_lambda):
    """Estimate advantages where every end is terminal: gae() with one mask.

    An episode that was cut by a time limit must not be given as done: its future would be lost. Use :func:`gae` for it.

    Parameters
    ----------
    rewards, values : array_like, shape (T,) or (T, N)
    dones : array_like of bool, or numbers that are 0 or 1, same shape
    last_value : float, or array_like of shape (N,)
        V of the state after the last step.
    gamma, gae_lambda : float
        Within [0, 1].

    Returns
    -------
    advantages, returns : ndarray, same shape

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`.
    """
    return estimate(rewards, values, dones, None, None, last_value, gamma, gae_lambda, 0, None, True)


cdef tuple estimate(object rewards, object values, object terminated, object truncated, object final_values,
                    object last_values, object gamma, object lam, object time_axis, object out, bint one_mask):
    cdef int type_num = real_type((rewards, values, final_values, last_values))
    cdef cnp.ndarray r = first_array(rewards, "rewards", type_num)
    cdef cnp.ndarray v = like(values, "values", r)
    cdef cnp.ndarray ended = mask_like(terminated, "dones" if one_mask else "terminated", r)
    cdef cnp.ndarray cut = None if one_mask else mask_like(truncated, "truncated", r)
    cdef cnp.ndarray f = None if final_values is None else like(final_values, "final_values", r)
    cdef bint env_major = is_env_major(time_axis, r)
    cdef cnp.ndarray last = last_row(last_values, "last_value" if one_mask else "last_values", r, env_major)
    cdef double discount = fraction(gamma, "gamma"), decay = fraction(lam, "gae_lambda" if one_mask else "lam")
    cdef const unsigned char* cut_at = NULL
    cdef const void* final_at = NULL
    if cut is not None and any_flag(<const unsigned char*>cnp.PyArray_DATA(cut), cnp.PyArray_SIZE(cut)):
        if f is None:
            raise InvalidValueError("expected final_values, as some steps are truncated, got None")
        cut_at, final_at = <const unsigned char*>cnp.PyArray_DATA(cut), cnp.PyArray_DATA(f)
    cdef tuple made = pair_out(out, r, (r, v, ended, last, cut, f))
    cdef cnp.ndarray adv = made[0], ret = made[1]
    cdef Py_ssize_t steps = cnp.PyArray_DIM(r, 0), n = 1
    if cnp.PyArray_NDIM(r) == 2:
        n = cnp.PyArray_DIM(r, 1)
    if env_major:
        steps, n = n, steps
    cdef const void* r_at = cnp.PyArray_DATA(r)
    cdef const void* v_at = cnp.PyArray_DATA(v)
    cdef const unsigned char* ended_at = <const unsigned char*>cnp.PyArray_DATA(ended)
    cdef const void* last_at = cnp.PyArray_DATA(last)
    cdef void* adv_at = cnp.PyArray_DATA(adv)
    cdef void* ret_at = cnp.PyArray_DATA(ret)
    with nogil:
        if type_num == cnp.NPY_FLOAT:
            run[float](<const float*>r_at, <const float*>v_at, ended_at, cut_at, <const float*>final_at,
                       <const float*>last_at, <float>discount, <float>decay, <float*>adv_at, <float*>ret_at, steps, n, env_major)
        else:
            run[double](<const double*>r_at, <const double*>v_at, ended_at, cut_at, <const double*>final_at,
                        <const double*>last_at, discount, decay, <double*>adv_at, <double*>ret_at, steps, n, env_major)
    return made


cdef void run(const real* r, const real* v, const unsigned char* ended, const unsigned char* cut, const real* f,
              const real* last, real gamma, real lam, real* adv, real* ret, Py_ssize_t steps, Py_ssize_t n,
              bint env_major) noexcept nogil:
    # one environment after the other where its steps lie side by side, else rows
    cdef Py_ssize_t i, o
    if not env_major and n != 1:
        gae_rows(r, v, ended, cut, f, last, gamma, lam, adv, ret, steps, n)
        return
    for i in range(n):
        o = i * steps
        gae_one(r + o, v + o, ended + o, cut + o if cut != NULL else NULL, f + o if f != NULL else NULL, last[i], gamma, lam,
                adv + o, ret + o, steps)
