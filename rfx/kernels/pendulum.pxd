# The rows of physics: gravity (m/s^2), mass (kg), length (m).
cdef enum:
    PENDULUM_PHYSICS = 3

# physics is (PENDULUM_PHYSICS, stride), stride n for numbers of each environment's own, or 1 for the same in all.
# s is the sine of theta, before the step; nothing updates it.
cdef void pendulum_step(
    const double* physics, Py_ssize_t stride, double* theta, double* theta_dot, const double* s, const float* torque,
    Py_ssize_t n, double* rewards) noexcept nogil
cdef void pendulum_observe(
    const double* theta_dot, const double* s, const double* c, Py_ssize_t n, float* obs) noexcept nogil
