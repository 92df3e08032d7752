/* Activations in float without a call to libm, so that a compiler makes vectors of them; the same bytes on every CPU. */
#ifndef RFX_MLP_ACTIVATIONS_H
#define RFX_MLP_ACTIVATIONS_H

#include <Python.h>
#include <math.h>

#include "clones.h"
#include "exp_single.h"

/* exp(x) - 1 for x <= 0, small x without cancellation: 2^k (r + r^2 Q(r)) + (2^k - 1), with the reduction and the
 * polynomial of exp_single.h. Below -80 it is -1; NaN gives NaN. */
RFX_INLINE float rfx_expm1_below(float x)
{
    float low = x < -80.0f ? -80.0f : x;
    float shifted = low * 1.44269504f + RFX_MAGIC_SINGLE;
    float k = shifted - RFX_MAGIC_SINGLE;
    float r = (low - k * 0.693145752f) - k * 1.42860677e-06f, v = r * r;
    float even = 0.0013926183587713494f * v + 0.041666554617204574f;
    float odd = 0.008363179052722578f * v + 0.16666576989698775f;
    float power;
    uint32_t bits; /* of 2^k */
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127) << 23;
    memcpy(&power, &bits, 4);
    return (r + v * ((even * v + 0.5f) + r * odd)) * power + (power - 1.0f);
}

/* tanh |x| = -e / (2 + e) with e = exp(-2 |x|) - 1, which keeps its relative precision at 0. */
RFX_INLINE float rfx_tanh_single(float x)
{
    float e = rfx_expm1_below(-2.0f * fabsf(x));
    return copysignf(-e / (2.0f + e), x);
}

RFX_CLONES static void rfx_tanh_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] = rfx_tanh_single(x[i]);
}

RFX_CLONES static void rfx_relu_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] = x[i] < 0.0f ? 0.0f : x[i]; /* NaN stays NaN */
}

/* Clevert, Unterthiner and Hochreiter 2015, alpha = 1: x above 0, exp(x) - 1 below. */
RFX_CLONES static void rfx_elu_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        float below = rfx_expm1_below(x[i] > 0.0f ? 0.0f : x[i]);
        x[i] = x[i] > 0.0f ? x[i] : below;
    }
}

RFX_CLONES static void rfx_leaky_relu_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] = x[i] < 0.0f ? 0.01f * x[i] : x[i];
}

RFX_INLINE float rfx_sigmoid(float x) { return 1.0f / (1.0f + rfx_exp_single(-x)); }

RFX_CLONES static void rfx_sigmoid_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] = rfx_sigmoid(x[i]);
}

/* x / (1 + exp(-x)), also called swish. */
RFX_CLONES static void rfx_silu_n(float *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] = x[i] / (1.0f + rfx_exp_single(-x[i]));
}

/* Hochreiter and Schmidhuber 1997, with a forget gate: c' = f c + i g, h' = o tanh(c'), with i, f, o = sigmoid(a + b) and
 * g = tanh(a + b). a and b are the gates i, f, g, o from the input and from h, `width` apart; old and fresh are h, then c.
 */
RFX_CLONES static void rfx_lstm_gates(const float *restrict a, const float *restrict b, const float *restrict old,
                                      float *restrict fresh, Py_ssize_t width)
{
    for (Py_ssize_t j = 0; j < width; j++) {
        float in = rfx_sigmoid(a[j] + b[j]), forget = rfx_sigmoid(a[width + j] + b[width + j]);
        float cell = rfx_tanh_single(a[2 * width + j] + b[2 * width + j]);
        float out = rfx_sigmoid(a[3 * width + j] + b[3 * width + j]), c = forget * old[width + j] + in * cell;
        fresh[width + j] = c;
        fresh[j] = out * rfx_tanh_single(c);
    }
}

/* Cho and others 2014, in the form that cuDNN and PyTorch use: h' = (1 - z) n + z h, with r, z = sigmoid(a + b) and
 * n = tanh(a + r b). a and b are the gates r, z, n from the input and from h, `width` apart.
 */
RFX_CLONES static void rfx_gru_gates(const float *restrict a, const float *restrict b, const float *restrict old,
                                     float *restrict fresh, Py_ssize_t width)
{
    for (Py_ssize_t j = 0; j < width; j++) {
        float reset = rfx_sigmoid(a[j] + b[j]), keep = rfx_sigmoid(a[width + j] + b[width + j]);
        float fresh_h = rfx_tanh_single(a[2 * width + j] + reset * b[2 * width + j]);
        fresh[j] = (1.0f - keep) * fresh_h + keep * old[j];
    }
}

#endif
