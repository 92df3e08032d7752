/* exp in float without a call to libm, so that a compiler can make vectors of it; the same bytes on every CPU.
 *
 *     x = k ln 2 + r,  |r| <= ln(2) / 2        exp(x) = 2^k (1 + r + r^2 Q(r))        (Cody and Waite 1980)
 * ln 2 is in two parts, the first short enough for k times it to be exact. Q is a Chebyshev fit made with 60 digits, relative
 * error 7e-9; with the roundings the error stays below 1 unit in the last place. 2^k is multiplied in two halves, so that
 * results below 1.2e-38 are rounded once and inf comes only when exp(x) is that large. exp(-inf) = 0, NaN gives NaN.
 */
#ifndef RFX_EXP_SINGLE_H
#define RFX_EXP_SINGLE_H

#include <stdint.h>
#include <string.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_MAGIC_SINGLE 12582912.0f /* 1.5 * 2^23: what is added to it is rounded to an integer, in its low bits */

/* 2^k for an integer k within -126 .. 127, given as RFX_MAGIC_SINGLE + k. */
RFX_INLINE float rfx_power_of_two_single(float shifted)
{
    uint32_t bits;
    float power;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127) << 23;
    memcpy(&power, &bits, 4);
    return power;
}

RFX_INLINE float rfx_exp_single(float x)
{
    x = 89.0f < x ? 89.0f : x;
    x = -104.0f > x ? -104.0f : x;
    float shifted = x * 1.44269504f + RFX_MAGIC_SINGLE;
    float k = shifted - RFX_MAGIC_SINGLE;
    float half = k * 0.5f + RFX_MAGIC_SINGLE;
    float high = x - k * 0.693145752f, low = k * 1.42860677e-06f;
    float r = high - low, v = r * r;
    float even = 0.0013926183587713494f * v + 0.041666554617204574f;
    float odd = 0.008363179052722578f * v + 0.16666576989698775f;
    float one = 1.0f + high;
    float y = one + ((high - (one - 1.0f)) + (v * ((even * v + 0.5f) + r * odd) - low));
    return y * rfx_power_of_two_single(half) * rfx_power_of_two_single(k - (half - RFX_MAGIC_SINGLE) + RFX_MAGIC_SINGLE);
}

#endif
