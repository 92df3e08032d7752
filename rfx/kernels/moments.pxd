from rfx.kernels.types cimport real

cdef enum:
    LANES = 8    # of moments_of_line

cdef void moments_push(double x, double count, double* mean, double* m2) noexcept nogil
cdef bint moments_merge(
    double count, const double* mean, const double* m2, double added, double* other_mean, double* other_m2,
    Py_ssize_t d) noexcept nogil
cdef void moments_of_rows(const real* x, Py_ssize_t n, Py_ssize_t d, double* mean, double* m2) noexcept nogil
cdef void moments_of_line(const real* x, Py_ssize_t n, double* mean, double* m2) noexcept nogil
cdef void ema_push(const double* x, Py_ssize_t n, double alpha, bint first, double* mean, double* var) noexcept nogil
cdef void ema_of_rows(
    const real* x, Py_ssize_t n, Py_ssize_t d, double alpha, bint first, double* mean, double* var) noexcept nogil
cdef bint standardize_rows(
    const real* x, Py_ssize_t n, Py_ssize_t d, const double* mean, const double* scale, double limit,
    real* out) noexcept nogil
