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

/* The first step of i..n-1 at which an episode ends, or n. truncated may be NULL. */
RFX_INLINE Py_ssize_t rfx_next_end(const unsigned char *terminated, const unsigned char *truncated, Py_ssize_t i, Py_ssize_t n)
{
    unsigned long long a[4], b[4] = {0};
    for (; i + 32 <= n; i += 32) {
        memcpy(a, terminated + i, 32);
        if (truncated)
            memcpy(b, truncated + i, 32);
        if ((a[0] | a[1]) | (a[2] | a[3]) | ((b[0] | b[1]) | (b[2] | b[3])))
            break;
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
