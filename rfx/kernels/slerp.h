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

static inline double rfx_atan_ratio(double u)
{
    double r = -0.017656020531304054;
    r = r * u + 0.03782979659306492;
    r = r * u - 0.05029808978781952;
    r = r * u + 0.058457120303033405;
    r = r * u - 0.06662792669157343;
    r = r * u + 0.07692031420339522;
    r = r * u - 0.0909089603067771;
    r = r * u + 0.11111110717862656;
    r = r * u - 0.1428571427870377;
    r = r * u + 0.19999999999935256;
    r = r * u - 0.333333333333331;
    return r * u + 1.0;
}

static inline double rfx_sin_ratio(double y)
{
    double r = 2.7206900590218867e-15;
    r = r * y - 7.64294426441843e-13;
    r = r * y + 1.6058937783104759e-10;
    r = r * y - 2.5052106830251334e-08;
    r = r * y + 2.75573192105823e-06;
    r = r * y - 0.0001984126984120493;
    r = r * y + 0.008333333333333175;
    r = r * y - 0.16666666666666666;
    return r * y + 1.0;
}

/* gap2 = |a - b|^2, sum2 = |a + b|^2, 0 <= t <= 1; the sign that takes the shorter way is in w1. */
static inline void rfx_slerp_pair(double gap2, double sum2, double t, double *w0, double *w1)
{
    double near2 = gap2 < sum2 ? gap2 : sum2;
    double far2 = gap2 < sum2 ? sum2 : gap2;
    double side = sum2 < gap2 ? -t : t;
    double s = 2.0 + sqrt(far2);
    double u = near2 / (s * s);
    double a = rfx_atan_ratio(u);
    double y = 16.0 * u * a * a;
    double whole = rfx_sin_ratio(y);
    double r = 1.0 - t;
    *w0 = r * rfx_sin_ratio(r * r * y) / whole;
    *w1 = side * rfx_sin_ratio(t * t * y) / whole;
}

RFX_CLONES static void rfx_slerp_weights(const double *restrict gap2, const double *restrict sum2,
                                         const double *restrict t, double *restrict w0, double *restrict w1,
                                         Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        rfx_slerp_pair(gap2[i], sum2[i], t[i], &w0[i], &w1[i]);
}

#endif
