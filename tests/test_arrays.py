"""rfx.arrays: what is checked at the door."""

import math

import numpy as np
import pytest

from rfx import arrays
from rfx.errors import DTypeError, InvalidValueError, ShapeError


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_number_refuses_what_is_not_finite(bad):
    with pytest.raises(InvalidValueError, match="expected rate to be finite"):
        arrays.number(bad, "rate")


@pytest.mark.parametrize("bad", ["1.0", None, [1.0, 2.0], 1j, b"2"])
def test_number_refuses_what_is_not_a_real_number(bad):
    with pytest.raises(DTypeError, match="rate"):
        arrays.number(bad, "rate")


def test_number_refuses_an_integer_too_large_for_a_float():
    with pytest.raises(InvalidValueError, match="finite"):
        arrays.number(10**400, "rate")


def test_number_keeps_bounds():
    assert arrays.number(1, "x", minimum=1, maximum=1) == 1.0
    with pytest.raises(InvalidValueError, match="at least 1"):
        arrays.number(0.5, "x", minimum=1)
    with pytest.raises(InvalidValueError, match="at most 1"):
        arrays.number(1.5, "x", maximum=1)
    with pytest.raises(InvalidValueError, match="greater than 0"):
        arrays.number(0, "x", above=0)
    with pytest.raises(InvalidValueError, match="less than 0"):
        arrays.number(0, "x", below=0)


@pytest.mark.parametrize("bad", [True, 1.0, "1", None])
def test_integer_refuses_what_is_not_an_integer(bad):
    with pytest.raises(DTypeError, match="count"):
        arrays.integer(bad, "count")


def test_integer_keeps_bounds():
    assert arrays.integer(np.int32(3), "count", minimum=3, maximum=3) == 3
    with pytest.raises(InvalidValueError, match="at least 4"):
        arrays.integer(3, "count", minimum=4)
    with pytest.raises(InvalidValueError, match="at most 2"):
        arrays.integer(3, "count", maximum=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_does_not_copy_what_fits(dtype):
    array = np.zeros((4, 3), dtype)
    assert arrays.floats(array, "p", (None, 3)) is array


def test_floats_makes_integers_float64():
    assert arrays.floats([[1, 2, 3]], "p", (None, 3)).dtype == np.float64


def test_floats_makes_strided_arrays_contiguous():
    result = arrays.floats(np.zeros((4, 6))[:, ::2], "p", (None, 3))
    assert result.flags.c_contiguous


def test_floats_never_casts_float64_arrays_to_float32():
    with pytest.raises(DTypeError, match="float32"):
        arrays.floats(np.zeros(3), "p", dtype=np.float32)


@pytest.mark.parametrize("bad", [["a"], [1j], [None], np.zeros(3, "M8[s]")])
def test_floats_refuses_what_is_not_real(bad):
    with pytest.raises(DTypeError, match="p"):
        arrays.floats(bad, "p")


def test_floats_names_expected_and_given_shape():
    with pytest.raises(ShapeError, match=r"expected p of shape \(N, 3\), got \(2, 4\)"):
        arrays.floats(np.zeros((2, 4)), "p", (None, 3))
    with pytest.raises(ShapeError, match="rectangular"):
        arrays.floats([[1.0], [1.0, 2.0]], "p")


def test_out_array_is_returned_when_it_fits():
    out = np.empty((2, 3))
    assert arrays.out_array(out, (2, 3), np.float64) is out


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((2, 3), np.float32), DTypeError),
        ([[0.0] * 3] * 2, DTypeError),
        (np.empty((3, 2)), ShapeError),
        (np.empty((2, 6))[:, ::2], ShapeError),
    ],
)
def test_out_array_refuses_what_a_kernel_cannot_write(out, error):
    with pytest.raises(error, match="out"):
        arrays.out_array(out, (2, 3), np.float64)


def test_out_array_refuses_read_only_and_overlapping_arrays():
    out = np.empty((2, 3))
    with pytest.raises(InvalidValueError, match="overlap"):
        arrays.out_array(out, (2, 3), np.float64, out[1:])
    out.flags.writeable = False
    with pytest.raises(InvalidValueError, match="read-only"):
        arrays.out_array(out, (2, 3), np.float64)


def test_finite_names_the_first_bad_place():
    array = np.zeros((2, 3))
    assert arrays.finite(array, "q") is array
    array[1, 2] = np.nan
    with pytest.raises(InvalidValueError, match=r"nan at q\[1, 2\]"):
        arrays.finite(array, "q")
