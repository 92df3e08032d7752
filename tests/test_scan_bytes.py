"""The scans give the same bytes on every CPU: compiled for each instruction set by itself, and compared."""

import ctypes

import numpy as np
import pytest
from instruction_sets import built

SOURCE = """
#include "scan_vtrace.h"
#define FACE(R, S) \\
    void gae_rows_##S(const R *const *a, const unsigned char *e, const unsigned char *c, R *x, R *y, long t, long n) \\
    { rfx_gae_rows_##S(a[0], a[1], e, c, a[2], a[3], (R)0.99, (R)0.95, x, y, t, n); } \\
    void gae_one_##S(const R *const *a, const unsigned char *e, const unsigned char *c, R *x, R *y, long t, long n) \\
    { rfx_gae_one_##S(a[0], a[1], e, c, a[2], a[3][0], (R)0.99, (R)0.95, x, y, t * n); } \\
    void vtrace_rows_##S(const R *const *a, const unsigned char *e, const unsigned char *c, R *x, R *y, long t, long n) \\
    { rfx_vtrace_##S p = {(R)0.99, (R)0.9, 1, (R)0.8, INFINITY}; \\
      rfx_vtrace_rows_##S(&p, a[4], a[0], a[1], e, c, a[2], a[3], x, y, t, n); } \\
    void vtrace_one_##S(const R *const *a, const unsigned char *e, const unsigned char *c, R *x, R *y, long t, long n) \\
    { rfx_vtrace_##S p = {(R)0.99, 1, 1, 1, 1}; \\
      rfx_vtrace_one_##S(&p, a[4], a[0], a[1], e, c, a[2], a[3][0], x, y, t * n); }
FACE(float, f)
FACE(double, d)
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    return built(tmp_path_factory.mktemp("scan"), SOURCE, "-DRFX_SCALAR")


@pytest.mark.parametrize("function", ["gae_rows", "gae_one", "vtrace_rows", "vtrace_one"])
@pytest.mark.parametrize(("dtype", "suffix"), [(np.float32, "f"), (np.float64, "d")])
def test_every_instruction_set_gives_the_same_bytes(libraries, function, dtype, suffix):
    rng = np.random.default_rng(0)
    for steps, n in [(1, 1), (9, 7), (64, 33), (300, 5)]:
        rewards, values, final, log_rhos = rng.normal(size=(4, steps, n)).astype(dtype)
        last = rng.normal(size=n).astype(dtype)
        ended, cut = rng.random((2, steps, n)) < 0.05
        results = {}
        for name, library in libraries.items():
            out = np.zeros((2, steps, n), dtype)
            arrays = (ctypes.c_void_p * 5)(*[a.ctypes.data for a in (rewards, values, final, last, log_rhos)])
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in (ended, cut, out[0], out[1])]
            getattr(library, f"{function}_{suffix}")(arrays, *pointers, ctypes.c_long(steps), ctypes.c_long(n))
            results[name] = out
        for out in results.values():
            assert np.isfinite(out).all()
            assert out.tobytes() == results["plain"].tobytes()
