"""How fast a trunk moves, from its inertial unit and the legs that stand.

All in the trunk's frame, with u the direction upwards, w the gyroscope, a the accelerometer (specific force). In time

    dv/dt = a - g u - w x v

A foot that stands does not slip: it is a ball of radius r that rolls on the floor, its centre moves with  w_c x r u,  w_c being
the turn of its calf. So each leg that stands says how fast the trunk is:

    v_i = w_c x r u - w x p_i - J_i dq_i

The estimate follows the first equation and is pulled to the legs,  v += dt k sum(c_i (v_i - v)) / max(1, sum c_i).  The trust
c_i grows from 0 to 1 with the force on the foot, and falls as  1 / (1 + |v_i - v|^2 / e^2)  for a leg that disagrees: a foot
that has just come down, or slips. After Bloesch et al., "State estimation for legged robots" (2012), without the covariances.
"""

from libc.math cimport cos, fabs, sin

from rfx.kernels.leg cimport leg_forward, leg_jacobian

cdef double GRAVITY = 9.81


# One measurement, dt (s) after the last: velocity (3) goes on. trust (4) says how much of each leg was used. False for numbers
# that are not finite or not a robot's; velocity is as it was then. With no force on any foot it is integrated only.
cdef bint odometry_tick(
    const OdometryPlan* plan, const double* q, const double* dq, const double* quaternion, const double* gyro,
    const double* accel, const double* force, double dt, double* velocity, double* trust
) noexcept nogil:
    cdef double[3] up
    cdef double[3] v
    cdef double[3] pull
    cdef double[12] legs
    cdef double total = 0.0, off
    cdef int leg, i
    cdef double w = quaternion[0], x = quaternion[1], y = quaternion[2], z = quaternion[3]
    up[0], up[1], up[2] = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)
    leg_velocities(plan, q, dq, gyro, up, legs)
    v[0] = velocity[0] + dt * (accel[0] - GRAVITY * up[0] - gyro[1] * velocity[2] + gyro[2] * velocity[1])
    v[1] = velocity[1] + dt * (accel[1] - GRAVITY * up[1] - gyro[2] * velocity[0] + gyro[0] * velocity[2])
    v[2] = velocity[2] + dt * (accel[2] - GRAVITY * up[2] - gyro[0] * velocity[1] + gyro[1] * velocity[0])
    for i in range(3):
        pull[i] = 0.0
    for leg in range(4):
        off = 0.0
        for i in range(3):
            off += (legs[3 * leg + i] - v[i]) * (legs[3 * leg + i] - v[i])
        trust[leg] = min(max((force[leg] - plan.light) / (plan.firm - plan.light), 0.0), 1.0)
        trust[leg] /= 1.0 + off / (plan.doubt * plan.doubt)
        total += trust[leg]
        for i in range(3):
            pull[i] += trust[leg] * (legs[3 * leg + i] - v[i])
    off = min(1.0, dt * plan.pull) / max(1.0, total)
    total = fabs(w) + fabs(x) + fabs(y) + fabs(z)
    for i in range(3):
        v[i] += off * pull[i]
        total += fabs(v[i])
    if not total < 1e3:
        return False
    for i in range(3):
        velocity[i] = v[i]
    return True


# velocities (4, 3): what each leg says of the trunk if its foot stands.
cdef void leg_velocities(
    const OdometryPlan* plan, const double* q, const double* dq, const double* gyro, const double* up, double* velocities
) noexcept nogil:
    cdef double[12] feet
    cdef double[36] jacobian
    cdef double[3] turn
    cdef double bend
    cdef const double* p
    cdef const double* j
    cdef int leg, i
    leg_forward(&plan.shape, q, feet)
    leg_jacobian(&plan.shape, q, jacobian)
    for leg in range(4):
        p, j = feet + 3 * leg, jacobian + 9 * leg
        bend = dq[3 * leg + 1] + dq[3 * leg + 2]  # about the axis (0, cos hip, sin hip)
        turn[0] = gyro[0] + dq[3 * leg]
        turn[1] = gyro[1] + bend * cos(q[3 * leg])
        turn[2] = gyro[2] + bend * sin(q[3 * leg])
        cross(turn, up, velocities + 3 * leg)
        cross(gyro, p, turn)
        for i in range(3):
            velocities[3 * leg + i] = (
                plan.radius * velocities[3 * leg + i] - turn[i]
                - j[3 * i] * dq[3 * leg] - j[3 * i + 1] * dq[3 * leg + 1] - j[3 * i + 2] * dq[3 * leg + 2]
            )


cdef inline void cross(const double* a, const double* b, double* out) noexcept nogil:
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
