"""Backward scans through rollouts: rows of n environments, time-major, or one environment.

``truncated`` and ``final_values`` may be NULL where nothing is truncated. Formulae: scan_gae.h.
"""

from libc.string cimport memchr


cdef extern from "scan_gae.h" nogil:
    void rfx_gae_one_f(
        const float* r, const float* v, const unsigned char* terminated, const unsigned char* truncated, const float* final,
        float last_value, float gamma, float lam, float* adv, float* ret, Py_ssize_t n) noexcept
    void rfx_gae_one_d(
        const double* r, const double* v, const unsigned char* terminated, const unsigned char* truncated, const double* final,
        double last_value, double gamma, double lam, double* adv, double* ret, Py_ssize_t n) noexcept
    void rfx_gae_rows_f(
        const float* r, const float* v, const unsigned char* terminated, const unsigned char* truncated, const float* final,
        const float* last_values, float gamma, float lam, float* adv, float* ret, Py_ssize_t steps, Py_ssize_t n) noexcept
    void rfx_gae_rows_d(
        const double* r, const double* v, const unsigned char* terminated, const unsigned char* truncated, const double* final,
        const double* last_values, double gamma, double lam, double* adv, double* ret, Py_ssize_t steps, Py_ssize_t n) noexcept
    int rfx_flags_f(const float* x, unsigned char* out, Py_ssize_t n) noexcept
    int rfx_flags_d(const double* x, unsigned char* out, Py_ssize_t n) noexcept


cdef void gae_one(
        const real* rewards, const real* values, const unsigned char* terminated, const unsigned char* truncated,
        const real* final_values, real last_value, real gamma, real lam, real* advantages, real* returns,
        Py_ssize_t steps) noexcept nogil:
    if real is float:
        rfx_gae_one_f(rewards, values, terminated, truncated, final_values, last_value, gamma, lam, advantages, returns, steps)
    else:
        rfx_gae_one_d(rewards, values, terminated, truncated, final_values, last_value, gamma, lam, advantages, returns, steps)


cdef void gae_rows(
        const real* rewards, const real* values, const unsigned char* terminated, const unsigned char* truncated,
        const real* final_values, const real* last_values, real gamma, real lam, real* advantages, real* returns,
        Py_ssize_t steps, Py_ssize_t n) noexcept nogil:
    if real is float:
        rfx_gae_rows_f(
            rewards, values, terminated, truncated, final_values, last_values, gamma, lam, advantages, returns, steps, n)
    else:
        rfx_gae_rows_d(
            rewards, values, terminated, truncated, final_values, last_values, gamma, lam, advantages, returns, steps, n)


cdef bint flags_of(const real* x, unsigned char* out, Py_ssize_t n) noexcept nogil:
    # numbers to flags; whether all were 0 or 1
    if real is float:
        return rfx_flags_f(x, out, n)
    else:
        return rfx_flags_d(x, out, n)


cdef bint any_flag(const unsigned char* flags, Py_ssize_t n) noexcept nogil:
    # whether some flag is set
    return n > 0 and memchr(flags, 1, n) != NULL
