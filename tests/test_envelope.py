"""rfx.go2.envelope: nothing leaves outside of the limits, and what is inside is left alone."""

import math

import numpy as np
import pytest
from envelope_parts import STAND, command, put, rows, state
from guides import docstrings_hold, python_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import NO_POSITION, NO_VELOCITY, LowCmd
from rfx.robots.go2 import GO2, MOTOR_NAMES


def law(column, q_now, dq_now):
    """What a motor of the robot gives for its command at this state, without its own limit."""
    q, dq, tau, kp, kd = column
    torque = tau
    if kp > 0 and q < NO_POSITION:
        torque += kp * (q - q_now)
    if kd > 0 and dq < NO_VELOCITY:
        torque += kd * (dq - dq_now)
    return torque


def torques(cmd, low):
    return np.array(
        [law(*numbers) for numbers in zip(rows(cmd).T.tolist(), low.q.tolist(), low.dq.tolist(), strict=True)]
    )


def faults_of(c, low, limits, last=None):
    """Where a command is outside of the limits, from their definition, motor by motor."""
    found = []
    measured = zip(low.q.tolist(), low.dq.tolist(), strict=True)
    for i, (column, (q_now, dq_now)) in enumerate(zip(c.T.tolist(), measured, strict=True)):
        q, dq, tau, kp, kd = column
        bound = limits.of(MOTOR_NAMES[i])
        least, most = (float(np.float32(x)) for x in bound["position"])
        least, most = min(least, max(q_now, least - 0.05)), max(most, min(q_now, most + 0.05))
        if not all(map(math.isfinite, column)) or kp < 0 or kd < 0:
            found.append(("command", i))
            continue
        if kp > float(np.float32(bound["kp"])) or kd > float(np.float32(bound["kd"])):
            found.append(("gain", i))
        if (q >= NO_POSITION and kp > 0) or (dq >= NO_VELOCITY and kd > 0):
            found.append(("gain", i))
        if q < NO_POSITION and not least <= q <= most:
            found.append(("position", i))
        if dq < NO_VELOCITY and abs(dq) > float(np.float32(bound["velocity"])):
            found.append(("velocity", i))
        if abs(law(column, q_now, dq_now)) > bound["torque"] or abs(tau) > bound["torque"]:
            found.append(("torque", i))
        if last is not None and kp > 0 and q < NO_POSITION:
            base = q_now if math.isnan(last[i]) else last[i]
            base = min(max(base, least), most)
            # a shorter step was cut for the torque, which may take the target back towards where the joint is
            if abs(q - base) > bound["step"] + 1e-6 and not between(q, base, q_now):
                found.append(("step", i))
    return found


def between(x, a, b):
    return min(a, b) <= x <= max(a, b)


# -- inside and outside


numbers = st.one_of(
    st.floats(-4, 4, width=32),
    st.floats(-100, 100, width=32),
    st.sampled_from([0.0, -0.0, NO_POSITION, NO_VELOCITY, 1e30, -1e30, 3.4e38, 1e-40]),
)
gains = st.one_of(st.floats(0, 100, width=32), st.sampled_from([0.0, 1e-30, 300.0, 400.0, 1e30]))
columns = st.lists(st.tuples(numbers, numbers, numbers, gains, gains), min_size=4, max_size=4)  # each for three motors
readings = st.tuples(
    st.lists(st.floats(-4, 4, width=32), min_size=4, max_size=4).map(lambda q: q * 3),
    st.lists(st.floats(-15, 15, width=32), min_size=3, max_size=3).map(lambda dq: dq * 4),
)
bounds = st.builds(
    SafetyLimits,
    torque=st.sampled_from([None, 5.0, 0.5]),
    step=st.sampled_from([0.25, 0.01, 10.0]),
    velocity=st.sampled_from([None, 15.5]),
    kp=st.sampled_from([300.0, 50.0]),
)


def of_columns(motors):
    q, dq, tau, kp, kd = np.array(motors * 3).T
    return command(q, dq, tau, kp, kd)


@settings(max_examples=100, deadline=None)
@given(bounds, readings, st.lists(columns, min_size=1, max_size=3))
def test_after_apply_nothing_is_outside(limits, reading, motions):
    envelope, low = SafetyEnvelope(limits), state(*reading)
    last = np.full(12, np.nan)
    for motors in motions:
        cmd = of_columns(motors)
        asked = rows(cmd)
        verdict = envelope.apply(cmd, low, 0.0)
        sent = rows(cmd)
        assert not verdict.damping
        assert not faults_of(sent, low, limits, last)
        if not faults_of(asked, low, limits, last):
            assert asked.tobytes() == sent.tobytes()
        else:
            assert verdict.kinds
        last = np.where((sent[3] > 0) & (sent[0] < NO_POSITION), sent[0], np.nan)


@settings(max_examples=50, deadline=None)
@given(columns, readings)
def test_a_command_that_was_let_through_passes_again(motors, reading):
    envelope, low, cmd = SafetyEnvelope(), state(*reading), of_columns(motors)
    envelope.apply(cmd, low, 0.0)
    again = cmd.copy()
    assert not envelope.apply(again, low, 0.0)
    assert again == cmd


def test_a_command_inside_is_not_changed_in_a_single_bit():
    rng, envelope, low = np.random.default_rng(0), SafetyEnvelope(SafetyLimits(step=10.0)), state()
    for _ in range(500):
        cmd = command(STAND + rng.normal(0, 0.05, 12), rng.normal(0, 1, 12), rng.normal(0, 1, 12), 40.0, 2.0)
        before = cmd.to_cdr()
        assert not envelope.apply(cmd, low, 0.0)
        assert cmd.to_cdr() == before
    assert envelope.counts == {}
    assert envelope.events == []
    assert envelope.n_commands == 500


def test_a_target_at_the_end_of_its_travel_is_inside():
    q = np.where(np.arange(12) % 2, GO2.lower, GO2.upper)
    assert not SafetyEnvelope().apply(command(q), state(q), 0.0)


def test_commands_that_command_nothing_pass():
    cmd = LowCmd()
    before = cmd.copy()
    assert not SafetyEnvelope().apply(cmd, state(), 0.0)
    cmd.set_damping(3.0)
    assert not SafetyEnvelope().apply(cmd, state(), 0.0)
    assert before.q[0] == NO_POSITION
    assert before.dq[0] == NO_VELOCITY


@pytest.mark.parametrize(("field", "gain"), [("q", "kp"), ("dq", "kd")])
def test_a_gain_on_a_target_that_stands_for_none_is_taken_away(field, gain):
    cmd = command()
    put(cmd, 3, **{field: NO_POSITION if field == "q" else NO_VELOCITY})
    verdict = SafetyEnvelope().apply(cmd, state(), 0.0)
    assert verdict.kinds == ("gain",)
    assert verdict.joints("gain") == ("FL_hip",)
    assert getattr(cmd.motor_cmd[3], gain) == 0.0


# -- what is clamped


def test_a_position_outside_of_the_travel_is_clamped_to_it():
    envelope = SafetyEnvelope(SafetyLimits(step=10.0, torque=1e6))
    cmd = put(command(), 2, q=-0.1)
    verdict = envelope.apply(cmd, state(), 0.0)
    assert verdict.joints("position") == ("FR_calf",)
    assert cmd.motor_cmd[2].q == np.float32(-0.83776)
    assert envelope.counts == {"position": {"FR_calf": 1}}


def test_a_joint_on_its_stop_may_be_held_where_it_is_measured_but_not_further_out():
    envelope = SafetyEnvelope(SafetyLimits(step=10.0))
    low = state(q=np.where(np.arange(12) % 3 == 2, -2.75, STAND))
    assert not envelope.apply(command(low.q, kp=5.0), low, 0.0)
    cmd = command(np.where(np.arange(12) % 3 == 2, -2.8, STAND), kp=5.0)
    assert envelope.apply(cmd, low, 0.0).kinds == ("position",)
    np.testing.assert_array_equal(cmd.q[2::3], low.q[2::3])
    far = state(q=np.where(np.arange(12) % 3 == 2, -2.9, STAND))
    envelope.apply(cmd := command(far.q, kp=5.0), far, 0.0)
    np.testing.assert_allclose(cmd.q[2::3], -2.7727, rtol=1e-6)


def test_a_first_step_starts_from_the_measured_posture():
    cmd = command(GO2.pose("lie"))
    verdict = SafetyEnvelope(SafetyLimits(torque=1e6)).apply(cmd, state(), 0.0)
    far = np.abs(GO2.pose("lie") - STAND) > 0.25
    assert verdict.joints("step") == tuple(n for n, f in zip(MOTOR_NAMES, far, strict=True) if f)
    assert np.abs(cmd.q - np.float32(STAND)).max() <= np.float32(0.25)


def test_later_steps_start_from_the_target_that_was_sent_last():
    envelope, low = SafetyEnvelope(SafetyLimits(torque=1e6, step=0.1)), state()
    for k in range(1, 4):
        cmd = command(STAND + 1.0 * (np.arange(12) % 3 == 0))
        envelope.apply(cmd, low, 0.0)
        assert cmd.q[0] == pytest.approx(STAND[0] + 0.1 * k, abs=1e-5)


def test_after_damping_steps_start_from_the_measured_posture_again():
    envelope, low = SafetyEnvelope(SafetyLimits(torque=1e6, step=0.1)), state()
    for _ in range(3):
        envelope.apply(command(STAND + 0.3 * (np.arange(12) % 3 == 0)), low, 0.0)
    assert envelope.apply(put(command(), 0, q=math.nan), low, 0.0).damping
    cmd = command(STAND + 0.3 * (np.arange(12) % 3 == 0))
    envelope.apply(cmd, low, 0.0)
    assert cmd.q[0] == pytest.approx(STAND[0] + 0.1, abs=1e-5)


def test_a_speed_is_clamped():
    cmd = command(dq=[40.0, -40.0, 20.0] * 4, kd=0.01)
    verdict = SafetyEnvelope().apply(cmd, state(), 0.0)
    assert verdict.kinds == ("velocity",)
    np.testing.assert_allclose(cmd.dq, [30.1, -30.1, 15.7] * 4, rtol=1e-6)


def test_the_target_is_pulled_towards_the_joint_until_the_torque_holds():
    envelope, low = SafetyEnvelope(SafetyLimits(step=10.0)), state()
    cmd = command(STAND + 0.8 * (np.arange(12) % 3 == 0), kp=60.0, kd=1.0)
    verdict = envelope.apply(cmd, low, 0.0)
    assert verdict.joints("torque") == MOTOR_NAMES[::3]
    assert torques(cmd, low)[0] == pytest.approx(23.7, rel=1e-5)
    assert cmd.tau[0] == 0.0
    assert cmd.kp[0] == 60.0
    event = envelope.events[0]
    assert (event.joint, event.what) == ("FR_hip", "torque")
    assert event.asked == pytest.approx(48.0, rel=1e-5)
    assert event.sent == pytest.approx(23.7, rel=1e-5)


def test_a_feed_forward_torque_is_clamped_when_there_is_no_stiffness():
    cmd = command(tau=-50.0, kp=0.0, kd=0.0)
    SafetyEnvelope().apply(cmd, state(), 0.0)
    np.testing.assert_allclose(cmd.tau, [-23.7, -23.7, -45.43] * 4, rtol=1e-6)


def test_a_torque_that_opposes_the_others_is_never_made_larger():
    low = state(dq=10.0)
    cmd = command(STAND - 0.2, kp=60.0, kd=10.0, tau=30.0)  # -12 Nm, -100 Nm, +30 Nm
    SafetyEnvelope(SafetyLimits(step=10.0)).apply(cmd, low, 0.0)
    assert np.abs(torques(cmd, low)).max() <= 45.43
    assert (cmd.tau <= 30.0).all()
    assert (cmd.q <= np.float32(STAND)).all()
    assert ((cmd.dq >= 0) & (cmd.dq <= 10)).all()


def test_where_a_joint_is_outside_of_its_travel_the_stiffness_gives_way():
    low = state(q=np.where(np.arange(12) % 3 == 0, 3.0, STAND))
    cmd = command(kp=60.0, kd=0.0)
    SafetyEnvelope().apply(cmd, low, 0.0)
    assert cmd.q[0] <= np.float32(1.0972)
    assert torques(cmd, low)[0] == pytest.approx(-23.7, rel=1e-5)
    assert cmd.kp[0] < 60.0


# -- limits and examples


def test_the_examples_hold():
    docstrings_hold("rfx.go2.envelope")
    docstrings_hold("rfx.go2.limits")
    [block] = [block for block in python_blocks("go2.md") if "SafetyEnvelope" in block]
    exec(compile(block, "go2.md", "exec"), {})
