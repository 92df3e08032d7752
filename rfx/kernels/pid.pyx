"""One step of a PID controller with limits, anti-windup and a filtered derivative.

    u = kp e + ki I + kd D,   I += e dt,   D += alpha (raw - D),   raw = -(y - y_last) / dt  or  (e - e_last) / dt

Anti-windup after Astrom and Murray, Feedback Systems (2021), 11.4: clamping leaves I as it was while it would drive the
output further into its limit; back-calculation adds min(back_gain dt, 1) (output - u) to ki I: a larger share would
overshoot, and from 2 on diverge.
"""

from libc.math cimport isfinite


cdef inline double clamp(double x, double low, double high) noexcept nogil:
    return low if x < low else high if x > high else x


cdef PidState pid_step(
        const PidGains* g, const PidState* s, double setpoint, double measurement, double dt, PidTerms* terms) noexcept nogil:
    cdef PidState next = s[0]
    cdef double e = setpoint - measurement
    cdef double seen = measurement if g.on_measurement else e
    cdef double raw = 0.0
    cdef double share
    if s.started:
        raw = (s.previous - seen if g.on_measurement else seen - s.previous) / dt
        next.derivative = s.derivative + g.derivative_alpha * (raw - s.derivative)
    next.previous = seen
    next.started = True
    next.integral = clamp(s.integral + e * dt, -g.integral_limit, g.integral_limit)
    terms.p = g.kp * e
    terms.d = g.kd * next.derivative
    terms.unclamped = terms.p + g.ki * next.integral + terms.d
    terms.output = clamp(terms.unclamped, g.output_min, g.output_max)
    if g.anti_windup == 1 and (terms.unclamped - terms.output) * (g.ki * e) > 0.0:
        next.integral = s.integral
        terms.unclamped = terms.p + g.ki * next.integral + terms.d
        terms.output = clamp(terms.unclamped, g.output_min, g.output_max)
    terms.i = g.ki * next.integral
    if g.anti_windup == 2 and g.ki != 0.0:
        share = g.back_gain * dt if g.back_gain * dt < 1.0 else 1.0
        next.integral = clamp(next.integral + share * (terms.output - terms.unclamped) / g.ki,
                              -g.integral_limit, g.integral_limit)
    return next


cdef bint pid_steps(
        const PidGains* g, const PidState* s, const double* setpoint, const double* measurement, double dt,
        PidState* next, double* out, Py_ssize_t n) noexcept nogil:
    # n controllers; whether all that came out is finite
    cdef PidTerms terms
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(n):
        next[i] = pid_step(&g[i], &s[i], setpoint[i], measurement[i], dt, &terms)
        out[i] = terms.output
        good = good and isfinite(terms.unclamped) and isfinite(next[i].integral) and isfinite(next[i].derivative)
    return good
