"""The dynamics of a pendulum that is to be swung up, with the roundings of Gymnasium's Pendulum-v1."""

from libc.math cimport cos, fmod, pow, sin

cdef extern from "<math.h>" nogil:
    float powf(float x, float y)

# Gymnasium squares by pow, which now and then rounds differently from x * x; a constant exponent would be compiled to that.
cdef double TWO = 2.0
cdef float TWO_SINGLE = 2.0
cdef double PI = 3.141592653589793


cdef inline double wrapped(double angle) noexcept nogil:
    # Within [-pi, pi), by a remainder that has the sign of the divisor.
    cdef double rest = fmod(angle + PI, 2.0 * PI)
    if rest < 0.0:
        rest += 2.0 * PI
    return rest - PI


cdef void pendulum_step(
        const PendulumModel* model, double* theta, double* theta_dot, const float* torque, Py_ssize_t n,
        double* rewards) noexcept nogil:
    # One semi-implicit Euler step of each of n pendulums; the reward is for where it was. Torques are float32, and so is what
    # Gymnasium computes of a torque alone; all else is float64.
    cdef Py_ssize_t i
    cdef float u, most = <float>model.max_torque
    cdef double rate, off
    cdef double swing = 3.0 * model.gravity / (2.0 * model.length)
    cdef float push = <float>(3.0 / (model.mass * (model.length * model.length)))
    for i in range(n):
        u = torque[i]
        u = -most if u < -most else (most if u > most else u)
        off = wrapped(theta[i])
        rewards[i] = -(pow(off, TWO) + 0.1 * pow(theta_dot[i], TWO) + <double>(<float>0.001 * powf(u, TWO_SINGLE)))
        rate = theta_dot[i] + (swing * sin(theta[i]) + <double>(push * u)) * model.dt
        rate = -model.max_speed if rate < -model.max_speed else (model.max_speed if rate > model.max_speed else rate)
        theta[i] = theta[i] + rate * model.dt
        theta_dot[i] = rate


cdef void pendulum_observe(const double* theta, const double* theta_dot, Py_ssize_t n, float* obs) noexcept nogil:
    # (n, 3): cosine and sine of the angle, 0 upright, and its rate.
    cdef Py_ssize_t i
    for i in range(n):
        obs[3 * i], obs[3 * i + 1], obs[3 * i + 2] = <float>cos(theta[i]), <float>sin(theta[i]), <float>theta_dot[i]
