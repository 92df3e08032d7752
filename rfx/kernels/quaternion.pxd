"""Unit quaternions as rotations, scalar first: small inline functions here, the rest and the array loops in the .pyx.

``q`` and ``-q`` are the same rotation. A ``Quat`` that a function takes is of unit length unless it says otherwise.
"""

from libc.math cimport fabs, sqrt

from rfx.kernels.types cimport Mat3, Quat, Vec3, real

# What a loop over rows found wrong.
cdef enum:
    BAD_QUATERNION = 1
    BAD_VECTOR = 2

cdef inline Quat quat_make(double w, double x, double y, double z) noexcept nogil:
    cdef Quat q
    q.w = w
    q.x = x
    q.y = y
    q.z = z
    return q


cdef inline Vec3 vec3_make(double x, double y, double z) noexcept nogil:
    cdef Vec3 v
    v.x = x
    v.y = y
    v.z = z
    return v


cdef inline double quat_dot(Quat a, Quat b) noexcept nogil:
    return (a.w * b.w + a.x * b.x) + (a.y * b.y + a.z * b.z)


cdef inline Quat quat_conjugate(Quat q) noexcept nogil:
    return quat_make(q.w, -q.x, -q.y, -q.z)


# Hamilton's product of any two quaternions.
cdef inline Quat quat_mul(Quat a, Quat b) noexcept nogil:
    return quat_make(
        (a.w * b.w - a.x * b.x) - (a.y * b.y + a.z * b.z),
        (a.w * b.x + a.x * b.w) + (a.y * b.z - a.z * b.y),
        (a.w * b.y + a.y * b.w) + (a.z * b.x - a.x * b.z),
        (a.w * b.z + a.z * b.w) + (a.x * b.y - a.y * b.x),
    )


# Bring a quaternion that is all but of unit length back to it: one Newton step of 1/sqrt(n) at n = 1, that is
# q (3 - |q|^2) / 2. Within 2e-15 nothing is done, so that identity * q is q to the last bit.
cdef inline Quat quat_tidy(Quat q) noexcept nogil:
    cdef double n2 = quat_dot(q, q), s
    if fabs(n2 - 1.0) > 2e-15:
        s = 0.5 * (3.0 - n2)
        return quat_make(q.w * s, q.x * s, q.y * s, q.z * s)
    return q


# Rotate: t = 2 u x v, v + w t + u x t, with u the vector part.
cdef inline Vec3 quat_rotate(Quat q, Vec3 v) noexcept nogil:
    cdef double tx = 2.0 * (q.y * v.z - q.z * v.y)
    cdef double ty = 2.0 * (q.z * v.x - q.x * v.z)
    cdef double tz = 2.0 * (q.x * v.y - q.y * v.x)
    return vec3_make(
        v.x + q.w * tx + (q.y * tz - q.z * ty),
        v.y + q.w * ty + (q.z * tx - q.x * tz),
        v.z + q.w * tz + (q.x * ty - q.y * tx),
    )


cdef inline Mat3 quat_to_matrix(Quat q) noexcept nogil:
    cdef Mat3 r
    cdef double x2 = q.x + q.x, y2 = q.y + q.y, z2 = q.z + q.z
    cdef double xx = q.x * x2, yy = q.y * y2, zz = q.z * z2
    cdef double xy = q.x * y2, xz = q.x * z2, yz = q.y * z2
    cdef double wx = q.w * x2, wy = q.w * y2, wz = q.w * z2
    r.m[0] = 1.0 - (yy + zz)
    r.m[1] = xy - wz
    r.m[2] = xz + wy
    r.m[3] = xy + wz
    r.m[4] = 1.0 - (xx + zz)
    r.m[5] = yz - wx
    r.m[6] = xz - wy
    r.m[7] = yz + wx
    r.m[8] = 1.0 - (xx + yy)
    return r


# Whether the squared length is within 1e-3 of 1; false for NaN.
cdef inline bint quat_is_unit(Quat q) noexcept nogil:
    return fabs(quat_dot(q, q) - 1.0) <= 1e-3


cdef double vec3_norm(Vec3 v) noexcept nogil
cdef bint quat_normalize(Quat* q) noexcept nogil
cdef double quat_angle(Quat a, Quat b) noexcept nogil
cdef Quat quat_exp(Vec3 v) noexcept nogil
cdef Vec3 quat_log(Quat q) noexcept nogil
cdef Quat quat_from_axis_angle(Vec3 axis, double angle) noexcept nogil
cdef Quat quat_from_euler(double roll, double pitch, double yaw) noexcept nogil
cdef Vec3 quat_to_euler(Quat q) noexcept nogil
cdef Quat quat_from_matrix(const double* m) noexcept nogil
cdef double matrix_error(const double* m) noexcept nogil
cdef Quat quat_slerp(Quat a, Quat b, double t) noexcept nogil

# Loops over n rows. A step of 0 means one row for all, 4 (or 3) a row each. They return 0, or BAD_QUATERNION and
# BAD_VECTOR or-ed: some quaternion was not of unit length, some other number was not finite or the result too large.
cdef int quat_mul_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                    real* out, Py_ssize_t n) noexcept nogil
cdef int quat_rotate_n(const real* q, Py_ssize_t q_step, const real* v, Py_ssize_t v_step,
                       real* out, Py_ssize_t n) noexcept nogil
cdef int affine_n(const double* m, const double* t, const real* v, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_slerp_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                      const real* t, Py_ssize_t t_step, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_from_euler_n(const real* angles, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_to_euler_n(const real* q, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_from_matrix_n(const real* m, double atol, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_to_matrix_n(const real* q, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_inverse_n(const real* q, real* out, Py_ssize_t n) noexcept nogil
cdef int quat_normalize_n(const real* q, real* out, Py_ssize_t n) noexcept nogil
