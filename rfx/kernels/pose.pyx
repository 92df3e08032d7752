"""Poses: exponential, logarithm, adjoint, and loops over rows of float32 or float64 (computed in double)."""

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport atan2, fabs, sin

from rfx.kernels.quaternion cimport (
    BAD_QUATERNION,
    BAD_VECTOR,
    quat_exp,
    quat_is_unit,
    quat_log,
    quat_make,
    quat_to_matrix,
    vec3_norm,
)
from rfx.kernels.types cimport Mat3, Pose, Vec3, real


# u + s (a x u) + c (a x (a x u)).
cdef inline Vec3 blend(Vec3 a, Vec3 u, double s, double c) noexcept nogil:
    cdef Vec3 f = vec3_cross(a, u), g = vec3_cross(a, f)
    return vec3_make(u.x + s * f.x + c * g.x, u.y + s * f.y + c * g.y, u.z + s * f.z + c * g.z)


# exp (v, w) = (V v, exp w) with V = 1 + (1 - cos h)/h [a] + (1 - sin h / h) [a]^2, a = w/h, h = |w|
# (Murray, Li and Sastry 1994, eq. 2.36; 1 - cos h = 2 sin^2(h/2) keeps small angles).
cdef Pose pose_exp(const double* twist) noexcept nogil:
    cdef Pose r
    cdef Vec3 v = vec3_make(twist[0], twist[1], twist[2]), w = vec3_make(twist[3], twist[4], twist[5])
    cdef double h = vec3_norm(w), half = sin(0.5 * h)
    r.q = quat_exp(w)
    r.p = v
    if h > 1e-150:
        r.p = blend(vec3_make(w.x / h, w.y / h, w.z / h), v, 2.0 * half * half / h, 1.0 - sin(h) / h)
    return r


# The inverse of pose_exp: V^-1 = 1 - (h/2) [a] + (1 - (h/2) cot(h/2)) [a]^2, cot(h/2) = w/|u| of the quaternion (w, u).
cdef void pose_log(Pose a, double* twist) noexcept nogil:
    cdef Vec3 w = quat_log(a.q), v = a.p
    cdef double n = vec3_norm(vec3_make(a.q.x, a.q.y, a.q.z)), c = fabs(a.q.w), s = n if a.q.w >= 0.0 else -n, half
    if n > 1e-150:
        half = atan2(n, c)
        v = blend(vec3_make(a.q.x / s, a.q.y / s, a.q.z / s), v, -half, 1.0 - half * c / n)
    twist[0] = v.x
    twist[1] = v.y
    twist[2] = v.z
    twist[3] = w.x
    twist[4] = w.y
    twist[5] = w.z


# [[R, [p] R], [0, R]], row-major 6x6, for twists with the linear part first.
cdef void pose_adjoint(Pose a, double* out) noexcept nogil:
    cdef Mat3 r = quat_to_matrix(a.q)
    cdef Vec3 c
    cdef int i, j
    for j in range(3):
        c = vec3_cross(a.p, vec3_make(r.m[j], r.m[3 + j], r.m[6 + j]))
        out[3 + j] = c.x
        out[9 + j] = c.y
        out[15 + j] = c.z
        for i in range(3):
            out[6 * i + j] = r.m[3 * i + j]
            out[6 * (i + 3) + j] = 0.0
            out[6 * (i + 3) + j + 3] = r.m[3 * i + j]


cdef inline Pose load(const real* p) noexcept nogil:
    cdef Pose r
    r.p = vec3_make(p[0], p[1], p[2])
    r.q = quat_make(p[3], p[4], p[5], p[6])
    return r


cdef inline void store(Pose a, real* out) noexcept nogil:
    out[0] = <real>a.p.x
    out[1] = <real>a.p.y
    out[2] = <real>a.p.z
    out[3] = <real>a.q.w
    out[4] = <real>a.q.x
    out[5] = <real>a.q.y
    out[6] = <real>a.q.z


cdef inline bint in_range(Vec3 v, const real* kind) noexcept nogil:
    cdef double limit = FLT_MAX if real is float else DBL_MAX
    return fabs(v.x) + fabs(v.y) + fabs(v.z) <= limit


cdef int pose_compose_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                        real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0, bad = 0
    cdef Pose p, q, r
    for i in range(n):
        p = load(a + i * a_step)
        q = load(b + i * b_step)
        r = pose_compose(p, q)
        crooked |= (not quat_is_unit(p.q)) | (not quat_is_unit(q.q))
        bad |= not in_range(r.p, a)
        store(r, out + 7 * i)
    return (BAD_QUATERNION if crooked else 0) | (BAD_VECTOR if bad else 0)


cdef int pose_inverse_n(const real* a, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0, bad = 0
    cdef Pose p, r
    for i in range(n):
        p = load(a + 7 * i)
        r = pose_inverse(p)
        crooked |= not quat_is_unit(p.q)
        bad |= not in_range(r.p, a)
        store(r, out + 7 * i)
    return (BAD_QUATERNION if crooked else 0) | (BAD_VECTOR if bad else 0)


cdef int pose_apply_n(const real* a, Py_ssize_t a_step, const real* v, Py_ssize_t v_step,
                      real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0, bad = 0
    cdef Pose p
    cdef Vec3 r
    cdef const real* u
    for i in range(n):
        p = load(a + i * a_step)
        u = v + i * v_step
        r = pose_apply(p, vec3_make(u[0], u[1], u[2]))
        crooked |= not quat_is_unit(p.q)
        bad |= not in_range(r, a)
        out[3 * i] = <real>r.x
        out[3 * i + 1] = <real>r.y
        out[3 * i + 2] = <real>r.z
    return (BAD_QUATERNION if crooked else 0) | (BAD_VECTOR if bad else 0)
