"""The safety envelope of motors with a position and velocity loop.

A command is (5, n) as in kernels/motor: q, dq, tau, kp, kd, and it is changed in place. The motor's law is
torque = kp (q_des - q) + kd (dq_des - dq) + tau, without the terms whose target stands for none. All that leaves here is
a float, as on the wire, and every bound holds for the floats: what is clamped is rounded to the safe side.
"""

from libc.math cimport NAN, acos, fabs, isfinite
from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "<math.h>" nogil:
    float nextafterf(float, float)

# What the robot's firmware takes for "no command".
cdef double NO_POSITION = 2.146e9
cdef double NO_VELOCITY = 16000.0

# A joint that rests on its stop is measured a little beyond it: a target may be as far out as the joint is, up to this (rad).
cdef double SLACK = 0.05


# Round to the commands' floats, and see whether damping is due. Marks are set anew, (n,); returns those of all motors and
# of the robot together. A NaN in what was measured is a reason of its own; one in what limits compare with never passes.
cdef uint32_t envelope_check(
    double* command, const EnvelopeMeasured* measured, const EnvelopeBounds* bounds, uint32_t* marks, Py_ssize_t n
) noexcept nogil:
    cdef const EnvelopeMeasured* m = measured
    cdef const double* a = m.quaternion
    cdef double norm = a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3]
    cdef double up = a[0] * a[0] - a[1] * a[1] - a[2] * a[2] + a[3] * a[3]
    cdef uint32_t seen = 0
    cdef Py_ssize_t i
    if not (isfinite(norm) and norm > 0.25 and up >= bounds.cos_tilt * norm):
        seen |= 1 << ENV_TILT
    if m.age_ns > bounds.stale_ns or m.age_ns < 0:
        seen |= 1 << ENV_STALE
    for i in range(n):
        marks[i] = 0
    for i in range(5 * n):
        command[i] = <float>command[i]
        if not isfinite(command[i]) or (i >= 3 * n and command[i] < 0.0):
            marks[i % n] |= 1 << ENV_COMMAND
    for i in range(n):
        if not (isfinite(m.q[i]) and isfinite(m.dq[i]) and isfinite(m.tau_est[i]) and isfinite(m.temperature[i])):
            marks[i] |= 1 << ENV_MEASURED
        if fabs(m.dq[i]) > bounds.joint[2 * n + i]:
            marks[i] |= 1 << ENV_OVERSPEED
        if m.temperature[i] >= bounds.temperature:
            marks[i] |= 1 << ENV_TEMPERATURE
        if m.losses[i] >= bounds.losses:
            marks[i] |= 1 << ENV_LOST
        seen |= marks[i]
    return seen


# The float next to x that is no further from `goal` than x is.
cdef inline double toward(double x, double goal) noexcept nogil:
    cdef float f = <float>x
    if fabs(f - goal) > fabs(x - goal):
        f = nextafterf(f, <float>goal)
    return f


cdef inline double clip(double x, double low, double high) noexcept nogil:
    return low if x < low else high if x > high else x


# By how much a torque beyond its limit is to become smaller, with its sign. One part in a million more than needed: the
# roundings that follow then stay inside, and what has been bounded once is not touched again.
cdef inline double excess(double torque, double most) noexcept nogil:
    cdef double aim = most * 0.999999
    return torque - aim if torque > most else torque + aim if torque < -most else 0.0


# What is left of a term when the torque is to become smaller by e: nothing below zero, all of it where the signs differ.
cdef inline double shrink(double term, double e) noexcept nogil:
    if term * e <= 0.0:
        return term
    return term - e if fabs(e) < fabs(term) else 0.0


# Bring |tau| and then |p + tau + d| to the limit, p = kp (q* - q), d = kd (dq* - dq): first q* goes towards q, as far as
# travel allows, then tau towards zero, then dq* towards dq, and what is left (q out of its travel) is taken from kp.
cdef inline bint bound_torque(
    double* q_des, double* dq_des, double* tau, double* kp, double kd, double q, double dq,
    double low, double high, double most
) noexcept nogil:
    cdef double p = kp[0] * (q_des[0] - q) if kp[0] > 0.0 else 0.0
    cdef double d = kd * (dq_des[0] - dq) if kd > 0.0 else 0.0
    cdef double asked = tau[0], e
    tau[0] = asked if fabs(asked) <= most else toward(most if asked > 0.0 else -most, 0.0)
    e = excess(p + tau[0] + d, most)
    if e == 0.0:
        return tau[0] != asked
    if p * e > 0.0:
        q_des[0] = clip(toward(q + shrink(p, e) / kp[0], q), low, high)
        p = kp[0] * (q_des[0] - q)
        e = excess(p + tau[0] + d, most)
    if tau[0] * e > 0.0:
        tau[0] = toward(shrink(tau[0], e), 0.0)
        e = excess(p + tau[0] + d, most)
    if d * e > 0.0:
        dq_des[0] = toward(dq + shrink(d, e) / kd, dq)
        d = kd * (dq_des[0] - dq)
        e = excess(p + tau[0] + d, most)
    if p * e > 0.0:
        kp[0] = toward(kp[0] * (shrink(p, e) / p), 0.0)
    return True


# Bring one motor's command inside. `last` is the target that was sent to it last, NaN when there was none: the measured
# position stands in. Positions are clamped to the travel first, so that a step always ends inside of it.
cdef inline uint32_t clamp_motor(
    double* c, double* last, double q, double dq, const double* b, Py_ssize_t n
) noexcept nogil:
    cdef double low = toward(clip(q, b[0] - SLACK, b[0]), b[0]), high = toward(clip(q, b[n], b[n] + SLACK), b[n]), x, base
    cdef uint32_t did = 0
    x = clip(c[3 * n], 0.0, b[5 * n] if c[0] < NO_POSITION else 0.0)
    base = clip(c[4 * n], 0.0, b[6 * n] if c[n] < NO_VELOCITY else 0.0)
    if x != c[3 * n] or base != c[4 * n]:
        did |= 1 << ENV_GAIN
        c[3 * n] = x
        c[4 * n] = base
    if c[0] < NO_POSITION:
        x = clip(c[0], low, high)
        if x != c[0]:
            did |= 1 << ENV_POSITION
        if c[3 * n] > 0.0:
            base = clip(q if last[0] != last[0] else last[0], low, high)
            if fabs(x - base) > b[4 * n]:
                x = clip(toward(base + (b[4 * n] if x > base else -b[4 * n]), base), low, high)
                did |= 1 << ENV_STEP
        c[0] = x
    if c[n] < NO_VELOCITY and fabs(c[n]) > b[2 * n]:
        c[n] = toward(b[2 * n] if c[n] > 0.0 else -b[2 * n], 0.0)
        did |= 1 << ENV_VELOCITY
    if bound_torque(c, c + n, c + 2 * n, c + 3 * n, c[4 * n], q, dq, low, high, b[3 * n]):
        did |= 1 << ENV_TORQUE
    last[0] = c[0] if c[3 * n] > 0.0 else NAN
    return did


# Bring a checked command inside of the bounds; marks are added to, `last` (n,) is renewed. Returns the marks together.
cdef uint32_t envelope_clamp(
    double* command, double* last, const EnvelopeMeasured* measured, const EnvelopeBounds* bounds, uint32_t* marks,
    Py_ssize_t n
) noexcept nogil:
    cdef uint32_t did, seen = 0
    cdef Py_ssize_t i
    for i in range(n):
        did = clamp_motor(command + i, last + i, measured.q[i], measured.dq[i], bounds.joint + i, n)
        marks[i] |= did
        seen |= did
    return seen


# No position, no stiffness, kd against the motor's turning. The next command starts from the measured posture.
cdef void envelope_damping(double* command, double* last, double kd, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        command[i] = NO_POSITION
        command[n + i] = 0.0
        command[2 * n + i] = 0.0
        command[3 * n + i] = 0.0
        command[4 * n + i] = kd
        last[i] = NAN


# A new state has come: count in how many in a row the robot's counter `lost` of each motor has risen.
cdef void envelope_losses(int32_t* losses, uint32_t* before, const uint32_t* lost, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if lost[i] <= before[i]:
            losses[i] = 0
        elif losses[i] < 0x7FFFFFFF:
            losses[i] += 1
        before[i] = lost[i]


# Add one to each kind that was marked, counts is (ENV_KINDS, n); the robot's own kinds go to the first motor's column.
cdef void envelope_count(int64_t* counts, const uint32_t* marks, uint32_t all, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, k
    if all == 0 or n == 0:
        return
    for k in range(ENV_KINDS):
        if k >= ENV_PER_JOINT:
            counts[k * n] += (all >> k) & 1
            continue
        if (all >> k) & 1:
            for i in range(n):
                counts[k * n + i] += (marks[i] >> k) & 1


# What the motor gives for its column of a (5, n) command at q and dq, without its own limit.
cdef double motor_torque(const double* c, double q, double dq, Py_ssize_t n) noexcept nogil:
    cdef double torque = c[2 * n]
    if c[3 * n] > 0.0 and c[0] < NO_POSITION:
        torque += c[3 * n] * (c[0] - q)
    if c[4 * n] > 0.0 and c[n] < NO_VELOCITY:
        torque += c[4 * n] * (c[n] - dq)
    return torque


# Describe a kind at motor i: targets, speeds, gains or torques before and after, or the measurement that brought damping.
cdef EnvelopeEvent envelope_joint_event(
    const double* asked, const double* sent, const EnvelopeMeasured* m, Py_ssize_t i, Py_ssize_t kind, Py_ssize_t n
) noexcept nogil:
    cdef EnvelopeEvent e
    cdef Py_ssize_t at = i
    e.joint, e.kind, e.tick, e.asked, e.sent = <int32_t>i, <int32_t>kind, 0, NAN, NAN
    if kind == ENV_TORQUE:
        e.asked = motor_torque(asked + i, m.q[i], m.dq[i], n)
        e.sent = motor_torque(sent + i, m.q[i], m.dq[i], n)
    elif kind <= ENV_GAIN:
        if kind == ENV_VELOCITY:
            at += n
        elif kind == ENV_GAIN:
            at += 3 * n if asked[3 * n + i] != sent[3 * n + i] else 4 * n
        e.asked = asked[at]
        e.sent = sent[at]
    elif kind == ENV_OVERSPEED:
        e.asked = m.dq[i]
    elif kind == ENV_TEMPERATURE:
        e.asked = m.temperature[i]
    elif kind == ENV_LOST:
        e.asked = m.losses[i]
    return e


# Describe a kind of the robot's own: its tilt (rad) or the age of the state (s).
cdef EnvelopeEvent envelope_robot_event(const EnvelopeMeasured* m, Py_ssize_t kind) noexcept nogil:
    cdef EnvelopeEvent e
    cdef const double* a = m.quaternion
    cdef double norm = a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3]
    cdef double up = a[0] * a[0] - a[1] * a[1] - a[2] * a[2] + a[3] * a[3]
    e.joint, e.kind, e.tick, e.sent = -1, <int32_t>kind, 0, NAN
    e.asked = acos(clip(up / norm, -1.0, 1.0)) if kind == ENV_TILT else 1e-9 * <double>m.age_ns
    return e
