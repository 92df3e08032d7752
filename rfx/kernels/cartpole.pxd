from libc.stdint cimport int64_t

# The rows of physics: gravity (m/s^2), mass of cart and of pole (kg), half of the pole's length (m), force (N), time step (s).
cdef enum:
    CARTPOLE_PHYSICS = 6

# physics is (CARTPOLE_PHYSICS, stride), stride n for numbers of each environment's own, or 1 for the same in all.
cdef void cartpole_step(
    const double* physics, Py_ssize_t stride, double* x, double* x_dot, double* theta, double* theta_dot,
    const int64_t* actions, Py_ssize_t n, unsigned char* terminated) noexcept nogil
cdef void cartpole_observe(
    const double* x, const double* x_dot, const double* theta, const double* theta_dot, Py_ssize_t n, float* obs) noexcept nogil
