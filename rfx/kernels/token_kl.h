/* Divergence of a policy from a reference, from log-probabilities of tokens.
 *
 *     full:  sum_t exp(p_t) (p_t - q_t)                       terms with p = -inf are 0
 *     k1 = -d,  k2 = d^2 / 2,  k3 = exp(d) - 1 - d            d = reference - policy (Schulman 2020)
 * Sums run in eight lanes that are added in a fixed order: the same bytes with vectors of any width.
 */
#ifndef RFX_TOKEN_KL_H
#define RFX_TOKEN_KL_H

#include "exp.h"

#define RFX_KL_BLOCK 256
#define RFX_KL_LANES 8

/* exp(p) (p - q) for any p and q; bad where one is NaN or inf, which no logarithm of a probability is. */
RFX_INLINE double rfx_kl_term(double p, double q, rfx_flag *bad)
{
    double term = rfx_exp(p) * (p - q);
    *bad |= !(p < INFINITY) | !(q < INFINITY);
    term = q == -INFINITY ? INFINITY : term;
    return p == -INFINITY ? 0.0 : term;
}

RFX_INLINE double rfx_kl_lane_sum(const double *s)
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* A block takes the short way first, where nothing is special. It holds if all p were within its limits and the sums came
 * out finite: whatever else is in p or q makes them inf or NaN. */
#define RFX_KL(REAL, SUFFIX)                                                                                              \
    RFX_INLINE void rfx_kl_block_##SUFFIX(const REAL *restrict p, const REAL *restrict q, Py_ssize_t n,                   \
                                          double *restrict s, rfx_flag *bad)                                              \
    {                                                                                                                     \
        double t[RFX_KL_LANES] = {0}, reach[RFX_KL_LANES] = {0}, most = 0.0;                                              \
        Py_ssize_t i, k, whole = n - n % RFX_KL_LANES;                                                                    \
        for (i = 0; i < whole; i += RFX_KL_LANES)                                                                         \
            for (k = 0; k < RFX_KL_LANES; k++) {                                                                          \
                double a = p[i + k], size = fabs(a);                                                                      \
                reach[k] = size > reach[k] ? size : reach[k];                                                             \
                t[k] += rfx_exp_inside(a) * (a - q[i + k]);                                                               \
            }                                                                                                             \
        for (k = 0; k < RFX_KL_LANES; k++)                                                                                \
            most = reach[k] > most ? reach[k] : most;                                                                     \
        if (!(most <= 700.0) || !isfinite(rfx_kl_lane_sum(t))) {                                                          \
            for (k = 0; k < RFX_KL_LANES; k++)                                                                            \
                t[k] = 0.0;                                                                                               \
            for (i = 0; i < whole; i += RFX_KL_LANES)                                                                     \
                for (k = 0; k < RFX_KL_LANES; k++)                                                                        \
                    t[k] += rfx_kl_term(p[i + k], q[i + k], bad);                                                         \
        }                                                                                                                 \
        for (k = 0; k < n - whole; k++)                                                                                   \
            t[k] += rfx_kl_term(p[whole + k], q[whole + k], bad);                                                         \
        for (k = 0; k < RFX_KL_LANES; k++)                                                                                \
            s[k] += t[k];                                                                                                 \
    }                                                                                                                     \
    /* The full sum of each row of (rows, width); returns whether something was NaN or inf. */                            \
    RFX_CLONES static int rfx_full_kl_##SUFFIX(const REAL *restrict p, const REAL *restrict q, Py_ssize_t rows,           \
                                               Py_ssize_t width, double *restrict out)                                    \
    {                                                                                                                     \
        rfx_flag bad = 0;                                                                                                 \
        for (Py_ssize_t row = 0; row < rows; row++) {                                                                     \
            const REAL *a = p + row * width, *b = q + row * width;                                                        \
            double s[RFX_KL_LANES] = {0};                                                                                 \
            for (Py_ssize_t i = 0; i < width; i += RFX_KL_BLOCK)                                                          \
                rfx_kl_block_##SUFFIX(a + i, b + i, width - i < RFX_KL_BLOCK ? width - i : RFX_KL_BLOCK, s, &bad);        \
            out[row] = rfx_kl_lane_sum(s) + 0.0;                                                                          \
        }                                                                                                                 \
        return bad != 0;                                                                                                  \
    }

RFX_KL(double, d)
RFX_KL(float, f)

/* d = reference - policy of n tokens, at most a block; 0 behind the mask (NULL: none), and 0 where neither says that the
 * token is possible: there is nothing to compare. Returns the largest |d|. */
#define RFX_KS(REAL, SUFFIX)                                                                                              \
    RFX_INLINE double rfx_log_ratios_##SUFFIX(const REAL *restrict p, const REAL *restrict r,                             \
                                              const unsigned char *restrict mask, double *restrict d, Py_ssize_t n,       \
                                              rfx_flag *bad)                                                              \
    {                                                                                                                     \
        double reach[RFX_KL_LANES] = {0}, most = 0.0;                                                                     \
        rfx_flag wrong = 0;                                                                                               \
        Py_ssize_t i, k, whole = n - n % RFX_KL_LANES;                                                                    \
        if (mask == NULL)                                                                                                 \
            for (i = 0; i < n; i++) {                                                                                     \
                double a = p[i], b = r[i], least = a < b ? b : a;                                                         \
                d[i] = least == -INFINITY ? 0.0 : b - a;                                                                  \
                wrong |= !(a < INFINITY) | !(b < INFINITY);                                                               \
            }                                                                                                             \
        else                                                                                                              \
            for (i = 0; i < n; i++) {                                                                                     \
                double a = mask[i] ? p[i] : 0.0, b = mask[i] ? r[i] : 0.0;                                                \
                d[i] = a == -INFINITY && b == -INFINITY ? 0.0 : b - a;                                                    \
                wrong |= !(a < INFINITY) | !(b < INFINITY);                                                               \
            }                                                                                                             \
        *bad |= wrong;                                                                                                    \
        for (i = 0; i < whole; i += RFX_KL_LANES)                                                                         \
            for (k = 0; k < RFX_KL_LANES; k++)                                                                            \
                reach[k] = fabs(d[i + k]) > reach[k] ? fabs(d[i + k]) : reach[k];                                         \
        for (k = 0; k < n - whole; k++)                                                                                   \
            reach[k] = fabs(d[whole + k]) > reach[k] ? fabs(d[whole + k]) : reach[k];                                     \
        for (k = 0; k < RFX_KL_LANES; k++)                                                                                \
            most = reach[k] > most ? reach[k] : most;                                                                     \
        return most;                                                                                                      \
    }                                                                                                                     \
    /* k1, k2 or k3 of each token; returns whether something was NaN or inf. Blocks of small d need no exp. */            \
    RFX_CLONES static int rfx_k_terms_##SUFFIX(int kind, const REAL *p, const REAL *r, const unsigned char *mask,         \
                                               REAL *restrict out, Py_ssize_t n)                                          \
    {                                                                                                                     \
        double d[RFX_KL_BLOCK];                                                                                           \
        rfx_flag bad = 0;                                                                                                 \
        for (Py_ssize_t at = 0; at < n; at += RFX_KL_BLOCK) {                                                             \
            int i, m = (int)(n - at < RFX_KL_BLOCK ? n - at : RFX_KL_BLOCK);                                              \
            double most = rfx_log_ratios_##SUFFIX(p + at, r + at, mask == NULL ? NULL : mask + at, d, m, &bad);           \
            if (kind == 1)                                                                                                \
                for (i = 0; i < m; i++)                                                                                   \
                    out[at + i] = (REAL)(0.0 - d[i]);                                                                     \
            else if (kind == 2)                                                                                           \
                for (i = 0; i < m; i++)                                                                                   \
                    out[at + i] = (REAL)(0.5 * d[i] * d[i]);                                                              \
            else if (most < 0.34657)                                                                                      \
                for (i = 0; i < m; i++)                                                                                   \
                    out[at + i] = (REAL)rfx_exp_above_tangent_near(d[i]);                                                 \
            else                                                                                                          \
                for (i = 0; i < m; i++)                                                                                   \
                    out[at + i] = (REAL)rfx_exp_above_tangent(d[i]);                                                      \
        }                                                                                                                 \
        return bad != 0;                                                                                                  \
    }

RFX_KS(double, d)
RFX_KS(float, f)

RFX_CLONES static void rfx_exp_n(const double *restrict x, double *restrict out, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = rfx_exp(x[i]);
}

#endif
