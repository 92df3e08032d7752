"""rfx.math.angles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidValueError
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
