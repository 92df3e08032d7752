"""Unit quaternions as rotations: what is too long to inline, and loops over rows of float32 or float64.

Loops compute in double and round once, so float32 results are as good as float32 can hold.
"""

from libc.math cimport M_PI, atan2, cos, fabs, fmax, isfinite, sin, sqrt

from rfx.kernels.types cimport Mat3, Quat, Vec3, real


cdef extern from "slerp.h" nogil:
    void rfx_slerp_pair(double gap2, double sum2, double t, double* w0, double* w1) noexcept
    void rfx_slerp_weights(const double* gap2, const double* sum2, const double* t,
                           double* w0, double* w1, Py_ssize_t n) noexcept


cdef extern from "rotation_rows.h" nogil:
    int rfx_mul_rows_f32(const float* a, Py_ssize_t a_step, const float* b, Py_ssize_t b_step,
                         float* out, Py_ssize_t n) noexcept
    int rfx_mul_rows_f64(const double* a, Py_ssize_t a_step, const double* b, Py_ssize_t b_step,
                         double* out, Py_ssize_t n) noexcept
    int rfx_rotate_rows_f32(const float* q, const float* v, float* out, Py_ssize_t n) noexcept
    int rfx_rotate_rows_f64(const double* q, const double* v, double* out, Py_ssize_t n) noexcept
    int rfx_affine_rows_f32(const double* m, const double* t, const float* v, float* out, Py_ssize_t n) noexcept
    int rfx_affine_rows_f64(const double* m, const double* t, const double* v, double* out, Py_ssize_t n) noexcept
    int rfx_gap_rows_f32(const float* a, Py_ssize_t a_step, const float* b, Py_ssize_t b_step,
                         double* gap2, double* sum2, Py_ssize_t n) noexcept
    int rfx_gap_rows_f64(const double* a, Py_ssize_t a_step, const double* b, Py_ssize_t b_step,
                         double* gap2, double* sum2, Py_ssize_t n) noexcept
    void rfx_blend_rows_f32(const float* a, Py_ssize_t a_step, const float* b, Py_ssize_t b_step,
                            const double* w0, const double* w1, float* out, Py_ssize_t n) noexcept
    void rfx_blend_rows_f64(const double* a, Py_ssize_t a_step, const double* b, Py_ssize_t b_step,
                            const double* w0, const double* w1, double* out, Py_ssize_t n) noexcept


cdef double DBL_TINY = 2.2250738585072014e-308  # the smallest normal double


# Euclidean length that neither overflows nor underflows on the way.
cdef double vec3_norm(Vec3 v) noexcept nogil:
    cdef double n2 = v.x * v.x + v.y * v.y + v.z * v.z, m, x, y, z
    if 1e-280 < n2 < 1e300:
        return sqrt(n2)
    m = fmax(fabs(v.x), fmax(fabs(v.y), fabs(v.z)))
    if m == 0.0 or not isfinite(m) or n2 != n2:
        return m if n2 == n2 else n2
    x = v.x / m
    y = v.y / m
    z = v.z / m
    return m * sqrt(x * x + y * y + z * z)


# Scale to unit length; false, and q as it was, for zero, subnormal (no precision left) or non-finite input.
cdef bint quat_normalize(Quat* q) noexcept nogil:
    cdef double n = quat_dot(q[0], q[0]), m = 1.0
    cdef Quat p = q[0]
    if fabs(n - 1.0) <= 2e-15:
        return True
    if not 1e-280 < n < 1e300:
        if not (isfinite(p.w) and isfinite(p.x) and isfinite(p.y) and isfinite(p.z)):
            return False
        m = fmax(fmax(fabs(p.w), fabs(p.x)), fmax(fabs(p.y), fabs(p.z)))
        if m < DBL_TINY:
            return False
        p = quat_make(p.w / m, p.x / m, p.y / m, p.z / m)
        n = quat_dot(p, p)
    n = sqrt(n)
    q[0] = quat_tidy(quat_make(p.w / n, p.x / n, p.y / n, p.z / n))
    return True


# Angle of the rotation between a and b, in [0, pi]: 4 atan2(|a - b|, |a + b|) with the closer sign of b
# (Kahan's formula for the angle between vectors; good near 0 and near pi).
cdef double quat_angle(Quat a, Quat b) noexcept nogil:
    cdef Vec3 minus = vec3_make(a.x - b.x, a.y - b.y, a.z - b.z)
    cdef Vec3 plus = vec3_make(a.x + b.x, a.y + b.y, a.z + b.z)
    cdef double gap = vec3_norm(vec3_make(vec3_norm(minus), a.w - b.w, 0.0))
    cdef double total = vec3_norm(vec3_make(vec3_norm(plus), a.w + b.w, 0.0))
    if gap <= total:
        return 4.0 * atan2(gap, total)
    return 4.0 * atan2(total, gap)


# exp of half the rotation vector: (cos(angle/2), sin(angle/2) axis). Any finite vector of finite length.
cdef Quat quat_exp(Vec3 v) noexcept nogil:
    cdef double angle = vec3_norm(v), s
    if angle < 1e-8:  # sin(a/2)/a = 1/2 - a^2/48, and a^2/48 < 1e-17
        return quat_tidy(quat_make(1.0, 0.5 * v.x, 0.5 * v.y, 0.5 * v.z))
    s = sin(0.5 * angle) / angle
    return quat_tidy(quat_make(cos(0.5 * angle), s * v.x, s * v.y, s * v.z))


# The rotation vector of length 2 atan2(|u|, |w|), in [0, pi]; atan2 keeps it good near 0 and near pi.
cdef Vec3 quat_log(Quat q) noexcept nogil:
    cdef double n = vec3_norm(vec3_make(q.x, q.y, q.z)), s = 2.0
    if n > 1e-8:  # 2 atan(n)/n = 2 - 2 n^2/3
        s = 2.0 * atan2(n, fabs(q.w)) / n
    if q.w < 0.0:
        s = -s
    return vec3_make(s * q.x, s * q.y, s * q.z)


# The axis need not be of unit length, but of a length above 0.
cdef Quat quat_from_axis_angle(Vec3 axis, double angle) noexcept nogil:
    cdef double m = fmax(fabs(axis.x), fmax(fabs(axis.y), fabs(axis.z))), s
    cdef Vec3 u = vec3_make(axis.x / m, axis.y / m, axis.z / m)
    s = sin(0.5 * angle) / sqrt(u.x * u.x + u.y * u.y + u.z * u.z)
    return quat_tidy(quat_make(cos(0.5 * angle), s * u.x, s * u.y, s * u.z))


# qz(yaw) qy(pitch) qx(roll).
cdef Quat quat_from_euler(double roll, double pitch, double yaw) noexcept nogil:
    cdef double cr = cos(0.5 * roll), sr = sin(0.5 * roll)
    cdef double cp = cos(0.5 * pitch), sp = sin(0.5 * pitch)
    cdef double cy = cos(0.5 * yaw), sy = sin(0.5 * yaw)
    cdef double cc = cp * cy, ss = sp * sy, sc = sp * cy, cs = cp * sy
    return quat_tidy(quat_make(cr * cc + sr * ss, sr * cc - cr * ss, cr * sc + sr * cs, cr * cs - sr * sc))


cdef inline double wrap(double angle) noexcept nogil:
    if angle > M_PI:
        return angle - 2.0 * M_PI
    if angle <= -M_PI:
        return angle + 2.0 * M_PI
    return angle


# Roll, pitch, yaw by half sum and half difference of roll and yaw (Bernardes and Viollet 2022), which lose nothing
# near gimbal lock. At the lock itself only one of them exists: yaw is set to 0 and roll takes the rest.
cdef Vec3 quat_to_euler(Quat q) noexcept nogil:
    cdef double a = q.w - q.y, b = q.x + q.z, c = q.w + q.y, d = q.z - q.x
    cdef double up = a * a + b * b, down = c * c + d * d
    cdef double sine = 2.0 * (q.w * q.y - q.z * q.x), half_sum, half_difference
    if up < 1e-28:
        return vec3_make(wrap(-2.0 * atan2(d, c)), 0.5 * M_PI, 0.0)
    if down < 1e-28:
        return vec3_make(wrap(2.0 * atan2(b, a)), -0.5 * M_PI, 0.0)
    half_sum = atan2(b, a)
    half_difference = atan2(d, c)
    return vec3_make(wrap(half_sum - half_difference), atan2(sine, sqrt(up * down)), wrap(half_sum + half_difference))


# Largest entry of |R R^T - 1|, and 2 where the determinant is negative (a reflection). Not finite for such input.
cdef double matrix_error(const double* m) noexcept nogil:
    cdef double worst = 0.0, e, det
    cdef int i, j
    for i in range(3):
        for j in range(i, 3):
            e = m[3 * i] * m[3 * j] + m[3 * i + 1] * m[3 * j + 1] + m[3 * i + 2] * m[3 * j + 2]
            e = fabs(e - 1.0) if i == j else fabs(e)
            if worst == worst and not e <= worst:  # a NaN stays
                worst = e
    det = m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6])
    return fmax(worst, 2.0) if det < 0.0 and worst == worst else worst


# By the largest of the four components, so that no small number is divided by (Shepperd 1978). The sign makes
# that component positive.
cdef Quat quat_from_matrix(const double* m) noexcept nogil:
    cdef double trace = m[0] + m[4] + m[8]
    cdef Quat q
    if trace >= m[0] and trace >= m[4] and trace >= m[8]:
        q = quat_make(1.0 + trace, m[7] - m[5], m[2] - m[6], m[3] - m[1])
    elif m[0] >= m[4] and m[0] >= m[8]:
        q = quat_make(m[7] - m[5], 1.0 + m[0] - m[4] - m[8], m[1] + m[3], m[2] + m[6])
    elif m[4] >= m[8]:
        q = quat_make(m[2] - m[6], m[1] + m[3], 1.0 + m[4] - m[8] - m[0], m[5] + m[7])
    else:
        q = quat_make(m[3] - m[1], m[2] + m[6], m[5] + m[7], 1.0 + m[8] - m[0] - m[4])
    quat_normalize(&q)
    return q


# Shortest way from a to b, along the great circle also beyond t = 0 and t = 1 (there as a exp(t log(a* b))).
cdef Quat quat_slerp(Quat a, Quat b, double t) noexcept nogil:
    cdef double w0, w1
    cdef Quat m = quat_make(a.w - b.w, a.x - b.x, a.y - b.y, a.z - b.z)
    cdef Quat p = quat_make(a.w + b.w, a.x + b.x, a.y + b.y, a.z + b.z)
    cdef Vec3 v
    if 0.0 <= t <= 1.0:
        rfx_slerp_pair(quat_dot(m, m), quat_dot(p, p), t, &w0, &w1)
        return quat_tidy(quat_make(w0 * a.w + w1 * b.w, w0 * a.x + w1 * b.x, w0 * a.y + w1 * b.y, w0 * a.z + w1 * b.z))
    v = quat_log(quat_mul(quat_conjugate(a), b))
    return quat_tidy(quat_mul(a, quat_exp(vec3_make(t * v.x, t * v.y, t * v.z))))


cdef inline Quat load(const real* p) noexcept nogil:
    return quat_make(p[0], p[1], p[2], p[3])


cdef inline void store(Quat q, real* out) noexcept nogil:
    out[0] = <real>q.w
    out[1] = <real>q.x
    out[2] = <real>q.y
    out[3] = <real>q.z


# One non-finite component of a factor makes every component of the product non-finite, so looking at the result is
# enough for the input too.
cdef int quat_mul_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                    real* out, Py_ssize_t n) noexcept nogil:
    if real is float:
        return BAD_QUATERNION if rfx_mul_rows_f32(a, a_step, b, b_step, out, n) else 0
    else:
        return BAD_QUATERNION if rfx_mul_rows_f64(a, a_step, b, b_step, out, n) else 0


cdef int quat_rotate_n(const real* q, Py_ssize_t q_step, const real* v, Py_ssize_t v_step,
                       real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int found = 0
    if q_step == 4 and v_step == 3:
        if real is float:
            return rfx_rotate_rows_f32(q, v, out, n)
        else:
            return rfx_rotate_rows_f64(q, v, out, n)
    for i in range(n):
        if real is float:
            found |= rfx_rotate_rows_f32(q + i * q_step, v + i * v_step, out + 3 * i, 1)
        else:
            found |= rfx_rotate_rows_f64(q + i * q_step, v + i * v_step, out + 3 * i, 1)
    return found


# out = m v + t for one row-major 3x3 matrix and many vectors: rotation of many by one, and points of one pose.
cdef int affine_n(const double* m, const double* t, const real* v, real* out, Py_ssize_t n) noexcept nogil:
    if real is float:
        return BAD_VECTOR if rfx_affine_rows_f32(m, t, v, out, n) else 0
    else:
        return BAD_VECTOR if rfx_affine_rows_f64(m, t, v, out, n) else 0


# 64 rows at a time: squared distances, then the weights (vectors, no libm), then the combination.
cdef int quat_slerp_n(const real* a, Py_ssize_t a_step, const real* b, Py_ssize_t b_step,
                      const real* t, Py_ssize_t t_step, real* out, Py_ssize_t n) noexcept nogil:
    cdef double[64] gap2
    cdef double[64] sum2
    cdef double[64] ts
    cdef double[64] w0
    cdef double[64] w1
    cdef Py_ssize_t first, k, size
    cdef int found = 0, beyond = 0
    cdef const real* p
    cdef const real* q
    for first in range(0, n, 64):
        size = n - first if n - first < 64 else 64
        p = a + first * a_step
        q = b + first * b_step
        beyond = beyond and not t_step
        if t_step or not first:
            for k in range(64 if t_step == 0 else size):
                ts[k] = t[(first + k) * t_step]
                beyond |= not 0.0 <= ts[k] <= 1.0
        if real is float:
            found |= rfx_gap_rows_f32(p, a_step, q, b_step, gap2, sum2, size)
        else:
            found |= rfx_gap_rows_f64(p, a_step, q, b_step, gap2, sum2, size)
        rfx_slerp_weights(gap2, sum2, ts, w0, w1, size)
        if real is float:
            rfx_blend_rows_f32(p, a_step, q, b_step, w0, w1, out + 4 * first, size)
        else:
            rfx_blend_rows_f64(p, a_step, q, b_step, w0, w1, out + 4 * first, size)
        if beyond:
            for k in range(size):
                if not fabs(ts[k]) <= 1e300:
                    found |= BAD_VECTOR
                elif not 0.0 <= ts[k] <= 1.0:
                    store(quat_slerp(load(p + k * a_step), load(q + k * b_step), ts[k]), out + 4 * (first + k))
    return found


cdef int quat_from_euler_n(const real* angles, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int bad = 0
    for i in range(n):
        bad |= not (isfinite(angles[3 * i]) and isfinite(angles[3 * i + 1]) and isfinite(angles[3 * i + 2]))
        store(quat_from_euler(angles[3 * i], angles[3 * i + 1], angles[3 * i + 2]), out + 4 * i)
    return BAD_VECTOR if bad else 0


cdef int quat_to_euler_n(const real* q, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0
    cdef Vec3 e
    for i in range(n):
        crooked |= not quat_is_unit(load(q + 4 * i))
        e = quat_to_euler(load(q + 4 * i))
        out[3 * i] = <real>e.x
        out[3 * i + 1] = <real>e.y
        out[3 * i + 2] = <real>e.z
    return BAD_QUATERNION if crooked else 0


cdef int quat_from_matrix_n(const real* m, double atol, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int bad = 0, k
    cdef double[9] r
    for i in range(n):
        for k in range(9):
            r[k] = m[9 * i + k]
        bad |= not (matrix_error(r) <= atol)
        store(quat_from_matrix(r), out + 4 * i)
    return BAD_VECTOR if bad else 0


cdef int quat_to_matrix_n(const real* q, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0, k
    cdef Mat3 r
    for i in range(n):
        crooked |= not quat_is_unit(load(q + 4 * i))
        r = quat_to_matrix(load(q + 4 * i))
        for k in range(9):
            out[9 * i + k] = <real>r.m[k]
    return BAD_QUATERNION if crooked else 0


cdef int quat_inverse_n(const real* q, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0
    for i in range(n):
        crooked |= not quat_is_unit(load(q + 4 * i))
        store(quat_conjugate(load(q + 4 * i)), out + 4 * i)
    return BAD_QUATERNION if crooked else 0


cdef int quat_normalize_n(const real* q, real* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int crooked = 0
    cdef Quat p
    for i in range(n):
        p = load(q + 4 * i)
        crooked |= not quat_normalize(&p)
        store(p, out + 4 * i)
    return BAD_QUATERNION if crooked else 0
