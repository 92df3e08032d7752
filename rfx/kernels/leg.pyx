"""Where the feet are, how they move, and which joint angles put them somewhere.

With s1 = sin q1, c12 = cos(q1 + q2) and so on, the foot lies in the plane of its leg (x forwards, z up, d to the side) at

    x = -L1 s1 + f c12 - L2 s12        z = -L1 c1 - f s12 - L2 c12        d = +-side

and in the trunk at  hip + (x, c0 d - s0 z, s0 d + c0 z). The inverse takes the branch with the foot below the hip and the
knee bent backwards: the only one within the Go2's travel.
"""

from libc.math cimport acos, atan2, cos, fabs, sin, sqrt


cdef inline double front(int leg) noexcept nogil:
    return 1.0 if leg < 2 else -1.0


cdef inline double left(int leg) noexcept nogil:
    return 1.0 if leg & 1 else -1.0


# feet (4, 3) in the trunk from q (12).
cdef void leg_forward(const LegShape* shape, const double* q, double* feet) noexcept nogil:
    cdef int leg
    cdef double c0, s0, a, b, x, z, d
    for leg in range(4):
        a = q[3 * leg + 1]
        b = a + q[3 * leg + 2]
        c0 = cos(q[3 * leg])
        s0 = sin(q[3 * leg])
        x = -shape.thigh * sin(a) + shape.foot * cos(b) - shape.calf * sin(b)
        z = -shape.thigh * cos(a) - shape.foot * sin(b) - shape.calf * cos(b)
        d = shape.side * left(leg)
        feet[3 * leg] = shape.hip_x * front(leg) + x
        feet[3 * leg + 1] = shape.hip_y * left(leg) + c0 * d - s0 * z
        feet[3 * leg + 2] = s0 * d + c0 * z


# jacobian (4, 3, 3): d feet[leg, i] / d q[leg, j], row-major.
cdef void leg_jacobian(const LegShape* shape, const double* q, double* jacobian) noexcept nogil:
    cdef int leg
    cdef double c0, s0, a, b, z, d, xa, za, xb, zb
    cdef double* j
    for leg in range(4):
        j = jacobian + 9 * leg
        a = q[3 * leg + 1]
        b = a + q[3 * leg + 2]
        c0 = cos(q[3 * leg])
        s0 = sin(q[3 * leg])
        xb = -shape.foot * sin(b) - shape.calf * cos(b)  # d x / d q2
        zb = -shape.foot * cos(b) + shape.calf * sin(b)
        xa = xb - shape.thigh * cos(a)  # d x / d q1
        za = zb + shape.thigh * sin(a)
        z = -shape.thigh * cos(a) + xb
        d = shape.side * left(leg)
        j[0] = 0.0
        j[1] = xa
        j[2] = xb
        j[3] = -s0 * d - c0 * z
        j[4] = -s0 * za
        j[5] = -s0 * zb
        j[6] = c0 * d - s0 * z
        j[7] = c0 * za
        j[8] = c0 * zb


# q (12) from feet (4, 3). Returns the legs that cannot reach theirs as bits 1, 2, 4, 8; they point to it, stretched or
# folded as far as they go.
cdef int leg_inverse(const LegShape* shape, const double* feet, double* q) noexcept nogil:
    cdef int leg, missed = 0
    cdef double calf = sqrt(shape.calf * shape.calf + shape.foot * shape.foot), bend = atan2(-shape.foot, shape.calf)
    cdef double x, y, z, d, below, cosine, knee
    for leg in range(4):
        x = feet[3 * leg] - shape.hip_x * front(leg)
        y = feet[3 * leg + 1] - shape.hip_y * left(leg)
        z = feet[3 * leg + 2]
        d = shape.side * left(leg)
        below = y * y + z * z - d * d
        if below < 0.0:
            missed |= 1 << leg
            below = 0.0
        below = -sqrt(below)
        cosine = (x * x + below * below - shape.thigh * shape.thigh - calf * calf) / (2.0 * shape.thigh * calf)
        if fabs(cosine) > 1.0:
            missed |= 1 << leg
            cosine = 1.0 if cosine > 0.0 else -1.0
        knee = -acos(cosine)
        q[3 * leg] = turn(atan2(z, y) - atan2(below, d))
        q[3 * leg + 1] = turn(atan2(-x, -below) - atan2(calf * sin(knee), shape.thigh + calf * cos(knee)))
        q[3 * leg + 2] = knee - bend
    return missed


# An angle within -pi..pi from one within -2 pi..2 pi.
cdef inline double turn(double angle) noexcept nogil:
    cdef double pi = 3.141592653589793
    if angle > pi:
        return angle - 2.0 * pi
    if angle < -pi:
        return angle + 2.0 * pi
    return angle


# One leg: joint torques (3) that make the foot push with a force (3) in the trunk, J^T f.
cdef void leg_torque(const double* jacobian, const double* force, double* tau) noexcept nogil:
    cdef int i
    for i in range(3):
        tau[i] = jacobian[i] * force[0] + jacobian[3 + i] * force[1] + jacobian[6 + i] * force[2]


# One leg: joint rates (3) that move the foot with a velocity (3), J^-1 v by Cramer's rule. False, and zeros, near a
# singular pose (stretched leg, foot under the hip's axis).
cdef bint leg_rates(const double* jacobian, const double* velocity, double* dq) noexcept nogil:
    cdef const double* j = jacobian
    cdef const double* v = velocity
    cdef double a = j[4] * j[8] - j[5] * j[7], b = j[5] * j[6] - j[3] * j[8], c = j[3] * j[7] - j[4] * j[6]
    cdef double det = j[0] * a + j[1] * b + j[2] * c
    dq[0] = dq[1] = dq[2] = 0.0
    if fabs(det) < 1e-4:
        return False
    dq[0] = (a * v[0] + (j[2] * j[7] - j[1] * j[8]) * v[1] + (j[1] * j[5] - j[2] * j[4]) * v[2]) / det
    dq[1] = (b * v[0] + (j[0] * j[8] - j[2] * j[6]) * v[1] + (j[2] * j[3] - j[0] * j[5]) * v[2]) / det
    dq[2] = (c * v[0] + (j[1] * j[6] - j[0] * j[7]) * v[1] + (j[0] * j[4] - j[1] * j[3]) * v[2]) / det
    return True
