"""Poses, p_world = q p_body q* + p: small inline functions here, the rest and the array loops in the .pyx.

A row of a pose array is ``x y z qw qx qy qz``. A twist is ``vx vy vz wx wy wz``: linear part first.
"""

from rfx.kernels.quaternion cimport quat_conjugate, quat_mul, quat_rotate, quat_tidy, vec3_make
from rfx.kernels.types cimport Pose, Vec3, real


cdef inline Vec3 vec3_add(Vec3 a, Vec3 b) noexcept nogil:
    return vec3_make(a.x + b.x, a.y + b.y, a.z + b.z)


cdef inline Vec3 vec3_cross(Vec3 a, Vec3 b) noexcept nogil:
    return vec3_make(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


# a b: apply b first.
cdef inline Pose pose_compose(Pose a, Pose b) noexcept nogil:
    cdef Pose r
    r.p = vec3_add(quat_rotate(a.q, b.p), a.p)
    r.q = quat_tidy(quat_mul(a.q, b.q))
    return r


cdef inline Pose pose_inverse(Pose a) noexcept nogil:
    cdef Pose r
    cdef Vec3 p
    r.q = quat_conjugate(a.q)
    p = quat_rotate(r.q, a.p)
    r.p = vec3_make(-p.x, -p.y, -p.z)
    return r


cdef inline Vec3 pose_apply(Pose a, Vec3 v) noexcept nogil:
    return vec3_add(quat_rotate(a.q, v), a.p)


cdef Pose pose_exp(const double* twist) noexcept nogil
cdef void pose_log(Pose a, double* twist) noexcept nogil
cdef void pose_adjoint(Pose a, double* out) noexcept nogil

# Loops over n rows; step 0 means one row for all. Results as in rfx.kernels.quaternion: 0, BAD_QUATERNION | BAD_VECTOR.
cdef int pose_compose_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                        real* out, Py_ssize_t n) noexcept nogil
cdef int pose_inverse_n(const real* a, real* out, Py_ssize_t n) noexcept nogil
cdef int pose_apply_n(const real* a, Py_ssize_t a_step, const real* v, Py_ssize_t v_step,
                      real* out, Py_ssize_t n) noexcept nogil
