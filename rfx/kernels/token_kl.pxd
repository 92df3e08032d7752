from libc.stdint cimport int64_t

ctypedef fused logits:
    float
    double


# These return whether a log-probability was NaN or inf; out is not to be used then.
cdef bint full_kl(const logits* p, const logits* q, Py_ssize_t rows, Py_ssize_t width, double* out) noexcept nogil
cdef bint k_terms(
    int kind, const logits* policy, const logits* reference, const unsigned char* mask, logits* out,
    Py_ssize_t n) noexcept nogil
cdef void exp_n(const double* x, double* out, Py_ssize_t n) noexcept nogil
cdef void segment_sums(
    const double* values, const unsigned char* mask, const int64_t* offsets, Py_ssize_t segments, double* sums,
    double* counts) noexcept nogil
