/* Hot loops over rows of quaternions and vectors, written so that a compiler makes vectors of them: constant steps,
 * no branch, no alias, one flag at the end. Each exists for float and double; both compute in double.
 * Contraction is off, so each instruction set gives the same bytes.
 */
#ifndef RFX_ROTATION_ROWS_H
#define RFX_ROTATION_ROWS_H

#include <Python.h>
#include <math.h>

#include "clones.h"

#if defined(__GNUC__)
#define RFX_INLINE static inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define RFX_INLINE static __forceinline
#else
#define RFX_INLINE static inline
#endif

typedef long long rfx_flag; /* as wide as a double: masks need no conversion */

#define RFX_ROWS(REAL, SUFFIX, LIMIT)                                                                                     \
    /* Hamilton's product, rows of a and b at their steps (0 or 4). */                                                    \
    RFX_INLINE rfx_flag rfx_mul_##SUFFIX(const REAL *restrict a, Py_ssize_t a_step, const REAL *restrict b, Py_ssize_t b_step,\
                                         REAL *restrict out, Py_ssize_t n)                                                \
    {                                                                                                                     \
        rfx_flag bad = 0;                                                                                                 \
        for (Py_ssize_t i = 0; i < n; i++) {                                                                              \
            double aw = a[i * a_step], ax = a[i * a_step + 1], ay = a[i * a_step + 2], az = a[i * a_step + 3];            \
            double bw = b[i * b_step], bx = b[i * b_step + 1], by = b[i * b_step + 2], bz = b[i * b_step + 3];            \
            double w = (aw * bw - ax * bx) - (ay * by + az * bz);                                                         \
            double x = (aw * bx + ax * bw) + (ay * bz - az * by);                                                         \
            double y = (aw * by + ay * bw) + (az * bx - ax * bz);                                                         \
            double z = (aw * bz + az * bw) + (ax * by - ay * bx);                                                         \
            bad |= !(fabs(w) + fabs(x) + fabs(y) + fabs(z) <= LIMIT);                                                     \
            out[4 * i] = (REAL)w;                                                                                         \
            out[4 * i + 1] = (REAL)x;                                                                                     \
            out[4 * i + 2] = (REAL)y;                                                                                     \
            out[4 * i + 3] = (REAL)z;                                                                                     \
        }                                                                                                                 \
        return bad;                                                                                                       \
    }                                                                                                                     \
    RFX_CLONES static int rfx_mul_rows_##SUFFIX(const REAL *a, Py_ssize_t a_step, const REAL *b, Py_ssize_t b_step, REAL *out,\
                                                Py_ssize_t n)                                                             \
    {                                                                                                                     \
        if (a_step == 4 && b_step == 4)                                                                                   \
            return rfx_mul_##SUFFIX(a, 4, b, 4, out, n) != 0;                                                             \
        if (a_step == 0 && b_step == 4)                                                                                   \
            return rfx_mul_##SUFFIX(a, 0, b, 4, out, n) != 0;                                                             \
        return rfx_mul_##SUFFIX(a, a_step, b, b_step, out, n) != 0;                                                       \
    }                                                                                                                     \
    /* Squared |a - b| and |a + b| of at most 64 rows, and whether some row is not of unit length within 1e-3. */         \
    RFX_INLINE rfx_flag rfx_gap_##SUFFIX(const REAL *restrict a, Py_ssize_t a_step, const REAL *restrict b, Py_ssize_t b_step,\
                                         double *restrict gap2, double *restrict sum2, Py_ssize_t n)                      \
    {                                                                                                                     \
        rfx_flag bad = 0;                                                                                                 \
        for (Py_ssize_t i = 0; i < n; i++) {                                                                              \
            double aw = a[i * a_step], ax = a[i * a_step + 1], ay = a[i * a_step + 2], az = a[i * a_step + 3];            \
            double bw = b[i * b_step], bx = b[i * b_step + 1], by = b[i * b_step + 2], bz = b[i * b_step + 3];            \
            double mw = aw - bw, mx = ax - bx, my = ay - by, mz = az - bz;                                                \
            double pw = aw + bw, px = ax + bx, py = ay + by, pz = az + bz;                                                \
            double na = (aw * aw + ax * ax) + (ay * ay + az * az), nb = (bw * bw + bx * bx) + (by * by + bz * bz);        \
            gap2[i] = (mw * mw + mx * mx) + (my * my + mz * mz);                                                          \
            sum2[i] = (pw * pw + px * px) + (py * py + pz * pz);                                                          \
            bad |= !(fabs(na - 1.0) <= 1e-3);                                                                             \
            bad |= !(fabs(nb - 1.0) <= 1e-3);                                                                             \
        }                                                                                                                 \
        return bad;                                                                                                       \
    }                                                                                                                     \
    RFX_CLONES static int rfx_gap_rows_##SUFFIX(const REAL *a, Py_ssize_t a_step, const REAL *b, Py_ssize_t b_step, double *gap2,\
                                                double *sum2, Py_ssize_t n)                                               \
    {                                                                                                                     \
        if (a_step == 4 && b_step == 4)                                                                                   \
            return rfx_gap_##SUFFIX(a, 4, b, 4, gap2, sum2, n) != 0;                                                      \
        return rfx_gap_##SUFFIX(a, a_step, b, b_step, gap2, sum2, n) != 0;                                                \
    }                                                                                                                     \
    /* out = w0 a + w1 b. */                                                                                              \
    RFX_INLINE void rfx_blend_##SUFFIX(const REAL *restrict a, Py_ssize_t a_step, const REAL *restrict b, Py_ssize_t b_step,\
                                       const double *restrict w0, const double *restrict w1, REAL *restrict out,          \
                                       Py_ssize_t n)                                                                      \
    {                                                                                                                     \
        for (Py_ssize_t i = 0; i < n; i++)                                                                                \
            for (int k = 0; k < 4; k++)                                                                                   \
                out[4 * i + k] = (REAL)(w0[i] * a[i * a_step + k] + w1[i] * b[i * b_step + k]);                           \
    }                                                                                                                     \
    RFX_CLONES static void rfx_blend_rows_##SUFFIX(const REAL *a, Py_ssize_t a_step, const REAL *b, Py_ssize_t b_step,    \
                                                   const double *w0, const double *w1, REAL *out, Py_ssize_t n)           \
    {                                                                                                                     \
        if (a_step == 4 && b_step == 4)                                                                                   \
            rfx_blend_##SUFFIX(a, 4, b, 4, w0, w1, out, n);                                                               \
        else                                                                                                              \
            rfx_blend_##SUFFIX(a, a_step, b, b_step, w0, w1, out, n);                                                     \
    }                                                                                                                     \
    /* out = m v + t for a row-major 3x3 matrix. */                                                                       \
    RFX_CLONES static int rfx_affine_rows_##SUFFIX(const double *m, const double *t, const REAL *restrict v,              \
                                                   REAL *restrict out, Py_ssize_t n)                                      \
    {                                                                                                                     \
        const double a = m[0], b = m[1], c = m[2], d = m[3], e = m[4], f = m[5], g = m[6], h = m[7], k = m[8];            \
        const double p = t[0], q = t[1], r = t[2];                                                                        \
        rfx_flag bad = 0;                                                                                                 \
        for (Py_ssize_t i = 0; i < n; i++) {                                                                              \
            double vx = v[3 * i], vy = v[3 * i + 1], vz = v[3 * i + 2];                                                   \
            double x = (a * vx + b * vy) + (c * vz + p);                                                                  \
            double y = (d * vx + e * vy) + (f * vz + q);                                                                  \
            double z = (g * vx + h * vy) + (k * vz + r);                                                                  \
            bad |= !(fabs(x) + fabs(y) + fabs(z) <= LIMIT);                                                               \
            out[3 * i] = (REAL)x;                                                                                         \
            out[3 * i + 1] = (REAL)y;                                                                                     \
            out[3 * i + 2] = (REAL)z;                                                                                     \
        }                                                                                                                 \
        return bad != 0;                                                                                                  \
    }                                                                                                                     \
    /* q v q* with t = 2 u x v, v + w t + u x t; bit 1: not of unit length, bit 2: not finite. */                         \
    RFX_CLONES static int rfx_rotate_rows_##SUFFIX(const REAL *restrict q, const REAL *restrict v,                        \
                                                   REAL *restrict out, Py_ssize_t n)                                      \
    {                                                                                                                     \
        rfx_flag crooked = 0, bad = 0;                                                                                    \
        for (Py_ssize_t i = 0; i < n; i++) {                                                                              \
            double w = q[4 * i], x = q[4 * i + 1], y = q[4 * i + 2], z = q[4 * i + 3];                                    \
            double vx = v[3 * i], vy = v[3 * i + 1], vz = v[3 * i + 2];                                                   \
            double tx = 2.0 * (y * vz - z * vy), ty = 2.0 * (z * vx - x * vz), tz = 2.0 * (x * vy - y * vx);              \
            double rx = vx + w * tx + (y * tz - z * ty);                                                                  \
            double ry = vy + w * ty + (z * tx - x * tz);                                                                  \
            double rz = vz + w * tz + (x * ty - y * tx);                                                                  \
            crooked |= !(fabs((w * w + x * x) + (y * y + z * z) - 1.0) <= 1e-3);                                          \
            bad |= !(fabs(rx) + fabs(ry) + fabs(rz) <= LIMIT);                                                            \
            out[3 * i] = (REAL)rx;                                                                                        \
            out[3 * i + 1] = (REAL)ry;                                                                                    \
            out[3 * i + 2] = (REAL)rz;                                                                                    \
        }                                                                                                                 \
        return (crooked != 0) | (bad != 0) << 1;                                                                          \
    }

RFX_ROWS(float, f32, 3.4028234663852886e38)
RFX_ROWS(double, f64, 1.7976931348623157e308)

#endif
