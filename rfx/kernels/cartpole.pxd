from libc.stdint cimport int64_t

# Physical constants, and what follows from them in the order that Gymnasium computes it in.
ctypedef struct CartPoleModel:
    double gravity           # m/s^2
    double masspole          # kg
    double total_mass        # kg
    double length            # half of the pole, m
    double polemass_length   # kg m
    double force_mag         # N
    double tau               # s
    double x_threshold       # m
    double theta_threshold   # rad

cdef void cartpole_step(
    const CartPoleModel* model, double* x, double* x_dot, double* theta, double* theta_dot, const int64_t* actions,
    Py_ssize_t n, unsigned char* terminated) noexcept nogil
cdef void cartpole_observe(
    const double* x, const double* x_dot, const double* theta, const double* theta_dot, Py_ssize_t n, float* obs) noexcept nogil
