/* exp in float without a call to libm, so that a compiler can make vectors of it; the same bytes on every CPU.
 *
 *     x = k ln 2 + r,  |r| <= ln(2) / 2        exp(x) = 2^k (1 + r + r^2 Q(r))        (Cody and Waite 1980)
 * ln 2 is in two parts, the first short enough for k times it to be exact. Q is a Chebyshev fit made with 60 digits, relative
 * error 7e-9; with the roundings the error stays below 1.5 units in the last place. Results below 1.7e-38 are 0. exp(-inf) = 0,
 * exp(inf) = inf, NaN gives NaN.
 */
#ifndef RFX_EXP_SINGLE_H
#define RFX_EXP_SINGLE_H

#include <stdint.h>
#include <string.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_MAGIC_SINGLE 12582912.0f /* 1.5 * 2^23: what is added to it is rounded to an integer, in its low bits */

RFX_INLINE float rfx_exp_single(float x)
{
    float top = 89.0f < x ? 89.0f : x;
    float shifted = top * 1.44269504f + RFX_MAGIC_SINGLE;
    float k = shifted - RFX_MAGIC_SINGLE;
    float r = (top - k * 0.693145752f) - k * 1.42860677e-06f, v = r * r;
    float even = 0.0013926183587713494f * v + 0.041666554617204574f;
    float odd = 0.008363179052722578f * v + 0.16666576989698775f;
    float y = 1.0f + (r + v * ((even * v + 0.5f) + r * odd)), power;
    uint32_t bits; /* of 2^(k-1), as 2^128 is no float */
    memcpy(&bits, &shifted, 4);
    bits = (bits + 126) << 23;
    memcpy(&power, &bits, 4);
    y = y * power * 2.0f;
    return x < -86.98f ? 0.0f : y;
}

#endif
