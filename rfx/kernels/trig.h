/* What libm's sin, cos, pow(x, 2) and powf(x, 2) return, bit for bit, several at a time.
 *
 * The value is computed as an unevaluated sum y + e of two doubles, y rounded, |e| <= ulp(y) / 2, with an error far below an ulp.
 * Where e is far enough from ulp(y) / 2, libm can only have rounded to y; else libm itself is asked (Ziv's test, 1991).
 * How far is enough for glibc follows from what its sources say of the error, less the half ulp of the last rounding: 0.048
 * for sin and cos (0.020 seen in 1e8 numbers each): RFX_SURE. For pow 0.011 + 1.5 * 2^-15 |2 ln x|, within 1e-6 .. 1e6
 * 0.013 (0.008 seen): RFX_SURE_SQUARE. For powf 2^24 (1.83 * 2^-33 |2 ln x| + 1.69 * 2^-34), within 1 / 16 .. 4 0.022 (0.002
 * seen, in all numbers): RFX_SURE_FLOAT. So libm rounds one sine in eight, one square in 36.
 * Where the C library is another one, it is always asked.
 *
 * Each instruction set gives the same bytes: contraction is off, and nothing is summed in another order.
 */
#ifndef RFX_TRIG_H
#define RFX_TRIG_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_TRIG_MAGIC 6755399441055744.0 /* 1.5 * 2^52: what is added to it is rounded to an integer, in its low bits */

RFX_INLINE uint64_t rfx_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

RFX_INLINE double rfx_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

#define RFX_SURE 0.4375
#define RFX_SURE_SQUARE 0.486
#define RFX_SURE_FLOAT 0.4775f

/* Whether libm may have rounded y + e to a neighbour of y; the ulp is that below y, half as large under a power of two. */
RFX_INLINE int64_t rfx_doubtful(double y, double e, double sure)
{
    double ulp = rfx_of_bits((rfx_bits(y) - 1) & 0x7FF0000000000000u) * 2.220446049250313e-16;
    return fabs(e) <= sure * ulp ? 0 : 1;
}

#if defined(__GLIBC__)

/* sin and cos of x, |x| <= 1024. With pi / 2 in parts of 42, 42 and 53 bits, x = k pi / 2 + r + low to 2^-120, |r| <= pi / 4.
 * Of r, t has the first 12 bits: t^2, t^3 c (c: 17 bits of 1 / 6) and t^4 c' (5 bits of 1 / 24) are exact, and so are
 * the differences from r and 1. What remains of the series is below ulp / 100 in error. Doubt is 1 about the sine, 2 about the cosine, or both;
 * both near the multiples of pi / 2, where glibc's own reduction has too few bits (cos(0x1.921fb54442d19p+0) is off by 0.56 ulp).
 */
RFX_CLONES static void rfx_sin_cos_block(const double *restrict x, Py_ssize_t n, double *restrict s, double *restrict c,
                                         int64_t *restrict doubt)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double shifted = x[i] * 0.6366197723675814 + RFX_TRIG_MAGIC, k = shifted - RFX_TRIG_MAGIC;
        double a = x[i] - k * 1.570796326794607, b = k * 2.8960739716218175e-13;
        double near = a - b, back = near - a;
        double far = ((a - (near - back)) - (b + back)) - k * 1.6446256936324258e-26;
        double r = near + far, low = (near - r) + far;
        double t = rfx_of_bits(rfx_bits(r) & 0xFFFFFE0000000000u), rest = r - t;
        double z = r * r, t2 = t * t, t3 = t2 * t, t4 = t2 * t2;
        /* sin(r + low) = r - r^3 / 6 + r^5 S(r^2) + low (1 - r^2 / 2) */
        double cube = t3 * 0.16666603088378906, high = r - cube, lost = (r - high) - cube;
        double more = z * r * z
            * (0.008333333333333333
               + z * (-0.0001984126984126984
                      + z * (2.7557319223985893e-06
                             + z * (-2.505210838544172e-08
                                    + z * (1.6059043836821613e-10
                                           + z * (-7.647163731819816e-13 + z * 2.8114572543455206e-15))))));
        double less = t3 * 6.357828776041666e-07 + rest * (z + r * t + t2) * 0.16666666666666666;
        double small = lost + (low * (1.0 - 0.5 * z) + (more - less));
        double sine = high + small, sine_rest = (high - sine) + small;
        /* cos(r + low) = 1 - r^2 / 2 + r^4 / 24 - r^6 C(r^2), with the square's small part apart */
        double square_rest = rest * (r + t) + 2.0 * r * low;
        double one = 1.0 - 0.5 * t2, one_lost = (1.0 - one) - 0.5 * t2;
        double fourth = t4 * 0.041015625, top = one + fourth, top_lost = (one - top) + fourth;
        double series = z * z * z
            * (-0.001388888888888889
               + z * (2.48015873015873e-05
                      + z * (-2.755731922398589e-07
                             + z * (2.08767569878681e-09
                                    + z * (-1.1470745597729725e-11
                                           + z * (4.779477332387385e-14 + z * -1.5619206968586225e-16))))));
        double fine = (square_rest * (z + t2) * 0.041666666666666664 + t4 * 0.0006510416666666666) - 0.5 * square_rest;
        double smaller = (one_lost + top_lost) + (fine + series);
        double cosine = top + smaller, cosine_rest = (top - cosine) + smaller;
        /* the quadrant */
        uint64_t quadrant = rfx_bits(shifted), odd = 0 - (quadrant & 1);
        uint64_t of_sine = rfx_bits(sine), of_cosine = rfx_bits(cosine), other = (of_sine ^ of_cosine) & odd;
        s[i] = rfx_of_bits((of_sine ^ other) ^ ((quadrant & 2) << 62));
        c[i] = rfx_of_bits((of_cosine ^ other) ^ (((quadrant + 1) & 2) << 62));
        of_sine = rfx_doubtful(sine, sine_rest, RFX_SURE), of_cosine = rfx_doubtful(cosine, cosine_rest, RFX_SURE);
        other = (of_sine ^ of_cosine) & odd;
        doubt[i] = (int64_t)((of_sine ^ other) | (of_cosine ^ other) << 1)
            | (fabs(x[i]) <= 1024.0 ? 0 : 3) | (fabs(r) >= 1e-5 ? 0 : 3);
    }
}

/* x^2 = y + e with e by Dekker's product (1971): exact where |x| is neither tiny nor huge. */
RFX_CLONES static void rfx_square_block(const double *restrict x, Py_ssize_t n, double *restrict y, int64_t *restrict doubt)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double v = x[i], product = v * v, wide = v * 134217729.0, top = wide - (wide - v), rest = v - top;
        double e = ((top * top - product) + 2.0 * (top * rest)) + rest * rest;
        y[i] = product;
        doubt[i] = rfx_doubtful(product, e, RFX_SURE_SQUARE) | (fabs(v) <= 1e6 ? 0 : 1) | (fabs(v) >= 1e-6 ? 0 : 1);
    }
}

/* Squares of float: exact in double, so that e is what the last rounding takes away. */
RFX_CLONES static void rfx_square_float_block(const float *restrict x, Py_ssize_t n, float *restrict y,
                                              int32_t *restrict doubt)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double exact = (double)x[i] * (double)x[i];
        float product = (float)exact, e = (float)(exact - (double)product), ulp;
        uint32_t bits;
        memcpy(&bits, &product, 4);
        bits = (bits - 1) & 0x7F800000u;
        memcpy(&ulp, &bits, 4);
        y[i] = product;
        doubt[i] = (fabsf(e) <= RFX_SURE_FLOAT * (ulp * 1.1920929e-7f) ? 0 : 1) | (fabsf(x[i]) < 4.0f ? 0 : 1)
            | (fabsf(x[i]) >= 0.0625f ? 0 : 1);
    }
}

#else

static void rfx_sin_cos_block(const double *x, Py_ssize_t n, double *s, double *c, int64_t *doubt)
{
    for (Py_ssize_t i = 0; i < n; i++)
        doubt[i] = 3;
}

static void rfx_square_block(const double *x, Py_ssize_t n, double *y, int64_t *doubt)
{
    for (Py_ssize_t i = 0; i < n; i++)
        doubt[i] = 1;
}

static void rfx_square_float_block(const float *x, Py_ssize_t n, float *y, int32_t *doubt)
{
    for (Py_ssize_t i = 0; i < n; i++)
        doubt[i] = 1;
}

#endif
#endif
