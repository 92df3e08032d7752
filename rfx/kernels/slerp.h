/* Weights of the shortest-path spherical interpolation without a call to libm, so that a compiler can make vectors of it.
 *
 * With gap = |a - b| and sum = |a + b| of two unit quaternions, theta the angle between them (Shoemake 1985):
 *     tan(theta / 4) = gap / (2 + sum),    theta^2 = 16 u A(u)^2,  u = gap^2 / (2 + sum)^2,  A(u) = atan(sqrt u) / sqrt u
 *     w0 = sin((1 - t) theta) / sin(theta) = (1 - t) S((1 - t)^2 theta^2) / S(theta^2),      S(y) = sin(sqrt y) / sqrt y
 *     w1 = t S(t^2 theta^2) / S(theta^2)
 * Flipping the sign of b swaps gap and sum, so the shorter way is the one with gap <= sum and theta <= pi / 2.
 * A and S are even in their roots, hence neither a division by sin(theta) nor a special case for theta = 0 is left.
 * The polynomials are Chebyshev fits made with 50 digits: error 1.5e-18 for A on [0, tan(pi/8)^2], 2.3e-19 for S on [0, (pi/2)^2].
 */
#ifndef RFX_SLERP_H
#define RFX_SLERP_H

#include <math.h>

#include "rotation_rows.h" /* RFX_CLONES */

/* Even and odd powers apart: two short chains instead of a long one. */
static inline double rfx_atan_ratio(double u)
{
    double v = u * u;
    double odd = -0.017656020531304054, even = 0.03782979659306492;
    odd = odd * v - 0.05029808978781952;
    even = even * v + 0.058457120303033405;
    odd = odd * v - 0.06662792669157343;
    even = even * v + 0.07692031420339522;
    odd = odd * v - 0.0909089603067771;
    even = even * v + 0.11111110717862656;
    odd = odd * v - 0.1428571427870377;
    even = even * v + 0.19999999999935256;
    odd = odd * v - 0.333333333333331;
    return (even * v + 1.0) + u * odd;
}

static inline double rfx_sin_ratio(double y)
{
    double v = y * y;
    double even = 2.7206900590218867e-15, odd = -7.64294426441843e-13;
    even = even * v + 1.6058937783104759e-10;
    odd = odd * v - 2.5052106830251334e-08;
    even = even * v + 2.75573192105823e-06;
    odd = odd * v - 0.0001984126984120493;
    even = even * v + 0.008333333333333175;
    odd = odd * v - 0.16666666666666666;
    return (even * v + 1.0) + y * odd;
}

/* gap2 = |a - b|^2, sum2 = |a + b|^2, 0 <= t <= 1; the sign that takes the shorter way is in w1. t = 0 gives 1 exactly. */
static inline void rfx_slerp_pair(double gap2, double sum2, double t, double *w0, double *w1)
{
    double near2 = gap2 < sum2 ? gap2 : sum2;
    double far2 = gap2 < sum2 ? sum2 : gap2;
    double side = sum2 < gap2 ? -t : t;
    double s = 2.0 + sqrt(far2);
    double u = near2 / (s * s);
    double a = rfx_atan_ratio(u);
    double y = 16.0 * u * (a * a);
    double whole = 1.0 / rfx_sin_ratio(y);
    double r = 1.0 - t;
    double first = r * rfx_sin_ratio(r * r * y) * whole;
    *w0 = t == 0.0 ? 1.0 : first;
    *w1 = side * rfx_sin_ratio(t * t * y) * whole;
}

RFX_CLONES static void rfx_slerp_weights(const double *restrict gap2, const double *restrict sum2,
                                         const double *restrict t, double *restrict w0, double *restrict w1,
                                         Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        rfx_slerp_pair(gap2[i], sum2[i], t[i], &w0[i], &w1[i]);
}

#endif
