/* Generalised advantage estimation over rows of environments and along one environment.
 *
 * Schulman et al. 2016, eq. 11 and 16, with both masks:
 *     delta_t = r_t + gamma V(s'_t) - V(s_t),   V(s'_t) = 0 if terminated, final_t if truncated, else V(s_{t+1})
 *     A_t     = delta_t + gamma lambda A_{t+1}, the second term only if the episode goes on
 * What lies behind an end is not multiplied by 0 but left out, so that a NaN there stays there. Rows of environments give
 * the bytes of the plain loop from the last step to the first; one environment alone is added up by fours (see below), which
 * gives the same up to rounding. Either way the bytes are the same on every CPU.
 */
#ifndef RFX_SCAN_GAE_H
#define RFX_SCAN_GAE_H

#include <string.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

/* The place of the first byte of a word in memory that is not 0. */
RFX_INLINE Py_ssize_t rfx_first_byte(unsigned long long word)
{
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_ctzll(word) >> 3;
#else
    unsigned char bytes[8];
    Py_ssize_t k = 0;
    memcpy(bytes, &word, 8);
    while (!bytes[k])
        k++;
    return k;
#endif
}

RFX_INLINE unsigned long long rfx_eight_flags(const unsigned char *terminated, const unsigned char *truncated, Py_ssize_t i)
{
    unsigned long long ends, cuts = 0;
    memcpy(&ends, terminated + i, 8);
    if (truncated)
        memcpy(&cuts, truncated + i, 8);
    return ends | cuts;
}

/* The first step of i..n-1 at which an episode ends, or n. truncated may be NULL. */
RFX_INLINE Py_ssize_t rfx_next_end(const unsigned char *terminated, const unsigned char *truncated, Py_ssize_t i, Py_ssize_t n)
{
    unsigned long long a, b, c, d;
    for (; i + 32 <= n; i += 32) {
        a = rfx_eight_flags(terminated, truncated, i);
        b = rfx_eight_flags(terminated, truncated, i + 8);
        c = rfx_eight_flags(terminated, truncated, i + 16);
        d = rfx_eight_flags(terminated, truncated, i + 24);
        if ((a | b) | (c | d))
            return a ? i + rfx_first_byte(a)
                   : b ? i + 8 + rfx_first_byte(b) : c ? i + 16 + rfx_first_byte(c) : i + 24 + rfx_first_byte(d);
    }
    for (; i + 8 <= n; i += 8) {
        a = rfx_eight_flags(terminated, truncated, i);
        if (a)
            return i + rfx_first_byte(a);
    }
    while (i < n && !terminated[i] && !(truncated && truncated[i]))
        i++;
    return i;
}

#define RFX_REAL float
#define RFX_INDEX int
#define RFX_NAME(name) name##_f
#include "scan_gae_body.h"
#undef RFX_REAL
#undef RFX_INDEX
#undef RFX_NAME
#define RFX_REAL double
#define RFX_INDEX long long
#define RFX_NAME(name) name##_d
#include "scan_gae_body.h"
#undef RFX_REAL
#undef RFX_INDEX
#undef RFX_NAME

#endif
