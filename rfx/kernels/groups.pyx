"""Rewards against the mean of their group. The loops, formulae and sources are in groups.h."""

from libc.stdint cimport int64_t


cdef extern from "groups.h" nogil:
    int rfx_even_groups(const double*, Py_ssize_t, Py_ssize_t, const GroupRule*, double*)
    int rfx_ragged_groups(const double*, const long long*, Py_ssize_t, const GroupRule*, double*)
    int rfx_masked_groups(const double*, const unsigned char*, const long long*, Py_ssize_t, const GroupRule*, double*)
    double rfx_spread(const double*, const unsigned char*, Py_ssize_t, double)


cdef bint even_groups(
        const double* rewards, Py_ssize_t groups, Py_ssize_t size, const GroupRule* rule, double* out) noexcept nogil:
    # groups of `size` side by side
    return rfx_even_groups(rewards, groups, size, rule, out)


cdef bint ragged_groups(
        const double* rewards, const unsigned char* mask, const int64_t* offsets, Py_ssize_t groups,
        const GroupRule* rule, double* out) noexcept nogil:
    # group g is [offsets[g], offsets[g + 1]); a mask of NULL lets all through
    if mask == NULL:
        return rfx_ragged_groups(rewards, <const long long*>offsets, groups, rule, out)
    return rfx_masked_groups(rewards, mask, <const long long*>offsets, groups, rule, out)


cdef double spread(const double* rewards, const unsigned char* mask, Py_ssize_t n, double ddof) noexcept nogil:
    # standard deviation of all that the mask lets through
    return rfx_spread(rewards, mask, n, ddof)
