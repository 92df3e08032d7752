/* Nodes of a tree of sums, sixteen children each. Sums are added in one fixed order, so that every instruction set gives
 * the same bytes.
 */
#ifndef RFX_SUM_TREE_H
#define RFX_SUM_TREE_H

#include <Python.h>
#include <math.h>
#include <stdint.h>

#include "clones.h"

/* node <- sum of its block of `below`, and the smallest of `low`; among leaves (low == below) the smallest above 0. */
#define RFX_NODE(LEAVES)                                                                                                  \
    const double *a = below + node * 16, *b = low + node * 16;                                                            \
    double s[8], m[8];                                                                                                    \
    for (int j = 0; j < 8; j++) {                                                                                         \
        double x = b[j], y = b[j + 8];                                                                                    \
        if (LEAVES) {                                                                                                     \
            x = x > 0.0 ? x : INFINITY;                                                                                   \
            y = y > 0.0 ? y : INFINITY;                                                                                   \
        }                                                                                                                 \
        s[j] = a[j] + a[j + 8];                                                                                           \
        m[j] = x < y ? x : y;                                                                                             \
    }                                                                                                                     \
    for (int j = 0; j < 4; j++) {                                                                                         \
        s[j] += s[j + 4];                                                                                                 \
        m[j] = m[j] < m[j + 4] ? m[j] : m[j + 4];                                                                         \
    }                                                                                                                     \
    double p = m[0] < m[2] ? m[0] : m[2], q = m[1] < m[3] ? m[1] : m[3];                                                  \
    sums[node] = (s[0] + s[2]) + (s[1] + s[3]);                                                                           \
    least[node] = p < q ? p : q;

/* The parents of n nodes (or leaves, shift = 4 times their level), or all `nodes` of the level where those are fewer. */
RFX_CLONES static void rfx_refresh_level(const double *below, const double *low, double *sums, double *least,
                                         const int64_t *index, Py_ssize_t n, int shift, Py_ssize_t nodes)
{
    Py_ssize_t before = -1;
    if (nodes <= n && low == below) {
        for (Py_ssize_t node = 0; node < nodes; node++) { RFX_NODE(1) }
    } else if (nodes <= n) {
        for (Py_ssize_t node = 0; node < nodes; node++) { RFX_NODE(0) }
    } else if (low == below) {
        for (Py_ssize_t i = 0; i < n; i++) {
            Py_ssize_t node = (Py_ssize_t)(index[i] >> shift);
            if (node != before) { RFX_NODE(1) }
            before = node;
        }
    } else {
        for (Py_ssize_t i = 0; i < n; i++) {
            Py_ssize_t node = (Py_ssize_t)(index[i] >> shift);
            if (node != before) { RFX_NODE(0) }
            before = node;
        }
    }
}

#endif
