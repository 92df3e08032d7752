"""The dynamics of the acrobot (Sutton 1996; Sutton and Barto's book), with the roundings of Gymnasium's Acrobot-v1."""

from libc.stdint cimport int64_t

from rfx.kernels.rows cimport BLOCK, Row, block_rows, blocks
from rfx.kernels.trig cimport sin_cos_n, square_n

cdef extern from "acrobot.h" nogil:
    void angles_block "rfx_acrobot_angles"(
        const double* theta1, const double* theta2, Py_ssize_t n, double* both, double* upper)
    void masses_block "rfx_acrobot_masses"(
        const double* m1, const double* m2, const double* l1, const double* l1_squared, const double* com1,
        const double* com1_squared, const double* com2, const double* com2_squared, const double* inertia, const double* c2,
        Py_ssize_t n, double* d1, double* d2)
    void accelerations_block "rfx_acrobot_accelerations"(
        const double* m1, const double* m2, const double* l1, const double* com1, const double* com2,
        const double* com2_squared, const double* inertia, const double* d1, const double* d2, const double* d2_squared,
        const double* s2, const double* c_both, const double* c_upper, const double* rate1, const double* rate1_squared,
        const double* rate2, const double* rate2_squared, const int64_t* actions, Py_ssize_t n, double* a1, double* a2)
    void stage_block "rfx_acrobot_stage"(
        const double* y, const double* k, const double* dt, double part, Py_ssize_t n, double* out)
    void sum_block "rfx_acrobot_sum"(
        const double* k1, const double* k2, const double* k3, const double* k4, const double* dt, Py_ssize_t n, double* y)
    void bound_block "rfx_acrobot_bound"(double* x, double most, Py_ssize_t n)
    double wrap "rfx_acrobot_wrap"(double x)

cdef double PI = 3.141592653589793

ctypedef double* MutableRow

# Squares of the lengths of a block: upper link, centre of the upper, centre of the lower.
ctypedef struct Squares:
    double[BLOCK] length
    double[BLOCK] com1
    double[BLOCK] com2

# The rates of a block: of the two angles, then of their rates.
ctypedef struct Rates:
    double[4][BLOCK] of


cdef void rates(
        Row* p, const Squares* squares, Row* y, const int64_t* actions, Py_ssize_t n, Rates* k) noexcept nogil:
    # How the state y, four rows, changes with time.
    cdef double[BLOCK] both, upper, s2, c2, unused, c_both, c_upper, d1, d2, d2_squared, rate1_squared, rate2_squared
    cdef Py_ssize_t i
    angles_block(y[0], y[1], n, both, upper)
    sin_cos_n(y[1], n, s2, c2)
    sin_cos_n(both, n, unused, c_both)
    sin_cos_n(upper, n, unused, c_upper)
    masses_block(p[0], p[1], p[2], squares.length, p[3], squares.com1, p[4], squares.com2, p[5], c2, n, d1, d2)
    square_n(d2, n, d2_squared)
    square_n(y[2], n, rate1_squared)
    square_n(y[3], n, rate2_squared)
    accelerations_block(p[0], p[1], p[2], p[3], p[4], squares.com2, p[5], d1, d2, d2_squared, s2, c_both, c_upper, y[2],
                        rate1_squared, y[3], rate2_squared, actions, n, k.of[2], k.of[3])
    for i in range(n):
        k.of[0][i], k.of[1][i] = y[2][i], y[3][i]


cdef void integrate(
        Row* p, const Squares* squares, MutableRow* y, const int64_t* actions, Py_ssize_t n) noexcept nogil:
    # One step of Runge and Kutta's classical method on a block.
    cdef Rates[4] k
    cdef double[4][BLOCK] between
    cdef Row[4] start, at
    cdef int stage, j
    for j in range(4):
        start[j], at[j] = y[j], between[j]
    rates(p, squares, start, actions, n, &k[0])
    for stage in range(1, 4):
        for j in range(4):
            stage_block(y[j], k[stage - 1].of[j], p[6], 1.0 if stage == 3 else 2.0, n, between[j])
        rates(p, squares, at, actions, n, &k[stage])
    for j in range(4):
        sum_block(k[0].of[j], k[1].of[j], k[2].of[j], k[3].of[j], p[6], n, y[j])


cdef void acrobot_step(
        const double* physics, Py_ssize_t stride, double* state, Py_ssize_t stride_state, const int64_t* actions, Py_ssize_t n,
        double* rewards, unsigned char* terminated) noexcept nogil:
    # One step of each of n. Ended, at a reward of 0 instead of -1, once the end of the lower link is above 1 m.
    cdef double[ACROBOT_PHYSICS * BLOCK] same
    cdef Row[ACROBOT_PHYSICS] p
    cdef Squares squares
    cdef MutableRow[4] y
    cdef double[BLOCK] both, s_both, c_both
    cdef Py_ssize_t i, j, m, first, block
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        block_rows(physics, stride, ACROBOT_PHYSICS, first, m, same, p)
        if stride != 1 or first == 0:
            square_n(p[2], m, squares.length)
            square_n(p[3], m, squares.com1)
            square_n(p[4], m, squares.com2)
        for j in range(4):
            y[j] = state + j * stride_state + first
        integrate(p, &squares, y, actions + first, m)
        for i in range(m):
            y[0][i], y[1][i] = wrap(y[0][i]), wrap(y[1][i])
            both[i] = y[1][i] + y[0][i]
        bound_block(y[2], 4 * PI, m)
        bound_block(y[3], 9 * PI, m)
        acrobot_derive(state + first, stride_state, m)
        sin_cos_n(both, m, s_both, c_both)
        for i in range(m):
            terminated[first + i] = -state[5 * stride_state + first + i] - c_both[i] > 1.0
            rewards[first + i] = 0.0 if terminated[first + i] else -1.0


cdef void acrobot_derive(double* state, Py_ssize_t stride_state, Py_ssize_t n) noexcept nogil:
    sin_cos_n(state, n, state + 4 * stride_state, state + 5 * stride_state)
    sin_cos_n(state + stride_state, n, state + 6 * stride_state, state + 7 * stride_state)


cdef void acrobot_observe(const double* state, Py_ssize_t stride_state, Py_ssize_t n, float* obs) noexcept nogil:
    # (n, 6): cosine and sine of each angle, then the rates.
    cdef Py_ssize_t i
    cdef const double* s = state
    for i in range(n):
        obs[6 * i], obs[6 * i + 1] = <float>s[5 * stride_state + i], <float>s[4 * stride_state + i]
        obs[6 * i + 2], obs[6 * i + 3] = <float>s[7 * stride_state + i], <float>s[6 * stride_state + i]
        obs[6 * i + 4], obs[6 * i + 5] = <float>s[2 * stride_state + i], <float>s[3 * stride_state + i]
