from rfx.kernels.types cimport real

cdef Py_ssize_t return_step(
    const double* rewards, const unsigned char* terminated, const unsigned char* truncated, Py_ssize_t n, double gamma,
    bint drop_terminated, bint skip_after_end, bint clear_at_end, double* returns, unsigned char* ended,
    double* active) noexcept nogil
cdef bint shape_potential(
    const real* rewards, const real* phi, const real* phi_next, const unsigned char* ended, real gamma,
    real terminal_phi, real* out, Py_ssize_t n) noexcept nogil
cdef bint goal_distances(
    const real* rows, Py_ssize_t n, Py_ssize_t step, const real* goal, Py_ssize_t d, double scale,
    real* out) noexcept nogil
cdef bint divide_within(const real* x, double by, double limit, real* out, Py_ssize_t n) noexcept nogil
cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil
cdef bint toward_is_finite(const real* target, const real* source, real rate, Py_ssize_t n) noexcept nogil
cdef bint move_toward(real* target, const real* source, real rate, Py_ssize_t n) noexcept nogil
cdef bint blend(real* target, const real* source, real tau, Py_ssize_t n) noexcept nogil
cdef void mean_of(const real** sources, const double* weights, Py_ssize_t count, real* out, Py_ssize_t n) noexcept nogil
cdef bint priorities_of(
    const real* errors, const real* losses, double eta, double plus, double least, double* out,
    Py_ssize_t n) noexcept nogil
