/* Rewards against the mean of their group, in two passes.
 *
 *     d_i = r_i - r_0        m = sum d (1 / n)        v_i = d_i - m        std = sqrt(sum v^2 (1 / (n - ddof)))
 *     A_i = v_i [n / (n - 1) where the own reward is left out of the mean] / (std + eps)
 * Taking r_0 off first makes a constant group exactly 0, whatever its rewards are. Sums run in eight lanes that are added
 * in a fixed order: the same bytes with vectors of any width. Each step is done for a block of groups before the next
 * begins, so that no group waits for the root or the quotient of another, and lanes, roots and quotients of several
 * groups are taken together. GRPO: Shao et al. 2024; RLOO: Kool et al. 2019.
 */
#ifndef RFX_GROUPS_H
#define RFX_GROUPS_H

#include <math.h>
#include <stddef.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

#define RFX_LANES 8
#define RFX_BLOCK 16

typedef struct {
    int by_group;         /* divide by the standard deviation of the group; else by shared */
    int leave_one_out;
    double shared;        /* what all are divided by; 0 makes all advantages 0 */
    double ddof, eps, std_floor;
} rfx_group_rule;

/* The sum of eight lanes of each of m groups, in pairs: groups side by side in vectors. */
RFX_INLINE void rfx_fold(const double *restrict lanes, int m, double *restrict sum)
{
    for (int b = 0; b < m; b++) {
        const double *s = lanes + RFX_LANES * b;
        sum[b] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

/* How many the mask lets through (NULL: all); the first of them goes to first. */
RFX_INLINE double rfx_count(const double *restrict r, const unsigned char *restrict mask, Py_ssize_t n, double *first)
{
    double seen = 0.0;
    *first = n > 0 ? r[0] : 0.0;
    if (mask == NULL)
        return (double)n;
    *first = 0.0;
    for (Py_ssize_t i = n - 1; i >= 0; i--) {
        *first = mask[i] ? r[i] : *first;
        seen += mask[i] ? 1.0 : 0.0;
    }
    return seen;
}

/* A number about the mean, 0 behind the mask. */
RFX_INLINE double rfx_about(const double *restrict r, const unsigned char *restrict mask, Py_ssize_t i, double first,
                            double mean)
{
    return mask == NULL || mask[i] ? (r[i] - first) - mean : 0.0;
}

/* Sum of (r - first) - mean, or of its squares, in lanes. */
RFX_INLINE void rfx_sum_lanes(const double *restrict r, const unsigned char *restrict mask, Py_ssize_t n, double first,
                              double mean, int square, double *restrict lanes)
{
    double s[RFX_LANES] = {0};
    Py_ssize_t i = 0, k;
    for (; i + RFX_LANES <= n; i += RFX_LANES)
        for (k = 0; k < RFX_LANES; k++) {
            double v = rfx_about(r, mask, i + k, first, mean);
            s[k] += square ? v * v : v;
        }
    for (k = 0; i + k < n; k++) {
        double v = rfx_about(r, mask, i + k, first, mean);
        s[k] += square ? v * v : v;
    }
    for (k = 0; k < RFX_LANES; k++)
        lanes[k] = s[k];
}

/* out = ((r - first) - mean) scale, 0 behind the mask, and no -0 */
RFX_INLINE void rfx_scaled(const double *restrict r, const unsigned char *restrict mask, Py_ssize_t n, double first,
                           double mean, double scale, double *restrict out)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = rfx_about(r, mask, i, first, mean) * scale + 0.0;
}

/* 1 / n, and 0 where there is nothing to divide by */
RFX_INLINE double rfx_over(double n)
{
    return n > 0.0 ? 1.0 / n : 0.0;
}

/* Group g is r[at(g)] .. r[at(g + 1) - 1], at(g) = offsets[g], or g * size where offsets is NULL.
 * Returns whether something was not finite. */
RFX_INLINE int rfx_groups(const double *restrict r, const unsigned char *restrict mask, const long long *restrict offsets,
                          Py_ssize_t size, Py_ssize_t groups, const rfx_group_rule *rule, double *restrict out)
{
    double count[RFX_BLOCK], first[RFX_BLOCK], mean[RFX_BLOCK], squares[RFX_BLOCK], scale[RFX_BLOCK];
    double lanes[RFX_BLOCK * RFX_LANES];
    const int by_group = rule->by_group, left_out = rule->leave_one_out;
    const double ddof = rule->ddof, eps = rule->eps, least = rule->std_floor, shared = rule->shared;
    const int even = offsets == NULL && mask == NULL;
    const double even_over = rfx_over((double)size), even_rest = rfx_over((double)size - ddof);
    int bad = 0;
    for (Py_ssize_t g = 0; g < groups; g += RFX_BLOCK) {
        int b, m = (int)(groups - g < RFX_BLOCK ? groups - g : RFX_BLOCK);
#define RFX_AT(b) (offsets == NULL ? (g + (b)) * size : offsets[g + (b)])
#define RFX_ROW(b) r + RFX_AT(b), mask == NULL ? NULL : mask + RFX_AT(b), RFX_AT((b) + 1) - RFX_AT(b)
        for (b = 0; b < m; b++) {
            count[b] = rfx_count(RFX_ROW(b), &first[b]);
            rfx_sum_lanes(RFX_ROW(b), first[b], 0.0, 0, lanes + RFX_LANES * b);
        }
        rfx_fold(lanes, m, mean);
        for (b = 0; b < m; b++)
            mean[b] *= even ? even_over : rfx_over(count[b]);
        for (b = 0; b < m; b++)
            rfx_sum_lanes(RFX_ROW(b), first[b], mean[b], 1, lanes + RFX_LANES * b);
        rfx_fold(lanes, m, squares);
        for (b = 0; b < m; b++) {
            double std = sqrt(squares[b] * (even ? even_rest : rfx_over(count[b] - ddof)));
            double divisor = by_group ? (std > least ? std + eps : 0.0) : shared;
            scale[b] = divisor > 0.0 ? 1.0 / divisor : 0.0;
            bad |= !(squares[b] <= 1.7976931348623157e308);
        }
        for (b = 0; left_out && b < m; b++)
            scale[b] *= count[b] > 1.0 ? count[b] / (count[b] - 1.0) : 1.0;
        for (b = 0; b < m; b++)
            rfx_scaled(RFX_ROW(b), first[b], mean[b], scale[b], out + RFX_AT(b));
#undef RFX_AT
#undef RFX_ROW
    }
    return bad;
}

RFX_CLONES static int rfx_even_groups(const double *r, Py_ssize_t groups, Py_ssize_t size, const rfx_group_rule *rule,
                                      double *out)
{
    if (size == 8) /* usual sizes as constants: no loop is left inside */
        return rfx_groups(r, NULL, NULL, 8, groups, rule, out);
    if (size == 16)
        return rfx_groups(r, NULL, NULL, 16, groups, rule, out);
    return rfx_groups(r, NULL, NULL, size, groups, rule, out);
}

RFX_CLONES static int rfx_ragged_groups(const double *r, const long long *offsets, Py_ssize_t groups,
                                        const rfx_group_rule *rule, double *out)
{
    return rfx_groups(r, NULL, offsets, 0, groups, rule, out);
}

static int rfx_masked_groups(const double *r, const unsigned char *mask, const long long *offsets, Py_ssize_t groups,
                             const rfx_group_rule *rule, double *out)
{
    return rfx_groups(r, mask, offsets, 0, groups, rule, out);
}

/* Standard deviation of all that the mask lets through (NULL: all). */
static double rfx_spread(const double *r, const unsigned char *mask, Py_ssize_t n, double ddof)
{
    double first, mean, squares, lanes[RFX_LANES], count = rfx_count(r, mask, n, &first);
    rfx_sum_lanes(r, mask, n, first, 0.0, 0, lanes);
    rfx_fold(lanes, 1, &mean);
    rfx_sum_lanes(r, mask, n, first, mean * rfx_over(count), 1, lanes);
    rfx_fold(lanes, 1, &squares);
    return sqrt(squares * rfx_over(count - ddof));
}

#endif
