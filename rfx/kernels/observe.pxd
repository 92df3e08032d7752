from libc.stdint cimport int32_t

cdef void gravity_of(const double* quaternion, bint xyzw, double* out) noexcept nogil
cdef void observe_terms(
    const double* signals, const int32_t* place, const double* bound, const double* scale, double clip, Py_ssize_t n,
    float* out) noexcept nogil
cdef void joint_targets(
    const float* action, const int32_t* place, const double* pose, const double* scale, double clip, Py_ssize_t n,
    double* out) noexcept nogil
cdef void smooth_move(
    const double* start, const double* end, double share, Py_ssize_t n, double* out) noexcept nogil
