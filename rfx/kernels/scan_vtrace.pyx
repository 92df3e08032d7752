"""V-trace over rows of n environments, time-major, or along one environment. Formulae: scan_vtrace.h."""


cdef extern from "scan_vtrace.h" nogil:
    ctypedef struct rfx_vtrace_f:
        float gamma, lam, rho_bar, c_bar, pg_bar
    ctypedef struct rfx_vtrace_d:
        double gamma, lam, rho_bar, c_bar, pg_bar
    void rfx_vtrace_one_f(
        const rfx_vtrace_f* p, const float* log_rho, const float* r, const float* v, const unsigned char* terminated,
        const unsigned char* truncated, const float* final, float last_value, float* vs, float* adv, Py_ssize_t n) noexcept
    void rfx_vtrace_one_d(
        const rfx_vtrace_d* p, const double* log_rho, const double* r, const double* v, const unsigned char* terminated,
        const unsigned char* truncated, const double* final, double last_value, double* vs, double* adv, Py_ssize_t n) noexcept
    void rfx_vtrace_rows_f(
        const rfx_vtrace_f* p, const float* log_rho, const float* r, const float* v, const unsigned char* terminated,
        const unsigned char* truncated, const float* final, const float* last_values, float* vs, float* adv,
        Py_ssize_t steps, Py_ssize_t n) noexcept
    void rfx_vtrace_rows_d(
        const rfx_vtrace_d* p, const double* log_rho, const double* r, const double* v, const unsigned char* terminated,
        const unsigned char* truncated, const double* final, const double* last_values, double* vs, double* adv,
        Py_ssize_t steps, Py_ssize_t n) noexcept
    void rfx_exp_row_f(const float* x, float* out, Py_ssize_t n) noexcept
    void rfx_exp_row_d(const double* x, double* out, Py_ssize_t n) noexcept


cdef inline rfx_vtrace_f single(const VTrace* p) noexcept nogil:
    return rfx_vtrace_f(<float>p.gamma, <float>p.lam, <float>p.rho_bar, <float>p.c_bar, <float>p.pg_bar)


cdef inline rfx_vtrace_d double_(const VTrace* p) noexcept nogil:
    return rfx_vtrace_d(p.gamma, p.lam, p.rho_bar, p.c_bar, p.pg_bar)


cdef void vtrace_one(
        const VTrace* p, const real* log_rhos, const real* rewards, const real* values, const unsigned char* terminated,
        const unsigned char* truncated, const real* final_values, real last_value, real* vs, real* advantages,
        Py_ssize_t steps) noexcept nogil:
    cdef rfx_vtrace_f f = single(p)
    cdef rfx_vtrace_d d = double_(p)
    if real is float:
        rfx_vtrace_one_f(
            &f, log_rhos, rewards, values, terminated, truncated, final_values, last_value, vs, advantages, steps)
    else:
        rfx_vtrace_one_d(
            &d, log_rhos, rewards, values, terminated, truncated, final_values, last_value, vs, advantages, steps)


cdef void vtrace_rows(
        const VTrace* p, const real* log_rhos, const real* rewards, const real* values, const unsigned char* terminated,
        const unsigned char* truncated, const real* final_values, const real* last_values, real* vs, real* advantages,
        Py_ssize_t steps, Py_ssize_t n) noexcept nogil:
    cdef rfx_vtrace_f f = single(p)
    cdef rfx_vtrace_d d = double_(p)
    if real is float:
        rfx_vtrace_rows_f(
            &f, log_rhos, rewards, values, terminated, truncated, final_values, last_values, vs, advantages, steps, n)
    else:
        rfx_vtrace_rows_d(
            &d, log_rhos, rewards, values, terminated, truncated, final_values, last_values, vs, advantages, steps, n)


cdef void exp_rows(const real* x, real* out, Py_ssize_t n) noexcept nogil:
    # e to the power of each; may work in place
    if real is float:
        rfx_exp_row_f(x, out, n)
    else:
        rfx_exp_row_d(x, out, n)
