cdef bint within(const double* x, double limit, Py_ssize_t n) noexcept nogil
cdef void low_pass(double* y, const double* x, double* out, double alpha, Py_ssize_t n) noexcept nogil
cdef void moving_average(
    double* ring, double* sums, Py_ssize_t window, Py_ssize_t seen, const double* x, double* out, Py_ssize_t n) noexcept nogil
cdef void derivative(
    double* previous, double* y, bint first, const double* x, double* out, double rate, double alpha,
    Py_ssize_t n) noexcept nogil
cdef void biquad(double* s, const double* c, const double* x, double* out, Py_ssize_t n) noexcept nogil
