/* Weights moved towards others in place, in one pass: t = y(t, s) where y is finite, else t as it was. Returns whether all
 * y are finite. Memory is what it waits for: both arrays are asked for some way ahead.
 */
#ifndef RFX_BLEND_H
#define RFX_BLEND_H

#include <Python.h>

#include "clones.h"

#if defined(__GNUC__)
#define RFX_AHEAD(p, write) __builtin_prefetch((const char *)(p) + 2048, write)
#else
#define RFX_AHEAD(p, write) ((void)(p))
#endif

#define RFX_MOVE(NAME, REAL, MASK, Y)                                                                                    \
    RFX_CLONES static int NAME(REAL *restrict t, const REAL *restrict s, REAL rate, Py_ssize_t n)                        \
    {                                                                                                                    \
        enum { LINE = 64 / sizeof(REAL), STEP = 8 * LINE };                                                              \
        const REAL keep = (REAL)1 - rate;                                                                                \
        Py_ssize_t i = 0, k;                                                                                             \
        MASK bad = 0;                                                                                                    \
        (void)keep;                                                                                                      \
        for (; i + STEP <= n; i += STEP) {                                                                               \
            for (k = 0; k < STEP; k += LINE) {                                                                           \
                RFX_AHEAD(t + i + k, 1);                                                                                 \
                RFX_AHEAD(s + i + k, 0);                                                                                 \
            }                                                                                                            \
            for (k = i; k < i + STEP; k++) {                                                                             \
                REAL old = t[k], y = Y(old, s[k]);                                                                       \
                MASK off = y - y == 0 ? 0 : 1;                                                                           \
                t[k] = off ? old : y;                                                                                    \
                bad |= off;                                                                                              \
            }                                                                                                            \
        }                                                                                                                \
        for (; i < n; i++) {                                                                                             \
            REAL old = t[i], y = Y(old, s[i]);                                                                           \
            MASK off = y - y == 0 ? 0 : 1;                                                                               \
            t[i] = off ? old : y;                                                                                        \
            bad |= off;                                                                                                  \
        }                                                                                                                \
        return bad == 0;                                                                                                 \
    }

#define RFX_BLENDED(t, s) (rate * (s) + keep * (t))
#define RFX_TOWARD(t, s) ((t) + rate * ((s) - (t)))

RFX_MOVE(rfx_blend_f, float, int, RFX_BLENDED)
RFX_MOVE(rfx_blend_d, double, long long, RFX_BLENDED)
RFX_MOVE(rfx_toward_f, float, int, RFX_TOWARD)
RFX_MOVE(rfx_toward_d, double, long long, RFX_TOWARD)

#endif
