/* A block of pendulums, with the physics of each in rows beside its state. Sines and squares are given. */
#ifndef RFX_PENDULUM_H
#define RFX_PENDULUM_H

#include <math.h>
#include <stdint.h>

#include "rotation_rows.h" /* RFX_CLONES */

#define RFX_TURN 6.283185307179586
#define RFX_HALF_TURN 3.141592653589793

/* The angle within [-pi, pi), by a remainder with the sign of the divisor, and the torque within its bounds.
 * The remainder is exact up to 1024 turns, as fmod's is: a turn is split, and the number of turns times the first 33 bits has
 * no rounding; far beyond that `far_off` is set.
 */
RFX_CLONES static void rfx_pendulum_wrap(const double *restrict theta, const float *restrict torque, Py_ssize_t n,
                                         double *restrict off, float *restrict u, int64_t *restrict far_off)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double angle = theta[i] + RFX_HALF_TURN, size = fabs(angle);
        double turns = (size * 0.15915494309189535 + 6755399441055744.0) - 6755399441055744.0;
        double rest = (size - turns * 6.2831853069365025) - turns * 2.430837753308879e-10;
        rest = rest < 0.0 ? rest + RFX_TURN : rest;
        rest = angle < 0.0 ? -rest : rest;
        rest = rest < 0.0 ? rest + RFX_TURN : rest;
        off[i] = rest - RFX_HALF_TURN;
        far_off[i] = size <= 6000.0 ? 0 : 1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        float v = torque[i];
        v = v < -2.0f ? -2.0f : v;
        u[i] = v > 2.0f ? 2.0f : v;
    }
}

/* What multiplies the sine of the angle, and the torque. */
RFX_CLONES static void rfx_pendulum_factors(const double *restrict gravity, const double *restrict mass,
                                            const double *restrict length, const double *restrict length_squared,
                                            Py_ssize_t n, double *restrict swing, float *restrict push)
{
    for (Py_ssize_t i = 0; i < n; i++)
        swing[i] = 3.0 * gravity[i] / (2.0 * length[i]);
    for (Py_ssize_t i = 0; i < n; i++)
        push[i] = (float)(3.0 / (mass[i] * length_squared[i]));
}

/* One semi-implicit Euler step; the reward is for where it was. Torques are float32, and so is what Gymnasium computes of a
 * torque alone; all else is float64.
 */
RFX_CLONES static void rfx_pendulum_block(const double *restrict swing, const float *restrict push,
                                          const double *restrict off_squared, const double *restrict rate_squared,
                                          const float *restrict u, const float *restrict u_squared,
                                          const double *restrict s, Py_ssize_t n, double *restrict theta,
                                          double *restrict theta_dot, double *restrict rewards)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double rate = theta_dot[i] + (swing[i] * s[i] + (double)(push[i] * u[i])) * 0.05;
        rate = rate < -8.0 ? -8.0 : rate;
        rate = rate > 8.0 ? 8.0 : rate;
        rewards[i] = -(off_squared[i] + 0.1 * rate_squared[i] + (double)(0.001f * u_squared[i]));
        theta[i] += rate * 0.05;
        theta_dot[i] = rate;
    }
}

RFX_CLONES static void rfx_pendulum_observe(const double *restrict theta_dot, const double *restrict s,
                                            const double *restrict c, Py_ssize_t n, float *restrict obs)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        obs[3 * i] = (float)c[i];
        obs[3 * i + 1] = (float)s[i];
        obs[3 * i + 2] = (float)theta_dot[i];
    }
}

#endif
