from libc.stdint cimport int64_t

# The rows of physics: masses of the links (kg), length of the upper one, where their centres are (m), the inertia of each
# (kg m^2), time step (s).
cdef enum:
    ACROBOT_PHYSICS = 7

# physics is (ACROBOT_PHYSICS, stride), stride n for numbers of each environment's own, or 1 for the same in all.
# The state is in rows of `stride_state`: the two angles, their rates, then the sines and cosines of the angles, which
# acrobot_derive computes and a step updates.
cdef void acrobot_step(
    const double* physics, Py_ssize_t stride, double* state, Py_ssize_t stride_state, const int64_t* actions, Py_ssize_t n,
    double* rewards, unsigned char* terminated) noexcept nogil
cdef void acrobot_derive(double* state, Py_ssize_t stride_state, Py_ssize_t n) noexcept nogil
cdef void acrobot_observe(const double* state, Py_ssize_t stride_state, Py_ssize_t n, float* obs) noexcept nogil
