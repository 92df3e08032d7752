/* A block of cars in a valley, with the physics of each in rows beside its state. */
#ifndef RFX_MOUNTAIN_CAR_H
#define RFX_MOUNTAIN_CAR_H

#include <stdint.h>

#include "rotation_rows.h" /* RFX_CLONES, RFX_INLINE */

/* Three times the position, whose cosine is the slope; in float32 where Gymnasium has the state in float32. */
RFX_CLONES static void rfx_car_angle(const double *restrict position, const int64_t *restrict steps, Py_ssize_t n,
                                     double *restrict angle)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double wide = 3 * position[i], narrow = (double)(3 * (float)position[i]);
        angle[i] = steps[i] ? narrow : wide;
    }
}

RFX_CLONES static void rfx_car_block(const double *restrict force, const double *restrict gravity,
                                     const double *restrict goal_velocity, const double *restrict slope,
                                     const int64_t *restrict actions, Py_ssize_t n, double *restrict position,
                                     double *restrict velocity, int64_t *restrict done)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double v = velocity[i] + ((double)(actions[i] - 1) * force[i] + slope[i] * -gravity[i]), x;
        v = v < -0.07 ? -0.07 : v;
        v = v > 0.07 ? 0.07 : v;
        x = position[i] + v;
        x = x < -1.2 ? -1.2 : x;
        x = x > 0.6 ? 0.6 : x;
        v = (x == -1.2) & (v < 0.0) ? 0.0 : v;
        position[i] = x;
        velocity[i] = v;
        done[i] = (x >= 0.5) & (v >= goal_velocity[i]);
    }
}

/* One step with the numbers in REAL: after an episode's first step Gymnasium has the state in float32, before it in float64.
 * What is only Python's float there adapts: to float32 beside a float32 state or action, to float64 beside its own kind.
 */
#define RFX_CONTINUOUS_CAR(REAL, NAME)                                                                                   \
    RFX_INLINE int64_t NAME(double power, double gravity, double goal_velocity, double slope, float action,            \
                              double *position, double *velocity)                                                        \
    {                                                                                                                    \
        int beyond = (action < -1.0f) | (action > 1.0f);                                                                 \
        double pull = gravity * slope, side = action < 0.0f ? -1.0 : 1.0;                                                \
        REAL push = beyond ? (REAL)(side * power - pull) : (REAL)(action * (float)power - (float)pull);                  \
        REAL v = (REAL)*velocity + push, x;                                                                              \
        v = v > (REAL)0.07 ? (REAL)0.07 : v;                                                                             \
        v = v < (REAL)-0.07 ? (REAL)-0.07 : v;                                                                           \
        x = (REAL)*position + v;                                                                                         \
        x = x > (REAL)0.6 ? (REAL)0.6 : x;                                                                               \
        x = x < (REAL)-1.2 ? (REAL)-1.2 : x;                                                                             \
        v = (x == (REAL)-1.2) & (v < 0) ? 0 : v;                                                                         \
        *position = (float)x;                                                                                            \
        *velocity = (float)v;                                                                                            \
        return (x >= (REAL)0.45) & (v >= (REAL)goal_velocity);                                                           \
    }

RFX_CONTINUOUS_CAR(double, rfx_continuous_car_first)
RFX_CONTINUOUS_CAR(float, rfx_continuous_car_later)

RFX_CLONES static void rfx_continuous_car_block(const double *restrict power, const double *restrict gravity,
                                                const double *restrict goal_velocity, const double *restrict slope,
                                                const float *restrict actions, const int64_t *restrict steps,
                                                Py_ssize_t n, double *restrict position, double *restrict velocity,
                                                double *restrict rewards, int64_t *restrict done)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double x = position[i], v = velocity[i], x_later = x, v_later = v, a = actions[i];
        int64_t first = rfx_continuous_car_first(power[i], gravity[i], goal_velocity[i], slope[i], actions[i], &x, &v);
        int64_t later =
            rfx_continuous_car_later(power[i], gravity[i], goal_velocity[i], slope[i], actions[i], &x_later, &v_later);
        int64_t fresh = steps[i] == 0, end = fresh ? first : later;
        position[i] = fresh ? x : x_later;
        velocity[i] = fresh ? v : v_later;
        done[i] = end;
        rewards[i] = (end ? 100.0 : 0.0) - a * a * 0.1; /* a * a is exact */
    }
}

RFX_CLONES static void rfx_car_observe(const double *restrict position, const double *restrict velocity, Py_ssize_t n,
                                       float *restrict obs)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        obs[2 * i] = (float)position[i];
        obs[2 * i + 1] = (float)velocity[i];
    }
}

#endif
