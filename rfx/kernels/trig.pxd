# sin and cos, pow(x, 2) and powf(x, 2) of arrays, each result what libm returns; s, c and out must not overlap x.
cdef void sin_cos_n(const double* x, Py_ssize_t n, double* s, double* c) noexcept nogil
cdef void square_n(const double* x, Py_ssize_t n, double* out) noexcept nogil
cdef void square_float_n(const float* x, Py_ssize_t n, float* out) noexcept nogil
