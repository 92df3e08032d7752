/* A block of acrobots: two links, a motor in the joint between, with the physics of each in rows beside its state. */
#ifndef RFX_ACROBOT_H
#define RFX_ACROBOT_H

#include <math.h>
#include <stdint.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

/* The angles whose sines and cosines the rates need. */
RFX_CLONES static void rfx_acrobot_angles(const double *restrict theta1, const double *restrict theta2, Py_ssize_t n,
                                          double *restrict both, double *restrict upper)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        both[i] = theta1[i] + theta2[i] - 1.5707963267948966;
        upper[i] = theta1[i] - 1.5707963267948966;
    }
}

/* The moments d1 and d2 of Sutton and Barto's book; lengths come with their squares. */
RFX_CLONES static void rfx_acrobot_masses(const double *restrict m1, const double *restrict m2, const double *restrict l1,
                                         const double *restrict l1_squared, const double *restrict com1,
                                         const double *restrict com1_squared, const double *restrict com2,
                                         const double *restrict com2_squared, const double *restrict inertia,
                                         const double *restrict c2, Py_ssize_t n, double *restrict d1, double *restrict d2)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        d1[i] = m1[i] * com1_squared[i] + m2[i] * (l1_squared[i] + com2_squared[i] + 2 * l1[i] * com2[i] * c2[i]) + inertia[i]
            + inertia[i];
        d2[i] = m2[i] * (com2_squared[i] + l1[i] * com2[i] * c2[i]) + inertia[i];
    }
}

/* The accelerations of the two joints; actions 0, 1, 2 are torques of -1, 0, 1 Nm. */
RFX_CLONES static void rfx_acrobot_accelerations(
    const double *restrict m1, const double *restrict m2, const double *restrict l1, const double *restrict com1,
    const double *restrict com2, const double *restrict com2_squared, const double *restrict inertia,
    const double *restrict d1, const double *restrict d2, const double *restrict d2_squared, const double *restrict s2,
    const double *restrict c_both, const double *restrict c_upper, const double *restrict rate1,
    const double *restrict rate1_squared, const double *restrict rate2, const double *restrict rate2_squared,
    const int64_t *restrict actions, Py_ssize_t n, double *restrict a1, double *restrict a2)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double torque = (double)(actions[i] - 1);
        double phi2 = m2[i] * com2[i] * 9.8 * c_both[i];
        double phi1 = -m2[i] * l1[i] * com2[i] * rate2_squared[i] * s2[i]
            - 2 * m2[i] * l1[i] * com2[i] * rate2[i] * rate1[i] * s2[i]
            + (m1[i] * com1[i] + m2[i] * l1[i]) * 9.8 * c_upper[i] + phi2;
        double fast = (torque + d2[i] / d1[i] * phi1 - m2[i] * l1[i] * com2[i] * rate1_squared[i] * s2[i] - phi2)
            / (m2[i] * com2_squared[i] + inertia[i] - d2_squared[i] / d1[i]);
        a2[i] = fast;
        a1[i] = -(d2[i] * fast + phi1) / d1[i];
    }
}

/* out = y + dt / part k, for the next stage of Runge and Kutta's method. */
RFX_CLONES static void rfx_acrobot_stage(const double *restrict y, const double *restrict k, const double *restrict dt,
                                         double part, Py_ssize_t n, double *restrict out)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = y[i] + dt[i] / part * k[i];
}

/* y + dt / 6 (k1 + 2 k2 + 2 k3 + k4) */
RFX_CLONES static void rfx_acrobot_sum(const double *restrict k1, const double *restrict k2, const double *restrict k3,
                                       const double *restrict k4, const double *restrict dt, Py_ssize_t n,
                                       double *restrict y)
{
    for (Py_ssize_t i = 0; i < n; i++)
        y[i] = y[i] + dt[i] / 6.0 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
}

RFX_CLONES static void rfx_acrobot_bound(double *restrict x, double most, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double v = x[i];
        v = v < -most ? -most : v;
        x[i] = v > most ? most : v;
    }
}

/* Within [-pi, pi] by whole turns, one after another, as each is rounded; from very far off by the remainder. */
RFX_INLINE double rfx_acrobot_wrap(double x)
{
    if (!(fabs(x) < 1e4))
        x = fmod(x, 6.283185307179586);
    while (x > 3.141592653589793)
        x = x - 6.283185307179586;
    while (x < -3.141592653589793)
        x = x + 6.283185307179586;
    return x;
}

#endif
