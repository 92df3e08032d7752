"""V-trace: targets and advantages from another policy's steps."""

cimport numpy as cnp

from rfx.estimators.rollout cimport (
    clip_of,
    first_array,
    fraction,
    is_env_major,
    last_row,
    like,
    mask_like,
    pair_out,
    real_type,
)
from rfx.kernels.scan cimport any_flag
from rfx.kernels.scan_vtrace cimport VTrace, vtrace_one, vtrace_rows
from rfx.kernels.types cimport real

from rfx.errors import InvalidValueError

cnp.import_array()


def vtrace(log_rhos, rewards, values, terminated, truncated, final_values, last_values, gamma, lam=1.0, *,
           rho_bar=1.0, c_bar=1.0, pg_rho_bar=None, time_axis=0, out=None):
    """Correct targets and advantages for steps of an older policy, by clipped importance ratios.

    Parameters
    ----------
    log_rhos : array_like, shape (T,) or (T, N)
        log(pi(a_t | s_t) / mu(a_t | s_t)) of the policy that learns over the one that acted.
    rewards, values : array_like, same shape
        float32 if all arrays given are float32, else float64.
    terminated, truncated, final_values, last_values, time_axis
        As in :func:`gae`.
    gamma, lam : float
        Discount and further decay of the traces, within [0, 1].
    rho_bar, c_bar : float, optional
        Clips of the ratios in the errors and in the traces; math.inf for none.
    pg_rho_bar : float, optional
        Clip of the ratios in the advantages. Default: ``rho_bar``.
    out : tuple of two ndarray, optional
        Where to write vs and advantages.

    Returns
    -------
    vs, advantages : ndarray, same shape
        Targets of the critic, and what to multiply the gradient of log pi with (the ratio is in it).

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`gae`. NaN in log_rhos is not clipped away: it shows in its episode, up to there.

    Notes
    -----
    vs_t = V(s_t) + rho_t (r_t + gamma V(s'_t) - V(s_t)) + gamma lam c_t (vs_{t+1} - V(s_{t+1})), the last term only where the
    episode goes on; A_t = pg_t (r_t + gamma q_t - V(s_t)), q_t = lam vs_{t+1} + (1 - lam) V(s_{t+1}), or the value V(s'_t) that
    an end leaves: 0 if terminated, final_values[t] if truncated. Espeholt et al. 2018, eq. 1 and section 4.2; with
    lam < 1 as in their later code. On-policy (log_rhos = 0) vs is the return of gae() with the same lam.
    """
    return estimate(log_rhos, rewards, values, terminated, truncated, final_values, last_values, gamma, lam, rho_bar, c_bar,
                    pg_rho_bar, time_axis, out, False)


def compute_vtrace(log_rhos, rewards, values, dones, bootstrap_value, gamma, rho_bar=1.0, c_bar=1.0):
    """V-trace where every end is terminal: vtrace() with one mask.

    An episode that was cut by a time limit must not be given as done: its future would be lost. Use :func:`vtrace` for it.

    Parameters
    ----------
    log_rhos, rewards, values : array_like, shape (T,) or (T, N)
    dones : array_like of bool, or numbers that are 0 or 1, same shape
    bootstrap_value : float, or array_like of shape (N,)
        V of the state after the last step.
    gamma, rho_bar, c_bar : float

    Returns
    -------
    vs, pg_advantages : ndarray, same shape

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        As :func:`vtrace`.
    """
    return estimate(
        log_rhos, rewards, values, dones, None, None, bootstrap_value, gamma, 1.0, rho_bar, c_bar, None, 0, None, True)


cdef tuple estimate(object log_rhos, object rewards, object values, object terminated, object truncated, object final_values,
                    object last_values, object gamma, object lam, object rho_bar, object c_bar, object pg_rho_bar,
                    object time_axis, object out, bint one_mask):
    cdef int type_num = real_type((log_rhos, rewards, values, final_values, last_values))
    cdef cnp.ndarray logs = first_array(log_rhos, "log_rhos", type_num)
    cdef cnp.ndarray r = like(rewards, "rewards", logs)
    cdef cnp.ndarray v = like(values, "values", logs)
    cdef cnp.ndarray ended = mask_like(terminated, "dones" if one_mask else "terminated", logs)
    cdef cnp.ndarray cut = None if one_mask else mask_like(truncated, "truncated", logs)
    cdef cnp.ndarray f = None if final_values is None else like(final_values, "final_values", logs)
    cdef bint env_major = is_env_major(time_axis, logs)
    cdef cnp.ndarray last = last_row(last_values, "bootstrap_value" if one_mask else "last_values", logs, env_major)
    cdef VTrace p
    p.gamma, p.lam = fraction(gamma, "gamma"), fraction(lam, "lam")
    p.rho_bar, p.c_bar = clip_of(rho_bar, "rho_bar"), clip_of(c_bar, "c_bar")
    p.pg_bar = p.rho_bar if pg_rho_bar is None else clip_of(pg_rho_bar, "pg_rho_bar")
    cdef const unsigned char* cut_at = NULL
    cdef const void* final_at = NULL
    if cut is not None and any_flag(<const unsigned char*>cnp.PyArray_DATA(cut), cnp.PyArray_SIZE(cut)):
        if f is None:
            raise InvalidValueError("expected final_values, as some steps are truncated, got None")
        cut_at, final_at = <const unsigned char*>cnp.PyArray_DATA(cut), cnp.PyArray_DATA(f)
    cdef tuple made = pair_out(out, logs, (logs, r, v, ended, last, cut, f))
    cdef cnp.ndarray vs = made[0], adv = made[1]
    cdef Py_ssize_t steps = cnp.PyArray_DIM(logs, 0), n = 1
    if cnp.PyArray_NDIM(logs) == 2:
        n = cnp.PyArray_DIM(logs, 1)
    if env_major:
        steps, n = n, steps
    cdef const void* logs_at = cnp.PyArray_DATA(logs)
    cdef const void* r_at = cnp.PyArray_DATA(r)
    cdef const void* v_at = cnp.PyArray_DATA(v)
    cdef const unsigned char* ended_at = <const unsigned char*>cnp.PyArray_DATA(ended)
    cdef const void* last_at = cnp.PyArray_DATA(last)
    cdef void* vs_at = cnp.PyArray_DATA(vs)
    cdef void* adv_at = cnp.PyArray_DATA(adv)
    with nogil:
        if type_num == cnp.NPY_FLOAT:
            run[float](&p, <const float*>logs_at, <const float*>r_at, <const float*>v_at, ended_at, cut_at,
                       <const float*>final_at, <const float*>last_at, <float*>vs_at, <float*>adv_at, steps, n, env_major)
        else:
            run[double](&p, <const double*>logs_at, <const double*>r_at, <const double*>v_at, ended_at, cut_at,
                        <const double*>final_at, <const double*>last_at, <double*>vs_at, <double*>adv_at, steps, n, env_major)
    return made


cdef void run(const VTrace* p, const real* logs, const real* r, const real* v, const unsigned char* ended,
              const unsigned char* cut, const real* f, const real* last, real* vs, real* adv, Py_ssize_t steps, Py_ssize_t n,
              bint env_major) noexcept nogil:
    # one environment after the other where its steps lie side by side, else rows
    cdef Py_ssize_t i, o
    if not env_major and n != 1:
        vtrace_rows(p, logs, r, v, ended, cut, f, last, vs, adv, steps, n)
        return
    for i in range(n):
        o = i * steps
        vtrace_one(p, logs + o, r + o, v + o, ended + o, cut + o if cut != NULL else NULL, f + o if f != NULL else NULL,
                   last[i], vs + o, adv + o, steps)
