"""rfx.kernels.trig: vectors that round as the C library does."""

import ctypes
import math
import sys

import numpy as np
import pytest

from rfx.kernels import trig


def kernel(name, *types):
    capsule = trig.__pyx_capi__[name]
    of = ctypes.pythonapi
    of.PyCapsule_GetName.restype, of.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    of.PyCapsule_GetPointer.restype = ctypes.c_void_p
    of.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None, *types)(of.PyCapsule_GetPointer(capsule, of.PyCapsule_GetName(capsule)))


POINTER, SIZE = ctypes.c_void_p, ctypes.c_ssize_t
sin_cos_n = kernel("sin_cos_n", POINTER, SIZE, POINTER, POINTER)
square_n = kernel("square_n", POINTER, SIZE, POINTER)
square_float_n = kernel("square_float_n", POINTER, SIZE, POINTER)
AWKWARD = [0.0, -0.0, 5e-324, 1e-300, 1e-160, 1e-9, 1e-8, 0.25, 0.5, 1.0, 2.0, 1024.0, 1024.1, 1e6, 1e22, 1e150]


def sin_cos(x):
    s, c = np.empty_like(x), np.empty_like(x)
    sin_cos_n(x.ctypes.data, len(x), s.ctypes.data, c.ctypes.data)
    return s, c


def square(x):
    out = np.empty_like(x)
    (square_n if x.dtype == np.float64 else square_float_n)(x.ctypes.data, len(x), out.ctypes.data)
    return out


def awkward():
    """Numbers near the multiples of pi / 4 and the powers of two, and the very small and large ones."""
    near = [np.arange(-1300, 1300) * (np.pi / 4)]
    for _ in range(4):
        near.append(np.nextafter(near[-1], np.inf))
    powers = 2.0 ** np.arange(-40, 20)
    return np.concatenate([*near, AWKWARD, np.negative(AWKWARD), powers, 1.0 - 2.0 ** -np.arange(2.0, 53)])


@pytest.mark.parametrize("reach", [1e-3, 0.25, 3.5, 60.0, 1100.0])
def test_sines_and_cosines_are_those_of_libm(reach):
    x = np.random.default_rng(0).uniform(-reach, reach, 100_003)
    s, c = sin_cos(x)
    assert s.tobytes() == np.array([math.sin(v) for v in x]).tobytes()
    assert c.tobytes() == np.array([math.cos(v) for v in x]).tobytes()


def test_awkward_angles_are_those_of_libm():
    x = awkward()
    s, c = sin_cos(x)
    assert s.tobytes() == np.array([math.sin(v) for v in x]).tobytes()
    assert c.tobytes() == np.array([math.cos(v) for v in x]).tobytes()


@pytest.mark.parametrize("off", 10.0 ** np.arange(-17.0, 0.0, 2.0))
def test_angles_near_the_multiples_of_a_quarter_turn_are_those_of_libm(off):
    rng = np.random.default_rng(3)
    x = rng.integers(-640, 640, 5000) * (np.pi / 2) + off * rng.uniform(-10, 10, 5000)
    s, c = sin_cos(x)
    assert s.tobytes() == np.array([math.sin(v) for v in x]).tobytes()
    assert c.tobytes() == np.array([math.cos(v) for v in x]).tobytes()


def test_what_is_not_finite_has_no_sine():
    s, c = sin_cos(np.array([np.nan, np.inf, -np.inf, 1.0]))
    assert np.isnan(s[:3]).all()
    assert np.isnan(c[:3]).all()
    assert s[3] == math.sin(1.0)


@pytest.mark.parametrize("reach", [1e-7, 1e-3, 1.0, 8.0, 1e7])
def test_squares_are_those_of_pow(reach):
    x = np.concatenate([np.random.default_rng(1).uniform(-reach, reach, 100_003), awkward()])
    assert square(x).tobytes() == np.array([math.pow(v, 2.0) for v in x]).tobytes()


@pytest.mark.skipif(sys.platform == "win32", reason="the C library is not to be had by this way")
@pytest.mark.parametrize("reach", [1e-13, 1e-3, 2.0, 100.0])
def test_squares_of_float32_are_those_of_powf(reach):
    powf = ctypes.CDLL(None).powf
    powf.restype, powf.argtypes = ctypes.c_float, [ctypes.c_float, ctypes.c_float]
    x = np.concatenate([np.random.default_rng(2).uniform(-reach, reach, 50_003), AWKWARD[5:12]]).astype(np.float32)
    assert square(x).tobytes() == np.array([powf(v, 2.0) for v in x], np.float32).tobytes()


def test_nothing_is_done_for_none():
    sin_cos_n(None, 0, None, None)
    square_n(None, 0, None)
    square_float_n(None, 0, None)
