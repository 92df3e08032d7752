from libc.stdint cimport int64_t


cdef extern from "groups.h" nogil:
    ctypedef struct GroupRule "rfx_group_rule":
        int by_group
        int leave_one_out
        double shared
        double ddof
        double eps
        double std_floor


# These return whether something was not finite; out is not to be used then.
cdef bint even_groups(
    const double* rewards, Py_ssize_t groups, Py_ssize_t size, const GroupRule* rule, double* out) noexcept nogil
cdef bint ragged_groups(
    const double* rewards, const unsigned char* mask, const int64_t* offsets, Py_ssize_t groups, const GroupRule* rule,
    double* out) noexcept nogil
cdef double spread(const double* rewards, const unsigned char* mask, Py_ssize_t n, double ddof) noexcept nogil
