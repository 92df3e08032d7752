"""rfx.go2.posture: joint targets over time."""

import itertools

import numpy as np
import pytest

from rfx.errors import ConfigError, InvalidValueError, ShapeError
from rfx.go2.posture import LIE, STAND, Phase, PosturePlan
from rfx.robots.go2 import GO2


def test_targets_are_continuous_over_all_phases():
    plan = PosturePlan.stand_and_lie(8.0)
    plan.start(LIE + 0.1)
    times = np.arange(0, plan.seconds + 0.5, 0.002)
    q = np.array([plan.at(t)[0] for t in times])
    assert np.abs(np.diff(q, axis=0)).max() < 0.005
    np.testing.assert_allclose(q[0], LIE + 0.1)
    np.testing.assert_allclose(q[-1], LIE)


def test_targets_have_no_velocity_where_phases_meet():
    plan = PosturePlan.stand_and_lie(8.0)
    plan.start(LIE)
    for _, _, end in plan.spans()[:-1]:
        slope = (plan.at(end + 1e-4)[0] - plan.at(end - 1e-4)[0]) / 2e-4
        assert np.abs(slope).max() < 1e-3


def test_hold_is_the_standing_pose():
    plan = PosturePlan.stand_and_lie(8.0)
    plan.start(LIE)
    [(start, end)] = [(a, b) for name, a, b in plan.spans() if name == "hold"]
    for time_s in (start, (start + end) / 2, end - 1e-9):
        q, kp, _ = plan.at(time_s)
        np.testing.assert_allclose(q, STAND)
        assert kp == 60.0


def test_all_targets_are_within_the_joint_limits():
    for q in (STAND, LIE):
        for value, joint in zip(q, GO2.joints, strict=True):
            assert joint.position_min < value < joint.position_max, joint.name


def test_spans_are_back_to_back():
    spans = PosturePlan.stand_and_lie(6.0).spans()
    assert spans[0][1] == 0.0
    assert spans[-1][2] == pytest.approx(6.0)
    assert all(a[2] == b[1] for a, b in itertools.pairwise(spans))


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="at least one phase"):
        PosturePlan([])
    with pytest.raises(InvalidValueError, match="at least 5"):
        PosturePlan.stand_and_lie(3.0)
    with pytest.raises(InvalidValueError, match="finite"):
        Phase("x", 1.0, np.full(12, np.nan), 1.0, 1.0)
    plan = PosturePlan.stand_and_lie(6.0)
    with pytest.raises(ConfigError, match="start"):
        plan.at(0.0)
    with pytest.raises(ShapeError, match="q"):
        plan.start(np.zeros(11))
