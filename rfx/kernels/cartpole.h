/* A block of poles on carts, with the physics of each in rows beside its state; sines and cosines are given. */
#ifndef RFX_CARTPOLE_H
#define RFX_CARTPOLE_H

#include <stdint.h>

#include "rotation_rows.h" /* RFX_CLONES */

/* One explicit Euler step: all rates are those before the step. Each operation is rounded on its own, in Gymnasium's order. */
RFX_CLONES static void rfx_cartpole_block(const double *restrict gravity, const double *restrict masscart,
                                          const double *restrict masspole, const double *restrict length,
                                          const double *restrict force_mag, const double *restrict tau,
                                          const double *restrict s, const double *restrict c,
                                          const int64_t *restrict actions, Py_ssize_t n, double *restrict x,
                                          double *restrict x_dot, double *restrict theta, double *restrict theta_dot,
                                          int64_t *restrict out_of_bounds)
{
    const double most = 12 * 2 * 3.141592653589793 / 360;
    for (Py_ssize_t i = 0; i < n; i++) {
        double total = masspole[i] + masscart[i], pole = masspole[i] * length[i];
        double force = actions[i] == 1 ? force_mag[i] : -force_mag[i];
        double temp = (force + pole * (theta_dot[i] * theta_dot[i]) * s[i]) / total;
        double theta_acc = (gravity[i] * s[i] - c[i] * temp) / (length[i] * (4.0 / 3.0 - masspole[i] * (c[i] * c[i]) / total));
        double x_acc = temp - pole * theta_acc * c[i] / total;
        double at = x[i] + tau[i] * x_dot[i], lean = theta[i] + tau[i] * theta_dot[i];
        x[i] = at;
        x_dot[i] += tau[i] * x_acc;
        theta[i] = lean;
        theta_dot[i] += tau[i] * theta_acc;
        out_of_bounds[i] = (at < -2.4) | (at > 2.4) | (lean < -most) | (lean > most);
    }
}

RFX_CLONES static void rfx_cartpole_observe(const double *restrict x, const double *restrict x_dot,
                                            const double *restrict theta, const double *restrict theta_dot, Py_ssize_t n,
                                            float *restrict obs)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        obs[4 * i] = (float)x[i];
        obs[4 * i + 1] = (float)x_dot[i];
        obs[4 * i + 2] = (float)theta[i];
        obs[4 * i + 3] = (float)theta_dot[i];
    }
}

#endif
