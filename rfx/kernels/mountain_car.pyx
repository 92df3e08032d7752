"""A car too weak for the hill (Moore 1990), with the roundings of Gymnasium's MountainCar-v0 and its continuous form."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from rfx.kernels.rows cimport BLOCK, Row, block_rows, blocks
from rfx.kernels.trig cimport sin_cos_n

cdef extern from "mountain_car.h" nogil:
    void car_angle "rfx_car_angle"(const double* position, const int64_t* steps, Py_ssize_t n, double* angle)
    void car_block "rfx_car_block"(
        const double* force, const double* gravity, const double* goal_velocity, const double* slope, const int64_t* actions,
        Py_ssize_t n, double* position, double* velocity, int64_t* done)
    void continuous_car_block "rfx_continuous_car_block"(
        const double* power, const double* gravity, const double* goal_velocity, const double* slope, const float* actions,
        const int64_t* steps, Py_ssize_t n, double* position, double* velocity, double* rewards, int64_t* done)
    void observe_block "rfx_car_observe"(const double* position, const double* velocity, Py_ssize_t n, float* obs)


cdef void car_step(
        const double* physics, Py_ssize_t stride, double* position, double* velocity, const int64_t* actions, Py_ssize_t n,
        unsigned char* terminated) noexcept nogil:
    # One step of each of n cars; actions 0, 1, 2 push to the left, not at all, to the right.
    cdef double[CAR_PHYSICS * BLOCK] same
    cdef Row[CAR_PHYSICS] p
    cdef double[BLOCK] angle, sine, slope
    cdef int64_t[BLOCK] fresh, done
    cdef Py_ssize_t i, m, first, block
    memset(fresh, 0, sizeof(fresh))
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        block_rows(physics, stride, CAR_PHYSICS, first, m, same, p)
        car_angle(position + first, fresh, m, angle)
        sin_cos_n(angle, m, sine, slope)
        car_block(p[0], p[1], p[2], slope, actions + first, m, position + first, velocity + first, done)
        for i in range(m):
            terminated[first + i] = <unsigned char>done[i]


cdef void continuous_car_step(
        const double* physics, Py_ssize_t stride, double* position, double* velocity, const int64_t* steps, const float* actions,
        Py_ssize_t n, double* rewards, unsigned char* terminated) noexcept nogil:
    # One step of each of n cars with a push within [-1, 1]; what is beyond is cut, but costs what it is.
    cdef double[CAR_PHYSICS * BLOCK] same
    cdef Row[CAR_PHYSICS] p
    cdef double[BLOCK] angle, sine, slope
    cdef int64_t[BLOCK] done
    cdef Py_ssize_t i, m, first, block
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        block_rows(physics, stride, CAR_PHYSICS, first, m, same, p)
        car_angle(position + first, steps + first, m, angle)
        sin_cos_n(angle, m, sine, slope)
        continuous_car_block(p[0], p[1], p[2], slope, actions + first, steps + first, m, position + first,
                             velocity + first, rewards + first, done)
        for i in range(m):
            terminated[first + i] = <unsigned char>done[i]


cdef void car_observe(const double* position, const double* velocity, Py_ssize_t n, float* obs) noexcept nogil:
    # (n, 2): position and speed.
    observe_block(position, velocity, n, obs)
