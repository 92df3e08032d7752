/* exp without a call to libm, so that a compiler can make vectors of it; the same bytes on every CPU.
 *
 *     x = k ln 2 + r,  |r| <= ln(2) / 2        exp(x) = 2^k (1 + r + r^2 Q(r))        (Cody and Waite 1980)
 * ln 2 is in two parts, the first short enough for k times it to be exact; what 1 + r loses is added back, so that the
 * error stays below 0.7 units in the last place (above 2.2e-308). Q is a Chebyshev fit made with 60 digits, relative error 4.9e-18.
 * 2^k is multiplied in two halves: results below 2.2e-308 are rounded once, and inf comes only when exp(x) is that large.
 * exp(-inf) = 0, exp(inf) = inf, NaN gives NaN.
 */
#ifndef RFX_EXP_H
#define RFX_EXP_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_MAGIC 6755399441055744.0 /* 1.5 * 2^52: what is added to it is rounded to an integer, in its low bits */

/* Q(r) = (exp(r) - 1 - r) / r^2. Even and odd powers apart: two short chains instead of a long one. */
RFX_INLINE double rfx_exp_rest(double r)
{
    double v = r * r;
    double even = 2.0914679376654634e-09, odd = 2.510520637405601e-08;
    even = even * v + 2.755727366134847e-07;
    odd = odd * v + 2.7557255425746198e-06;
    even = even * v + 2.4801587325533363e-05;
    odd = odd * v + 0.00019841269874800493;
    even = even * v + 0.0013888888888883752;
    odd = odd * v + 0.008333333333326141;
    even = even * v + 0.04166666666666667;
    odd = odd * v + 0.1666666666666667;
    return (even * v + 0.5) + r * odd;
}

/* 2^k for an integer k within -1022 .. 1023, given as RFX_MAGIC + k. */
RFX_INLINE double rfx_power_of_two(double shifted)
{
    uint64_t bits;
    double power;
    memcpy(&bits, &shifted, 8);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, 8);
    return power;
}

/* exp(x) / 2^k, and RFX_MAGIC + k in shifted; for x within -1000 .. 1000. */
RFX_INLINE double rfx_exp_reduced(double x, double *shifted)
{
    double magic_k = x * 1.4426950408889634 + RFX_MAGIC;
    double k = magic_k - RFX_MAGIC;
    double high = x - k * 0.6931471803691238;
    double low = k * 1.9082149292705877e-10;
    double r = high - low, one = 1.0 + high;
    *shifted = magic_k;
    return one + ((high - (one - 1.0)) + (r * r * rfx_exp_rest(r) - low));
}

/* exp(x) where it is neither subnormal nor above 2^1023; the same bytes as rfx_exp. */
RFX_INLINE double rfx_exp_inside(double x)
{
    double shifted, y = rfx_exp_reduced(x, &shifted);
    return y * rfx_power_of_two(shifted);
}

RFX_INLINE double rfx_exp(double x)
{
    double shifted, half, k, y;
    x = 710.0 < x ? 710.0 : x;
    x = -746.0 > x ? -746.0 : x;
    y = rfx_exp_reduced(x, &shifted);
    k = shifted - RFX_MAGIC;
    half = k * 0.5 + RFX_MAGIC;
    return y * rfx_power_of_two(half) * rfx_power_of_two(k - (half - RFX_MAGIC) + RFX_MAGIC);
}

/* exp(x) - 1 - x for |x| <= ln(2) / 2: not below 0, and with all of its digits however small x is. */
RFX_INLINE double rfx_exp_above_tangent_near(double x)
{
    return x * x * rfx_exp_rest(x);
}

/* The same for any x; inf for x = inf and -inf. */
RFX_INLINE double rfx_exp_above_tangent(double x)
{
    double far = (rfx_exp(x) - 1.0) - (710.0 < x ? 710.0 : x);
    double near = rfx_exp_above_tangent_near(x);
    return fabs(x) < 0.34657 ? near : far;
}

#endif
