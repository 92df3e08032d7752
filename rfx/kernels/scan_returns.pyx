"""Backward scans that give one return for each step. V'_t is 0 if terminated, final_t if truncated, else V_{t+1}.

Each row is computed as if nothing ended, then mended where something did: what lies behind an end is not multiplied by 0
but left out, so that a NaN there stays there.
"""

from libc.math cimport NAN
from libc.string cimport memcpy


cdef extern from "scan_vtrace.h" nogil:
    Py_ssize_t rfx_next_end(const unsigned char* terminated, const unsigned char* truncated, Py_ssize_t i, Py_ssize_t n) noexcept
    float rfx_exp_single(float x) noexcept
    double rfx_exp(double x) noexcept


cdef inline const real* ahead_of(const Rollout* s, const real* rows, Py_ssize_t t) noexcept nogil:
    # the row after step t, or the last values
    return <const real*>s.last_values if t == s.steps - 1 else rows + (t + 1) * s.n


cdef inline void mend(const Rollout* s, Py_ssize_t t, real* row) noexcept nogil:
    # r_t + gamma V'_t where the episode ended with step t
    cdef Py_ssize_t o = t * s.n, i
    cdef const unsigned char* ended = s.terminated + o
    cdef const unsigned char* cut = s.truncated + o if s.truncated != NULL else NULL
    cdef const real* r = <const real*>s.rewards + o
    i = rfx_next_end(ended, cut, 0, s.n)
    while i < s.n:
        row[i] = r[i] if ended[i] else r[i] + <real>s.gamma * (<const real*>s.final_values)[o + i]
        i = rfx_next_end(ended, cut, i + 1, s.n)


cdef void discounted_rows(const Rollout* s, real* out) noexcept nogil:
    # G_t = r_t + gamma G_{t+1}, or r_t + gamma V'_t at an end
    cdef Py_ssize_t t, i
    cdef real gamma = <real>s.gamma
    cdef const real* r
    cdef const real* ahead
    cdef real* row
    for t in range(s.steps - 1, -1, -1):
        r, ahead, row = <const real*>s.rewards + t * s.n, ahead_of[real](s, out, t), out + t * s.n
        for i in range(s.n):
            row[i] = r[i] + gamma * ahead[i]
        mend[real](s, t, row)


cdef void td_lambda_rows(const Rollout* s, real* out) noexcept nogil:
    # G_t = r_t + gamma ((1 - lambda) V_{t+1} + lambda G_{t+1}), or r_t + gamma V'_t at an end (Sutton 1988)
    cdef Py_ssize_t t, i
    cdef real gamma = <real>s.gamma, lam = <real>s.lam
    cdef const real* r
    cdef const real* v
    cdef const real* ahead
    cdef real* row
    if lam == 1:
        discounted_rows[real](s, out)
        return
    if lam == 0:
        one_step_rows[real](s, out)
        return
    for t in range(s.steps - 1, -1, -1):
        r, v = <const real*>s.rewards + t * s.n, ahead_of[real](s, <const real*>s.values, t)
        ahead, row = ahead_of[real](s, out, t), out + t * s.n
        for i in range(s.n):
            row[i] = r[i] + gamma * ((1 - lam) * v[i] + lam * ahead[i])
        mend[real](s, t, row)


cdef void one_step_rows(const Rollout* s, real* out) noexcept nogil:
    # G_t = r_t + gamma V'_t
    cdef Py_ssize_t t, i
    cdef real gamma = <real>s.gamma
    cdef const real* r
    cdef const real* v
    cdef real* row
    for t in range(s.steps):
        r, v, row = <const real*>s.rewards + t * s.n, ahead_of[real](s, <const real*>s.values, t), out + t * s.n
        for i in range(s.n):
            row[i] = r[i] + gamma * v[i]
        mend[real](s, t, row)


cdef void step_more_rows(const Rollout* s, real* out) noexcept nogil:
    # From returns over k steps to returns over k + 1, in place:
    # G^{k+1}_t = r_t + gamma G^k_{t+1}, or r_t + gamma V'_t at an end
    cdef Py_ssize_t t, i
    cdef real gamma = <real>s.gamma
    cdef const real* r
    cdef const real* ahead
    cdef real* row
    for t in range(s.steps - 1):
        r, ahead, row = <const real*>s.rewards + t * s.n, out + (t + 1) * s.n, out + t * s.n
        for i in range(s.n):
            row[i] = r[i] + gamma * ahead[i]
        mend[real](s, t, row)


cdef Py_ssize_t longest_episode(const Rollout* s) noexcept nogil:
    # steps of the longest piece of an episode
    cdef Py_ssize_t t, i, k, since, longest = 0
    for i in range(s.n):
        since = 0
        for t in range(s.steps):
            k = t * s.n + i
            since += 1
            longest = max(longest, since)
            if s.terminated[k] or (s.truncated != NULL and s.truncated[k]):
                since = 0
    return longest


cdef inline real trace(real log_rho, real c_bar) noexcept nogil:
    cdef real ratio
    if real is float:
        ratio = rfx_exp_single(log_rho)
    else:
        ratio = rfx_exp(log_rho)
    return c_bar if c_bar < ratio else ratio


cdef void retrace_rows(const Rollout* s, real* out) noexcept nogil:
    # G_t = r_t + gamma (V_{t+1} + c_{t+1} (G_{t+1} - Q_{t+1})), c = lambda min(c_bar, ratio), or r_t + gamma V'_t at an end
    # (Munos et al. 2016, eq. 3 and 4, written as a recursion)
    cdef Py_ssize_t t, i, o
    cdef real gamma = <real>s.gamma, lam = <real>s.lam, c_bar = <real>s.c_bar
    cdef const real* r
    cdef const real* v
    cdef const real* q
    cdef const real* logs
    if lam == 0:
        one_step_rows[real](s, out)
        return
    for t in range(s.steps - 1, -1, -1):
        o = t * s.n
        r, v = <const real*>s.rewards + o, ahead_of[real](s, <const real*>s.values, t)
        if t == s.steps - 1:
            for i in range(s.n):
                out[o + i] = r[i] + gamma * v[i]
        else:
            q, logs = <const real*>s.q_values + o + s.n, <const real*>s.log_rhos + o + s.n
            for i in range(s.n):
                out[o + i] = r[i] + gamma * (v[i] + lam * trace[real](logs[i], c_bar) * (out[o + s.n + i] - q[i]))
        mend[real](s, t, out + o)


cdef void upgo_rows(const Rollout* s, real* out) noexcept nogil:
    # G_t = r_t + gamma G_{t+1} if the next step does not disappoint, r_{t+1} + gamma V'_{t+1} >= V_{t+1}; if it does,
    # r_t + gamma V_{t+1}; r_t + gamma V'_t at an end (Vinyals et al. 2019, methods). Where NaN leaves no answer, NaN.
    cdef Py_ssize_t t, i
    cdef real gamma = <real>s.gamma, value, follow, next_step
    cdef real* better = <real*>s.row    # r + gamma V' of the next step
    cdef const real* r
    cdef const real* v
    cdef const real* ahead
    cdef real* row
    for t in range(s.steps - 1, -1, -1):
        r, v = <const real*>s.rewards + t * s.n, ahead_of[real](s, <const real*>s.values, t)
        ahead, row = ahead_of[real](s, out, t), out + t * s.n
        for i in range(s.n if t < s.steps - 1 else 0):
            value, follow, next_step = v[i], ahead[i], better[i]
            value = value if next_step < value else <real>NAN
            row[i] = r[i] + gamma * (follow if next_step >= v[i] else value)
        for i in range(s.n):
            better[i] = r[i] + gamma * v[i]
        if t == s.steps - 1:
            memcpy(row, better, s.n * sizeof(real))
        mend[real](s, t, row)
        mend[real](s, t, better)
