from rfx.kernels.types cimport real


# Discount, trace decay, and the clips of ratios for values, traces and the policy gradient; a clip may be inf.
cdef struct VTrace:
    double gamma
    double lam
    double rho_bar
    double c_bar
    double pg_bar


cdef void vtrace_one(
    const VTrace* p, const real* log_rhos, const real* rewards, const real* values, const unsigned char* terminated,
    const unsigned char* truncated, const real* final_values, real last_value, real* vs, real* advantages,
    Py_ssize_t steps) noexcept nogil
cdef void vtrace_rows(
    const VTrace* p, const real* log_rhos, const real* rewards, const real* values, const unsigned char* terminated,
    const unsigned char* truncated, const real* final_values, const real* last_values, real* vs, real* advantages,
    Py_ssize_t steps, Py_ssize_t n) noexcept nogil
cdef void exp_rows(const real* x, real* out, Py_ssize_t n) noexcept nogil
