"""The dynamics of a pole on a cart (Barto, Sutton and Anderson 1983), with the roundings of Gymnasium's CartPole-v1."""

from libc.stdint cimport int64_t

from rfx.kernels.rows cimport BLOCK, Row, block_rows, blocks
from rfx.kernels.trig cimport sin_cos_n

cdef extern from "cartpole.h" nogil:
    void cartpole_block "rfx_cartpole_block"(
        const double* gravity, const double* masscart, const double* masspole, const double* length, const double* force_mag,
        const double* tau, const double* s, const double* c, const int64_t* actions, Py_ssize_t n, double* x,
        double* x_dot, double* theta, double* theta_dot, int64_t* out_of_bounds)
    void observe_block "rfx_cartpole_observe"(
        const double* x, const double* x_dot, const double* theta, const double* theta_dot, Py_ssize_t n, float* obs)


cdef void cartpole_step(
        const double* physics, Py_ssize_t stride, double* x, double* x_dot, double* theta, double* theta_dot,
        const int64_t* actions, Py_ssize_t n, unsigned char* terminated) noexcept nogil:
    # One step of each of n carts; an action is 1 to the right, any other to the left. Ended beyond 2.4 m or 12 degrees.
    cdef double[CARTPOLE_PHYSICS * BLOCK] same
    cdef Row[CARTPOLE_PHYSICS] p
    cdef double[BLOCK] s, c
    cdef int64_t[BLOCK] out_of_bounds
    cdef Py_ssize_t i, m, first, block
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        block_rows(physics, stride, CARTPOLE_PHYSICS, first, m, same, p)
        sin_cos_n(theta + first, m, s, c)
        cartpole_block(p[0], p[1], p[2], p[3], p[4], p[5], s, c, actions + first, m, x + first, x_dot + first,
                       theta + first, theta_dot + first, out_of_bounds)
        for i in range(m):
            terminated[first + i] = <unsigned char>out_of_bounds[i]


cdef void cartpole_observe(
        const double* x, const double* x_dot, const double* theta, const double* theta_dot, Py_ssize_t n,
        float* obs) noexcept nogil:
    # (n, 4): position, speed, angle, rate.
    observe_block(x, x_dot, theta, theta_dot, n, obs)
