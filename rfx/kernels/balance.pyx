"""Ground forces for a wanted wrench on the trunk.

With A (6, 12) the map from the forces f at the feet r to their sum and their moment,  A f = (sum f_i, sum r_i x f_i),
f minimises  (A f - b)^T S^-1 (A f - b) + sum |f_i|^2 / w_i,  that is

    f = W A^T y,    (A W A^T + S) y = b

which has an answer for any feet, also for two that cannot turn the trunk about the line between them. S is diagonal: where
it is large, that part of the wrench may be missed. A W A^T + S is symmetric and positive definite: Cholesky.
"""

from libc.math cimport sqrt


# feet (4, 3) from the centre of mass, weight (4) of each (0 leaves one out), wrench (6) force and moment, slack (6) the
# diagonal of S, all above 0. Writes force (4, 3), each within its friction cone and 0..most upwards. False for feet that are
# not finite; force is zero then.
cdef bint share_wrench(
    const double* feet, const double* weight, const double* wrench, const double* slack,
    double friction, double most, double* force
) noexcept nogil:
    cdef double[36] m
    cdef double[6] y
    cdef const double* r
    cdef double* f
    cdef int leg, i
    grasp(feet, weight, slack, m)
    for i in range(12):
        force[i] = 0.0
    for i in range(6):
        y[i] = wrench[i]
    if not solve(m, y):
        return False
    for leg in range(4):
        r = feet + 3 * leg
        f = force + 3 * leg
        # A_i^T y = y_force + y_moment x r
        f[0] = weight[leg] * (y[0] + y[4] * r[2] - y[5] * r[1])
        f[1] = weight[leg] * (y[1] + y[5] * r[0] - y[3] * r[2])
        f[2] = weight[leg] * (y[2] + y[3] * r[1] - y[4] * r[0])
        into_cone(f, friction, most)
    return True


# m (6, 6) = A W A^T + S.
cdef void grasp(const double* feet, const double* weight, const double* slack, double* m) noexcept nogil:
    cdef int leg, i, j, k
    cdef double[9] x
    cdef double w, total
    for i in range(36):
        m[i] = 0.0
    for leg in range(4):
        w = weight[leg]
        cross(feet + 3 * leg, x)
        for i in range(3):
            m[7 * i] += w
            for j in range(3):
                m[6 * (i + 3) + j] += w * x[3 * i + j]
                m[6 * j + i + 3] += w * x[3 * i + j]
                total = 0.0
                for k in range(3):
                    total += x[3 * i + k] * x[3 * j + k]
                m[6 * (i + 3) + j + 3] += w * total
    for i in range(6):
        m[7 * i] += slack[i]


# x (3, 3) with x v = r x v.
cdef inline void cross(const double* r, double* x) noexcept nogil:
    x[0] = x[4] = x[8] = 0.0
    x[1] = -r[2]
    x[2] = r[1]
    x[3] = r[2]
    x[5] = -r[0]
    x[6] = -r[1]
    x[7] = r[0]


# Solve m y = b for a symmetric, positive definite m (6, 6) by Cholesky, in place; y holds b at first. False if it is not one.
cdef bint solve(double* m, double* y) noexcept nogil:
    cdef int i, j, k
    cdef double total
    for i in range(6):
        for j in range(i + 1):
            total = m[6 * i + j]
            for k in range(j):
                total -= m[6 * i + k] * m[6 * j + k]
            if i > j:
                m[6 * i + j] = total / m[7 * j]
            elif total > 0.0:
                m[7 * i] = sqrt(total)
            else:
                return False
    for i in range(6):
        for k in range(i):
            y[i] -= m[6 * i + k] * y[k]
        y[i] /= m[7 * i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            y[i] -= m[6 * k + i] * y[k]
        y[i] /= m[7 * i]
    return True


# Keep a force upwards within 0..most and its sideways part within friction times that.
cdef inline void into_cone(double* f, double friction, double most) noexcept nogil:
    cdef double side, limit
    f[2] = 0.0 if f[2] < 0.0 else most if f[2] > most else f[2]
    side = sqrt(f[0] * f[0] + f[1] * f[1])
    limit = friction * f[2]
    if side > limit:
        f[0] *= limit / side
        f[1] *= limit / side
