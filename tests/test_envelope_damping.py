"""rfx.go2.envelope: what brings damping, for how long, and what comes after it."""

import math

import numpy as np
import pytest
from envelope_parts import FIELDS, command, is_damping, put, state
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.limits import SafetyLimits


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_command_with_a_nan_passes(field, value):
    envelope, cmd = SafetyEnvelope(), put(command(), 7, **{field: value})
    verdict = envelope.apply(cmd, state(), 0.0)
    assert verdict.damping
    assert verdict.joints("command") == ("RR_thigh",)
    assert "RR_thigh" in verdict.reason
    assert is_damping(cmd)
    assert not envelope.apply(command(), state(), 0.0)  # and the next one is judged anew


@pytest.mark.parametrize("field", ["kp", "kd"])
def test_a_negative_gain_brings_damping(field):
    cmd = put(command(), 0, **{field: -1e-6})
    assert SafetyEnvelope().apply(cmd, state(), 0.0).kinds == ("command",)
    assert is_damping(cmd)


def test_a_joint_that_turns_too_fast_brings_damping_while_it_does():
    envelope, cmd = SafetyEnvelope(), command()
    verdict = envelope.apply(cmd, state(dq=np.where(np.arange(12) == 5, -16.0, 0.0)), 0.0)
    assert verdict.joints("overspeed") == ("FL_calf",)
    assert "16.0 of FL_calf" in verdict.reason
    assert is_damping(cmd)
    assert not envelope.apply(command(), state(), 0.0)


HOLDING = {
    "tilt": (lambda: state(tilt=1.1), 0.0, "1.10"),
    "temperature": (lambda: state(temperature=[91, *[35] * 11]), 0.0, "91 of FR_hip"),
    "stale": (state, 0.3, "0.30 s"),
}


@pytest.mark.parametrize("kind", HOLDING)
def test_reasons_that_hold_damp_until_reset(kind):
    envelope, cmd = SafetyEnvelope(), command()
    low, age, words = HOLDING[kind]
    verdict = envelope.apply(cmd, low(), age)
    assert verdict.kinds == verdict.latched == (kind,)
    assert words in verdict.reason
    assert is_damping(cmd)
    cmd = command()
    verdict = envelope.apply(cmd, state(), 0.0)  # all is well again, but nobody has said so
    assert verdict.damping
    assert verdict.kinds == ()
    assert envelope.latched == (kind,)
    assert f"{kind} seen before holds until safety.reset()" in verdict.reason
    assert is_damping(cmd)
    envelope.reset()
    assert not envelope.apply(command(), state(), 0.0)
    assert sum(envelope.counts[kind].values()) == 1


def test_a_reason_that_is_still_there_comes_back_after_reset():
    envelope = SafetyEnvelope()
    envelope.apply(command(), state(tilt=2.0), 0.0)
    envelope.reset()
    assert envelope.apply(command(), state(tilt=2.0), 0.0).kinds == ("tilt",)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (math.nan, 0, 0, 0), (1, math.inf, 0, 0)])
def test_no_orientation_counts_as_tilted(quaternion):
    low = state()
    low.imu_state.quaternion = quaternion
    assert SafetyEnvelope().apply(command(), low, 0.0).kinds == ("tilt",)


@settings(max_examples=100, deadline=None)
@given(st.floats(0, math.pi), st.floats(-3.1, 3.1), st.floats(0.6, 1.5), st.sampled_from([0.3, 1.0, 2.0]))
def test_the_tilt_is_the_angle_to_the_vertical_whatever_the_heading(tilt, yaw, length, most):
    low = state()
    a, b = math.cos(tilt / 2) * length, math.sin(tilt / 2) * length
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    low.imu_state.quaternion = (c * a, c * b, s * b, s * a)
    if abs(tilt - most) > 1e-5:
        assert SafetyEnvelope(SafetyLimits(tilt=most)).apply(command(), low, 0.0).damping == (tilt > most)


def test_a_tilt_limit_of_pi_allows_all():
    low = state(tilt=math.pi)
    assert not SafetyEnvelope(SafetyLimits(tilt=math.pi)).apply(command(), low, 0.0)


def test_a_measurement_that_is_no_number_brings_damping():
    low = state()
    low.motor_state[4].dq = math.nan
    verdict = SafetyEnvelope().apply(command(), low, 0.0)
    assert verdict.joints("measured") == ("FL_thigh",)


def test_a_motor_lost_in_four_states_in_a_row_brings_damping_that_holds():
    envelope = SafetyEnvelope()
    for tick in range(5):
        lost = [0] * 11 + [7 + tick]
        verdict = envelope.apply(command(), state(lost=lost, tick=2 * tick), 0.0)
        assert verdict.damping == (tick == 4)
    assert verdict.joints("lost") == ("RL_calf",)
    assert "RL_calf not any more" in verdict.reason
    assert envelope.lost_motors == ("RL_calf",)
    assert envelope.apply(command(), state(tick=12, lost=lost), 0.0).damping
    assert envelope.lost_motors == ()


def test_a_single_loss_passes_and_a_state_seen_twice_counts_once():
    envelope = SafetyEnvelope()
    envelope.observe(state(tick=0))
    for _ in range(10):
        assert not envelope.apply(command(), state(tick=2, lost=1), 0.0)
    for tick in range(4, 40, 4):
        envelope.observe(state(tick=tick, lost=tick))
        envelope.observe(state(tick=tick + 2, lost=tick))
    assert envelope.lost_motors == ()


def test_the_gain_of_damping_is_the_limits():
    cmd = command()
    SafetyEnvelope(SafetyLimits(damping_kd=5.0)).apply(cmd, state(tilt=2.0), 0.0)
    assert is_damping(cmd, 5.0)
