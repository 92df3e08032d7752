/* Sums of the columns of a block of rows about its first row: s1 = sum (x - k), s2 = sum (x - k)^2. By strips of columns
 * whose sums stay in registers, two rows at a time; narrow ones four, as their sums go to memory.
 */
#ifndef RFX_MOMENTS_H
#define RFX_MOMENTS_H

#include <Python.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_STRIP 48

#define RFX_COLUMN_SUMS(REAL, SUFFIX)                                                                                    \
    RFX_INLINE void rfx_strip_sums_##SUFFIX(const REAL *restrict x, Py_ssize_t step, Py_ssize_t rows, double *restrict s1,\
                                            double *restrict s2, Py_ssize_t width)                                       \
    {                                                                                                                    \
        double k[RFX_STRIP], t1[RFX_STRIP], t2[RFX_STRIP];                                                               \
        Py_ssize_t r = 0, j;                                                                                             \
        for (j = 0; j < width; j++) {                                                                                    \
            k[j] = x[j];                                                                                                 \
            t1[j] = t2[j] = 0.0;                                                                                         \
        }                                                                                                                \
        for (; width < RFX_STRIP && r + 4 <= rows; r += 4) {                                                             \
            const REAL *restrict p = x + r * step;                                                                       \
            for (j = 0; j < width; j++) {                                                                                \
                double a = p[j] - k[j], b = p[step + j] - k[j], c = p[2 * step + j] - k[j], d = p[3 * step + j] - k[j];  \
                t1[j] += (a + b) + (c + d);                                                                              \
                t2[j] += (a * a + b * b) + (c * c + d * d);                                                              \
            }                                                                                                            \
        }                                                                                                                \
        for (; r + 2 <= rows; r += 2) {                                                                                  \
            const REAL *restrict p = x + r * step;                                                                       \
            for (j = 0; j < width; j++) {                                                                                \
                double a = p[j] - k[j], b = p[step + j] - k[j];                                                          \
                t1[j] += a + b;                                                                                          \
                t2[j] += a * a + b * b;                                                                                  \
            }                                                                                                            \
        }                                                                                                                \
        for (; r < rows; r++)                                                                                            \
            for (j = 0; j < width; j++) {                                                                                \
                double a = x[r * step + j] - k[j];                                                                       \
                t1[j] += a;                                                                                              \
                t2[j] += a * a;                                                                                          \
            }                                                                                                            \
        for (j = 0; j < width; j++) {                                                                                    \
            s1[j] = t1[j];                                                                                               \
            s2[j] = t2[j];                                                                                               \
        }                                                                                                                \
    }                                                                                                                    \
    RFX_CLONES static void rfx_column_sums_##SUFFIX(const REAL *restrict x, Py_ssize_t step, Py_ssize_t rows,            \
                                                    double *restrict s1, double *restrict s2, Py_ssize_t width)          \
    {                                                                                                                    \
        Py_ssize_t j = 0;                                                                                                \
        for (; j + RFX_STRIP <= width; j += RFX_STRIP)                                                                   \
            rfx_strip_sums_##SUFFIX(x + j, step, rows, s1 + j, s2 + j, RFX_STRIP);                                       \
        if (j < width)                                                                                                   \
            rfx_strip_sums_##SUFFIX(x + j, step, rows, s1 + j, s2 + j, width - j);                                       \
    }                                                                                                                    \
    /* The sums about k as moments, merged with those of `count` rows before (Chan, Golub, LeVeque 1979) */              \
    RFX_CLONES static void rfx_add_block_##SUFFIX(const REAL *restrict k, const double *restrict s1,                     \
                                                  const double *restrict s2, double rows, double count,                  \
                                                  double *restrict mean, double *restrict m2, Py_ssize_t width)          \
    {                                                                                                                    \
        double per_row = 1.0 / rows, share = rows / (count + rows), both = count * share;                                \
        for (Py_ssize_t j = 0; j < width; j++) {                                                                         \
            double shift = s1[j] * per_row, own = s2[j] - s1[j] * shift;                                                 \
            double delta = (k[j] - mean[j]) + shift;                                                                     \
            own = own < 0.0 ? 0.0 : own;                                                                                 \
            mean[j] = count == 0.0 ? k[j] + shift : mean[j] + delta * share;                                             \
            m2[j] = (m2[j] + own) + (count == 0.0 ? 0.0 : delta * delta * both);                                         \
        }                                                                                                                \
    }                                                                                                                    \
    /* One sample after the others: d = x - mean, mean += alpha d, var = (1 - alpha) (var + alpha d^2) (Finch 2009) */   \
    RFX_CLONES static void rfx_ema_row_##SUFFIX(const REAL *restrict x, double alpha, double *restrict mean,             \
                                                double *restrict var, Py_ssize_t width)                                  \
    {                                                                                                                    \
        for (Py_ssize_t j = 0; j < width; j++) {                                                                         \
            double delta = x[j] - mean[j];                                                                               \
            mean[j] += alpha * delta;                                                                                    \
            var[j] = (1.0 - alpha) * (var[j] + alpha * delta * delta);                                                   \
        }                                                                                                                \
    }                                                                                                                    \
    /* clip((x - mean) scale, -limit, limit); returns whether any result is not finite */                                \
    RFX_CLONES static int rfx_standardize_##SUFFIX(const REAL *restrict x, const double *restrict mean,                  \
                                                   const double *restrict scale, double limit, REAL *restrict out,       \
                                                   Py_ssize_t width)                                                     \
    {                                                                                                                    \
        long long bad = 0;                                                                                               \
        for (Py_ssize_t j = 0; j < width; j++) {                                                                         \
            double y = (x[j] - mean[j]) * scale[j];                                                                      \
            REAL z;                                                                                                      \
            bad |= y - y == 0.0 ? 0 : 1;                                                                                 \
            y = y > limit ? limit : y;                                                                                   \
            z = (REAL)(y < -limit ? -limit : y);                                                                         \
            bad |= z - z == 0 ? 0 : 1;                                                                                   \
            out[j] = z;                                                                                                  \
        }                                                                                                                \
        return bad != 0;                                                                                                 \
    }

RFX_COLUMN_SUMS(float, f)
RFX_COLUMN_SUMS(double, d)

/* The moments of both go to other_*; returns whether all are finite. */
RFX_CLONES static int rfx_merge_moments(double share, double both, const double *restrict mean,
                                        const double *restrict m2, double *restrict other_mean,
                                        double *restrict other_m2, Py_ssize_t d)
{
    long long bad = 0;
    for (Py_ssize_t j = 0; j < d; j++) {
        double delta = other_mean[j] - mean[j];
        double new_mean = mean[j] + delta * share, new_m2 = (m2[j] + other_m2[j]) + delta * delta * both;
        other_mean[j] = new_mean;
        other_m2[j] = new_m2;
        bad |= new_mean - new_mean == 0.0 ? 0 : 1;
        bad |= new_m2 - new_m2 == 0.0 ? 0 : 1;
    }
    return !bad;
}

#endif
