"""The dynamics of a pole on a cart (Barto, Sutton and Anderson 1983), with the roundings of Gymnasium's CartPole-v1."""

from libc.math cimport cos, sin
from libc.stdint cimport int64_t


cdef void cartpole_step(
        const CartPoleModel* model, double* x, double* x_dot, double* theta, double* theta_dot, const int64_t* actions,
        Py_ssize_t n, unsigned char* terminated) noexcept nogil:
    # One explicit Euler step of each of n carts: all rates are those before the step. Each operation is rounded on its own,
    # in Gymnasium's order, so that trajectories are equal to the last bit.
    cdef Py_ssize_t i
    cdef double force, c, s, temp, theta_acc, x_acc
    for i in range(n):
        force = model.force_mag if actions[i] == 1 else -model.force_mag
        c, s = cos(theta[i]), sin(theta[i])
        temp = (force + model.polemass_length * (theta_dot[i] * theta_dot[i]) * s) / model.total_mass
        theta_acc = (model.gravity * s - c * temp) / (
            model.length * (4.0 / 3.0 - model.masspole * (c * c) / model.total_mass))
        x_acc = temp - model.polemass_length * theta_acc * c / model.total_mass
        x[i] = x[i] + model.tau * x_dot[i]
        x_dot[i] = x_dot[i] + model.tau * x_acc
        theta[i] = theta[i] + model.tau * theta_dot[i]
        theta_dot[i] = theta_dot[i] + model.tau * theta_acc
        terminated[i] = (x[i] < -model.x_threshold or x[i] > model.x_threshold
                         or theta[i] < -model.theta_threshold or theta[i] > model.theta_threshold)


cdef void cartpole_observe(
        const double* x, const double* x_dot, const double* theta, const double* theta_dot, Py_ssize_t n,
        float* obs) noexcept nogil:
    # (n, 4): position, speed, angle, rate.
    cdef Py_ssize_t i
    for i in range(n):
        obs[4 * i], obs[4 * i + 1] = <float>x[i], <float>x_dot[i]
        obs[4 * i + 2], obs[4 * i + 3] = <float>theta[i], <float>theta_dot[i]
