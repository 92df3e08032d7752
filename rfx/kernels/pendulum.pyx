"""The dynamics of a pendulum that is to be swung up, with the roundings of Gymnasium's Pendulum-v1."""

from libc.math cimport fmod
from libc.stdint cimport int64_t

from rfx.kernels.rows cimport BLOCK, Row, block_rows, blocks
from rfx.kernels.trig cimport square_float_n, square_n

cdef extern from "pendulum.h" nogil:
    double RFX_TURN
    double RFX_HALF_TURN
    void wrap_block "rfx_pendulum_wrap"(
        const double* theta, const float* torque, Py_ssize_t n, double* off, float* u, int64_t* far_off)
    void factors_block "rfx_pendulum_factors"(
        const double* gravity, const double* mass, const double* length, const double* length_squared, Py_ssize_t n,
        double* swing, float* push)
    void pendulum_block "rfx_pendulum_block"(
        const double* swing, const float* push, const double* off_squared, const double* rate_squared, const float* u,
        const float* u_squared, const double* s, Py_ssize_t n, double* theta, double* theta_dot, double* rewards)
    void observe_block "rfx_pendulum_observe"(
        const double* theta_dot, const double* s, const double* c, Py_ssize_t n, float* obs)


cdef inline double wrapped(double angle) noexcept nogil:
    # Within [-pi, pi), by a remainder that has the sign of the divisor.
    cdef double rest = fmod(angle + RFX_HALF_TURN, RFX_TURN)
    if rest < 0.0:
        rest += RFX_TURN
    return rest - RFX_HALF_TURN


cdef void pendulum_step(
        const double* physics, Py_ssize_t stride, double* theta, double* theta_dot, const double* s, const float* torque,
        Py_ssize_t n, double* rewards) noexcept nogil:
    # One step of each of n pendulums: speeds up to 8 rad/s, torques up to 2 Nm, 0.05 s. Squares are as pow rounds them,
    # which Gymnasium squares by.
    cdef double[PENDULUM_PHYSICS * BLOCK] same
    cdef Row[PENDULUM_PHYSICS] p
    cdef double[BLOCK] off, off_squared, rate_squared, length_squared, swing
    cdef float[BLOCK] u, u_squared, push
    cdef int64_t[BLOCK] far_off
    cdef Py_ssize_t i, m, first, block
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        block_rows(physics, stride, PENDULUM_PHYSICS, first, m, same, p)
        if stride != 1 or first == 0:
            square_n(p[2], m, length_squared)
            factors_block(p[0], p[1], p[2], length_squared, m, swing, push)
        wrap_block(theta + first, torque + first, m, off, u, far_off)
        for i in range(m):
            if far_off[i]:
                off[i] = wrapped(theta[first + i])
        square_n(off, m, off_squared)
        square_n(theta_dot + first, m, rate_squared)
        square_float_n(u, m, u_squared)
        pendulum_block(swing, push, off_squared, rate_squared, u, u_squared, s + first, m, theta + first, theta_dot + first,
                       rewards + first)


cdef void pendulum_observe(
        const double* theta_dot, const double* s, const double* c, Py_ssize_t n, float* obs) noexcept nogil:
    # (n, 3): cosine and sine of the angle, 0 upright, and its rate.
    observe_block(theta_dot, s, c, n, obs)
