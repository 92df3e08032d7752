/* Layers of small networks in float, a few rows at a time, written so that a compiler makes vectors of them: each output
 * is a lane of its own and sums over inputs have one fixed order, so that every instruction set, and a row alone or among
 * others, gives the same bytes. Contraction is off. Rows are `step` apart; widths are padded to whole lanes by the caller.
 */
#ifndef RFX_MLP_H
#define RFX_MLP_H

#include <Python.h>
#include <math.h>

#include "clones.h"
#include "mlp_activations.h"

#define RFX_NORM_LANES 16

/* y = W x + b. w is W transposed, (inputs, width): row k is what input k gives to every output. Four inputs at a time,
 * y[j] += (x0 w0[j] + x1 w1[j]) + (x2 w2[j] + x3 w3[j]); the caller pads the inputs to fours. All rows share one pass over
 * the weights.
 */
RFX_CLONES static void rfx_dense(const float *restrict w, const float *restrict bias, const float *restrict x,
                                 float *restrict y, Py_ssize_t step, Py_ssize_t inputs, Py_ssize_t width, Py_ssize_t rows)
{
    width &= ~(Py_ssize_t)15; /* as it is: so the compiler knows */
    for (Py_ssize_t r = 0; r < rows; r++)
        for (Py_ssize_t j = 0; j < width; j++)
            y[r * step + j] = bias[j];
    for (Py_ssize_t k = 0; k < inputs; k += 4, w += 4 * width) {
        const float *w1 = w + width, *w2 = w1 + width, *w3 = w2 + width;
        for (Py_ssize_t r = 0; r < rows; r++) {
            const float x0 = x[r * step + k], x1 = x[r * step + k + 1], x2 = x[r * step + k + 2], x3 = x[r * step + k + 3];
            float *restrict out = y + r * step;
            for (Py_ssize_t j = 0; j < width; j++)
                out[j] += (x0 * w[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j]);
        }
    }
}

/* Sum of n numbers in lanes of their own, added in a fixed order: a compiler may not do that to a plain sum. */
RFX_INLINE float rfx_lane_sum(const float *restrict x, float shift, int squared, Py_ssize_t n)
{
    float lanes[RFX_NORM_LANES] = {0};
    Py_ssize_t i = 0;
    for (; i + RFX_NORM_LANES <= n; i += RFX_NORM_LANES)
        for (int k = 0; k < RFX_NORM_LANES; k++) {
            const float d = x[i + k] - shift;
            lanes[k] += squared ? d * d : d;
        }
    for (int k = 0; i < n; i++, k++) {
        const float d = x[i] - shift;
        lanes[k] += squared ? d * d : d;
    }
    for (int half = RFX_NORM_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            lanes[k] += lanes[k + half];
    return lanes[0];
}

/* Ba, Kiros and Hinton 2016: y = (x - mean) / sqrt(variance + eps) * gain + bias over the n numbers of a row. */
RFX_CLONES static void rfx_layer_norm(const float *restrict gain, const float *restrict bias, float eps, float *restrict x,
                                      Py_ssize_t step, Py_ssize_t n, Py_ssize_t rows)
{
    for (Py_ssize_t r = 0; r < rows; r++, x += step) {
        const float mean = rfx_lane_sum(x, 0.0f, 0, n) / (float)n;
        const float deviation = sqrtf(rfx_lane_sum(x, mean, 1, n) / (float)n + eps);
        for (Py_ssize_t i = 0; i < n; i++)
            x[i] = (x[i] - mean) / deviation * gain[i] + bias[i];
    }
}

/* x = (x - shift) / divisor * factor + offset, then into [low, high]; NaN stays NaN. Six rows of `width` in p. */
RFX_CLONES static void rfx_affine(const float *restrict p, float *restrict x, Py_ssize_t step, Py_ssize_t width,
                                  Py_ssize_t rows)
{
    const float *shift = p, *divisor = p + width, *factor = p + 2 * width, *offset = p + 3 * width,
                *low = p + 4 * width, *high = p + 5 * width;
    for (Py_ssize_t r = 0; r < rows; r++, x += step)
        for (Py_ssize_t i = 0; i < width; i++) {
            float y = (x[i] - shift[i]) / divisor[i] * factor[i] + offset[i];
            y = y < low[i] ? low[i] : y;
            x[i] = y > high[i] ? high[i] : y;
        }
}

/* Whether all n numbers are finite: what is not has x - x different from 0. */
RFX_CLONES static int rfx_all_finite_f(const float *restrict x, Py_ssize_t n)
{
    int bad = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        bad |= !(x[i] - x[i] == 0.0f);
    return !bad;
}

#endif
