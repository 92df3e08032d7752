"""The layers of rfx.kernels.mlp give the same bytes on every CPU: compiled for each instruction set, and compared."""

import ctypes

import numpy as np
import pytest
from instruction_sets import built

SOURCE = """
#include "mlp.h"
void dense(const float *w, const float *b, const float *x, float *y, long step, long inputs, long width, long rows)
{ rfx_dense(w, b, x, y, step, inputs, width, rows); }
void norm(const float *gain, const float *bias, float *x, long n) { rfx_layer_norm(gain, bias, 1e-5f, x, 0, n, 1); }
void affine(const float *p, float *x, long width) { rfx_affine(p, x, 0, width, 1); }
void activate(int which, float *x, long n)
{ void (*all[])(float *, Py_ssize_t) = {rfx_tanh_n, rfx_relu_n, rfx_leaky_relu_n, rfx_elu_n, rfx_silu_n, rfx_sigmoid_n};
  all[which](x, n); }
void gates(int lstm, const float *a, const float *b, const float *old, float *fresh, long width)
{ if (lstm) rfx_lstm_gates(a, b, old, fresh, width); else rfx_gru_gates(a, b, old, fresh, width); }
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    return built(tmp_path_factory.mktemp("mlp"), SOURCE)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def everything(library):
    """All layers on the same numbers, as bytes."""
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(4, 64)) * 4).astype(np.float32)
    results = []
    w, b = rng.normal(size=(48, 64)).astype(np.float32), rng.normal(size=64).astype(np.float32)
    y = np.empty((4, 64), np.float32)
    library.dense(pointer(w), pointer(b), pointer(x), pointer(y), *map(ctypes.c_long, (64, 48, 64, 4)))
    results.append(y)
    for which in range(6):
        y = np.concatenate([x.ravel(), 30 * x.ravel()])
        library.activate(which, pointer(y), ctypes.c_long(y.size))
        results.append(y)
    y = x[0].copy()
    library.norm(pointer(w), pointer(b), pointer(y), ctypes.c_long(61))
    results.append(y)
    p = np.abs(rng.normal(size=(6, 64))).astype(np.float32)
    p[4] = -p[4]
    y = x[1].copy()
    library.affine(pointer(p), pointer(y), ctypes.c_long(64))
    results.append(y)
    for lstm in (0, 1):
        y = np.empty(32, np.float32)
        library.gates(lstm, pointer(x), pointer(w), pointer(b), pointer(y), ctypes.c_long(16))
        results.append(y[: 16 * (1 + lstm)])
    return [r.tobytes() for r in results]


def test_every_instruction_set_gives_the_same_bytes(libraries):
    results = {name: everything(library) for name, library in libraries.items()}
    assert len(results) >= 2
    for name, result in results.items():
        assert result == results["scalar"], name
