"""Groups, moments and weight updates give the same bytes on every CPU: compiled for each instruction set, compared."""

import ctypes

import numpy as np
import pytest
from instruction_sets import built

SOURCE = """
#include "groups.h"
#include "moments.h"
#include "blend.h"
int even(const double *r, long n, long size, const rfx_group_rule *rule, double *out)
{ return rfx_even_groups(r, n, size, rule, out); }
int ragged(const double *r, const long long *offsets, long n, const rfx_group_rule *rule, double *out)
{ return rfx_ragged_groups(r, offsets, n, rule, out); }
#define FACE(R, S) \\
    void sums_##S(const R *x, long rows, long width, double *a, double *b) \\
    { rfx_column_sums_##S(x, width, rows, a, b, width); } \\
    void ema_##S(const R *x, long n, double *mean, double *var) { rfx_ema_row_##S(x, 0.1, mean, var, n); } \\
    int blend_##S(R *t, const R *s, long n) { return rfx_blend_##S(t, s, (R)0.005, n); } \\
    int toward_##S(R *t, const R *s, long n) { return rfx_toward_##S(t, s, (R)0.005, n); }
FACE(float, f)
FACE(double, d)
"""
REALS = pytest.mark.parametrize(("dtype", "suffix"), [(np.float32, "f"), (np.float64, "d")])


class Rule(ctypes.Structure):
    _fields_ = [("by_group", ctypes.c_int), ("leave_one_out", ctypes.c_int)] + [
        (name, ctypes.c_double) for name in ("shared", "ddof", "eps", "std_floor")
    ]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    return built(tmp_path_factory.mktemp("sums"), SOURCE)


def at(array):
    return ctypes.c_void_p(array.ctypes.data)


def same(libraries, call):
    """``call(library)`` gives arrays: the same bytes from all."""
    results = {name: [a.tobytes() for a in call(library)] for name, library in libraries.items()}
    assert all(r == results["scalar"] for r in results.values())


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 32, 33, 64, 100])
@pytest.mark.parametrize("rule", [Rule(1, 0, 0, 0, 0, 1e-8), Rule(1, 1, 0, 1, 1e-4, 1e-8), Rule(0, 1, 1, 0, 0, 0)])
def test_groups(libraries, size, rule):
    rng = np.random.default_rng(size)
    rewards = rng.normal(size=size * 37)
    offsets = np.sort(np.concatenate([[0, rewards.size], rng.integers(0, rewards.size, 20)])).astype(np.int64)

    def call(library):
        even, ragged = np.zeros((2, rewards.size))
        library.even(at(rewards), ctypes.c_long(37), ctypes.c_long(size), ctypes.byref(rule), at(even))
        library.ragged(at(rewards), at(offsets), ctypes.c_long(21), ctypes.byref(rule), at(ragged))
        return even, ragged

    same(libraries, call)


@REALS
@pytest.mark.parametrize("width", [1, 3, 8, 17, 31, 47, 48, 49, 96, 100])
def test_moments(libraries, width, dtype, suffix):
    for rows in (1, 2, 3, 5, 64, 127, 128):
        x = np.random.default_rng(rows).normal(3.0, 2.0, (rows, width)).astype(dtype)

        def call(library, x=x, rows=rows):
            s1, s2, mean, var = np.zeros((4, width))
            getattr(library, f"sums_{suffix}")(at(x), ctypes.c_long(rows), ctypes.c_long(width), at(s1), at(s2))
            for row in x:
                getattr(library, f"ema_{suffix}")(at(row), ctypes.c_long(width), at(mean), at(var))
            return s1, s2, mean, var

        same(libraries, call)


@REALS
@pytest.mark.parametrize("name", ["blend", "toward"])
def test_weight_updates(libraries, name, dtype, suffix):
    for n in (1, 15, 16, 63, 127, 128, 129, 1000, 4099):
        target, source = np.random.default_rng(n).normal(size=(2, n)).astype(dtype)
        source[n // 2] = np.nan

        def call(library, target=target, source=source, n=n):
            made = target.copy()
            assert not getattr(library, f"{name}_{suffix}")(at(made), at(source), ctypes.c_long(n))
            assert made[n // 2] == target[n // 2]
            return (made,)

        same(libraries, call)
