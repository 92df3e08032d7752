# Physical constants.
ctypedef struct PendulumModel:
    double max_speed         # rad/s
    double max_torque        # Nm
    double dt                # s
    double gravity           # m/s^2
    double mass              # kg
    double length            # m

cdef void pendulum_step(
    const PendulumModel* model, double* theta, double* theta_dot, const float* torque, Py_ssize_t n,
    double* rewards) noexcept nogil
cdef void pendulum_observe(const double* theta, const double* theta_dot, Py_ssize_t n, float* obs) noexcept nogil
