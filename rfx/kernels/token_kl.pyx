"""Divergences per token and sums over sequences. The loops, formulae and sources are in token_kl.h and exp.h."""

from libc.stdint cimport int64_t


cdef extern from "token_kl.h" nogil:
    int rfx_full_kl_d(const double*, const double*, Py_ssize_t, Py_ssize_t, double*)
    int rfx_full_kl_f(const float*, const float*, Py_ssize_t, Py_ssize_t, double*)
    int rfx_k_terms_d(int, const double*, const double*, const unsigned char*, double*, Py_ssize_t)
    int rfx_k_terms_f(int, const float*, const float*, const unsigned char*, float*, Py_ssize_t)
    void rfx_exp_n(const double*, double*, Py_ssize_t)


cdef bint full_kl(const logits* p, const logits* q, Py_ssize_t rows, Py_ssize_t width, double* out) noexcept nogil:
    # out[row] = sum exp(p) (p - q) over each row of (rows, width)
    if logits is double:
        return rfx_full_kl_d(p, q, rows, width, out)
    else:
        return rfx_full_kl_f(p, q, rows, width, out)


cdef bint k_terms(
        int kind, const logits* policy, const logits* reference, const unsigned char* mask, logits* out,
        Py_ssize_t n) noexcept nogil:
    # k1, k2 or k3 of each token, 0 where the mask is; a mask of NULL lets all through
    if logits is double:
        return rfx_k_terms_d(kind, policy, reference, mask, out, n)
    else:
        return rfx_k_terms_f(kind, policy, reference, mask, out, n)


cdef void exp_n(const double* x, double* out, Py_ssize_t n) noexcept nogil:
    rfx_exp_n(x, out, n)


cdef void segment_sums(
        const double* values, const unsigned char* mask, const int64_t* offsets, Py_ssize_t segments, double* sums,
        double* counts) noexcept nogil:
    # Sum and number of the values that the mask lets through (NULL: all) in [offsets[g], offsets[g + 1]). Four lanes,
    # added in a fixed order.
    cdef Py_ssize_t g, i, k
    cdef double[4] lanes
    cdef double count
    for g in range(segments):
        lanes[0] = lanes[1] = lanes[2] = lanes[3] = count = 0.0
        k = 0
        for i in range(offsets[g], offsets[g + 1]):
            if mask == NULL or mask[i]:
                lanes[k & 3] += values[i]
                count += 1.0
            k += 1
        sums[g] = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
        counts[g] = count
