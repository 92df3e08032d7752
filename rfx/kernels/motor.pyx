"""Motors with a position and velocity loop, and joints that have nothing but inertia, friction and limits.

The law of a motor of the Go2 is  torque = clip(tau + kp (q_des - q) + kd (dq_des - dq), -limit, +limit).
With  offset = tau + kp q_des + kd dq_des  it is  clip(offset - kp q - kd dq), three numbers a motor.
"""

from libc.math cimport fabs, isfinite

# What the robot's firmware takes for "no command": the term is left out. Anything near it is no position either.
cdef double NO_POSITION = 2.146e9
cdef double NO_VELOCITY = 16000.0


# command is (5, n): q, dq, tau, kp, kd.  law is (n, 3): offset, kp, kd.  A motor that is off has 0, 0, 0.
# Returns -1, or the flat index in command of the first number that is not finite, or is a gain below zero; law is
# then not to be used.
cdef Py_ssize_t motor_law(
    const double* command, const unsigned char* enabled, double* law, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double kp, kd, offset
    for i in range(5 * n):
        if not isfinite(command[i]) or (i >= 3 * n and command[i] < 0.0):
            return i
    for i in range(n):
        kp = command[3 * n + i] if command[i] < NO_POSITION else 0.0
        kd = command[4 * n + i] if command[n + i] < NO_VELOCITY else 0.0
        offset = command[2 * n + i]
        if kp > 0.0:
            offset = offset + kp * command[i]
        if kd > 0.0:
            offset = offset + kd * command[n + i]
        law[3 * i] = offset if enabled[i] else 0.0
        law[3 * i + 1] = kp if enabled[i] else 0.0
        law[3 * i + 2] = kd if enabled[i] else 0.0
    return -1


cdef struct Stage:
    double velocity
    double torque


# One implicit stage of  I dv/dt = torque - b v - c sign(v),  dq/dt = v,  from (q, v) over g:
#   v' = (I v + g (offset - kp q)) / (I + g (kd + b) + g^2 kp),  then Coulomb friction takes at most g c / denominator.
# Where the motor would give more than its limit, the stage is taken with the limit as a constant torque.
cdef inline Stage implicit_stage(
    double q, double v, double offset, double kp, double kd, const double* p, double g
) noexcept nogil:
    cdef double below = p[0] + g * (kd + p[1]) + g * g * kp
    cdef Stage s
    s.velocity = rub((p[0] * v + g * (offset - kp * q)) / below, g * p[2] / below)
    s.torque = offset - kp * (q + g * s.velocity) - kd * s.velocity
    if fabs(s.torque) > p[3]:
        s.torque = p[3] if s.torque > 0.0 else -p[3]
        below = p[0] + g * p[1]
        s.velocity = rub((p[0] * v + g * s.torque) / below, g * p[2] / below)
    return s


# Coulomb friction: takes up to `most` from a speed, and never turns it round.
cdef inline double rub(double v, double most) noexcept nogil:
    if v > most:
        return v - most
    if v < -most:
        return v + most
    return 0.0


# One step h of n joints by the two-stage, second-order, L-stable diagonally implicit Runge-Kutta method (Alexander 1977):
# g = 1 - 1/sqrt(2); stage one at g h, stage two at h from  y + (1 - g) h f(stage one).  Any kp, kd >= 0 is stable.
# plant is (n, 6): inertia, viscous friction, Coulomb friction, torque limit, lower and upper end of travel (inelastic).
cdef void joint_step(
    double* q, double* dq, double* ddq, double* torque, const double* law,
    const double* plant, double h, Py_ssize_t n
) noexcept nogil:
    cdef double g = 0.29289321881345248 * h
    cdef double rest = h - g
    cdef double q0, v0
    cdef Stage s
    cdef const double* p
    cdef const double* m
    cdef Py_ssize_t i
    for i in range(n):
        p = plant + 6 * i
        m = law + 3 * i
        s = implicit_stage(q[i], dq[i], m[0], m[1], m[2], p, g)
        q0 = q[i] + rest * s.velocity
        v0 = dq[i] + rest * (s.velocity - dq[i]) / g
        s = implicit_stage(q0, v0, m[0], m[1], m[2], p, g)
        q0 = q0 + g * s.velocity
        v0 = s.velocity
        if q0 < p[4]:
            q0 = p[4]
            v0 = v0 if v0 > 0.0 else 0.0
        elif q0 > p[5]:
            q0 = p[5]
            v0 = v0 if v0 < 0.0 else 0.0
        ddq[i] = (v0 - dq[i]) / h
        q[i] = q0
        dq[i] = v0
        torque[i] = s.torque
