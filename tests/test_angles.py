"""rfx.math.angles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.math import angle_diff, lerp, normalize_angle

angles = st.floats(-1e4, 1e4)


@given(angles)
def test_normalized_angles_point_the_same_way_within_half_a_turn(angle):
    n = normalize_angle(angle)
    assert -math.pi <= n < math.pi
    assert math.cos(n) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(n) == pytest.approx(math.sin(angle), abs=1e-9)


def test_half_a_turn_is_negative():
    assert normalize_angle(math.pi) == -math.pi
    assert normalize_angle(-math.pi) == -math.pi
    assert normalize_angle(np.nextafter(-math.pi, -4)) < math.pi


@given(angles, angles)
def test_the_difference_leads_from_current_to_target(target, current):
    d = angle_diff(target, current)
    assert abs(d) <= math.pi
    assert math.cos(current + d) == pytest.approx(math.cos(target), abs=1e-8)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_lerp_meets_both_ends(a, b):
    assert lerp(a, b, 0.0) == a
    assert lerp(a, b, 1.0) == b


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1)
)
def test_lerp_is_finite_or_raises(a, b, t):
    if math.isfinite((b - a) * t + a):
        assert math.isfinite(lerp(a, b, t))
    elif t not in (0.0, 1.0):
        with pytest.raises(InvalidValueError, match="overflows"):
            lerp(a, b, t)
    assert (lerp(a, b, 0.0), lerp(a, b, 1.0)) == (a, b)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_angle_comes_within_half_a_turn(angle):
    assert -math.pi <= normalize_angle(angle) < math.pi


def test_a_difference_of_float32_angles_is_taken_in_float64():
    target, current = np.float32([1000.1]), np.float32([0.3])
    assert angle_diff(target, current)[0] == normalize_angle(float(target[0]) - float(current[0]))


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(ShapeError, match=r"start \(2,\), end \(3,\)"):
        lerp([1.0, 2.0], [1.0, 2.0, 3.0], 0.5)
    with pytest.raises(ShapeError, match="current"):
        angle_diff(np.zeros(2), np.zeros(3))


def test_a_difference_that_overflows_raises():
    with pytest.raises(InvalidValueError, match="target - current"):
        angle_diff(1.7e308, -1.7e308)


def test_arrays_broadcast():
    np.testing.assert_allclose(lerp([0.0, 1.0], 2.0, 0.5), [1.0, 1.5])
    assert normalize_angle(np.zeros((2, 3))).shape == (2, 3)
    assert isinstance(normalize_angle(4), float)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(bad):
    for call in (lambda: normalize_angle(bad), lambda: lerp(0, bad, 0.5), lambda: angle_diff([0.0, bad], 0)):
        with pytest.raises(InvalidValueError):
            call()
    with pytest.raises(DTypeError):
        normalize_angle("north")
