"""rfx.go2.envelope and rfx.go2.limits: nothing leaves outside of the limits, and what is inside is left alone."""

import logging
import math
import pickle
import threading

import numpy as np
import pytest
from guides import docstrings_hold, python_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.events import KINDS, Verdict
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import NO_POSITION, NO_VELOCITY, LowCmd, LowState
from rfx.robots.go2 import GO2, MOTOR_NAMES

STAND = GO2.pose("stand")
FIELDS = ("q", "dq", "tau", "kp", "kd")


def state(q=STAND, dq=0.0, tilt=0.0, temperature=35, lost=0, tick=0):
    low = LowState(tick=tick)
    low.set_motors(q=q, dq=dq, tau_est=0.0, temperature=temperature)
    low.imu_state.quaternion = (math.cos(tilt / 2), math.sin(tilt / 2), 0.0, 0.0)
    for i in range(12):
        low.motor_state[i].lost = lost if np.ndim(lost) == 0 else lost[i]
    return low


def command(q=STAND, dq=0.0, tau=0.0, kp=20.0, kd=0.5):
    cmd = LowCmd()
    cmd.set_motors(q=q, dq=dq, tau=tau, kp=kp, kd=kd)
    return cmd


def put(cmd, motor, **values):
    """Set numbers of one motor, NaN and all."""
    for name, value in values.items():
        setattr(cmd.motor_cmd[motor], name, value)
    return cmd


def rows(cmd):
    """The command as (5, 12) doubles."""
    return np.array([getattr(cmd, name) for name in FIELDS], np.float64)


def is_damping(cmd, kd=3.0):
    q, dq, tau, kp, kd_sent = rows(cmd)
    modes = {cmd.motor_cmd[i].mode for i in range(12)}
    return (
        modes == {1} and (q >= NO_POSITION).all() and not (dq.any() or tau.any() or kp.any()) and (kd_sent == kd).all()
    )


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


# -- what brings damping


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


# -- what is told


def test_events_tell_what_began_and_counts_how_often():
    envelope = SafetyEnvelope(SafetyLimits(torque=1e6))
    for tick in range(10):
        envelope.apply(put(command(), 2, q=0.5), state(tick=2 * tick), 0.0)
    assert [e.what for e in envelope.events] == ["position", "step"]
    assert envelope.events[0].tick == 0
    assert envelope.events[0].asked == 0.5
    assert envelope.counts["position"] == {"FR_calf": 10}
    assert envelope.counts["step"] == {"FR_calf": 3}


def test_the_list_of_events_is_bounded():
    envelope = SafetyEnvelope()
    for i in range(400):
        envelope.apply(put(command(), i % 12, kp=-1.0), state(tick=i), 0.0)
    assert len(envelope.events) == 256
    assert envelope.events[-1].tick == 399


def test_the_log_gets_the_first_of_a_kind_and_no_line_for_each_command(caplog):
    envelope = SafetyEnvelope()
    with caplog.at_level(logging.WARNING, "rfx.go2"):
        for tick in range(1000):
            envelope.apply(put(command(), 2, q=0.5), state(tick=tick), 0.0)
        assert 2 <= len(caplog.records) <= 10
        assert "position of FR_calf at tick 0: 0.5" in caplog.text
        envelope.report(final=True)
    assert "position 1000 times" in caplog.text


def test_a_verdict_says_what_was_done():
    cmd = put(command(), 2, q=0.5)
    verdict = SafetyEnvelope().apply(cmd, state(), 0.0)
    assert "position FR_calf" in repr(verdict)
    assert bool(verdict)
    assert not Verdict()
    with pytest.raises(ConfigError, match="position, step"):
        verdict.joints("colour")
    twin = pickle.loads(pickle.dumps(verdict))
    assert twin.kinds == verdict.kinds
    assert twin.joints("position") == ("FR_calf",)
    assert set(verdict.kinds) <= set(KINDS)


@pytest.mark.parametrize("bad", [(None, state(), 0.0), (LowCmd(), None, 0.0), (LowCmd(), state(), "0")])
def test_apply_takes_a_command_a_state_and_an_age(bad):
    with pytest.raises(DTypeError):
        SafetyEnvelope().apply(*bad)


@pytest.mark.parametrize("age", [math.nan, -1.0])
def test_an_age_that_is_none_is_refused_and_nothing_is_done(age):
    cmd = put(command(), 0, q=9.0)
    with pytest.raises(InvalidValueError, match="age_s"):
        SafetyEnvelope().apply(cmd, state(), age)
    assert cmd.q[0] == 9.0


def test_a_pickled_envelope_has_limits_counts_and_what_holds():
    envelope = SafetyEnvelope(SafetyLimits(tilt=0.5))
    envelope.apply(put(command(), 3, q=5.0), state(), 0.0)
    envelope.apply(command(), state(tilt=0.6), 0.0)
    twin = pickle.loads(pickle.dumps(envelope))
    assert (twin.limits, twin.counts, twin.latched) == (envelope.limits, envelope.counts, ("tilt",))
    assert (twin.n_commands, twin.n_damped) == (2, 1)
    assert twin.apply(command(), state(), 0.0).damping


def test_several_threads_may_use_one_envelope():
    envelope, errors = SafetyEnvelope(), []

    def work(index):
        try:
            for i in range(500):
                cmd = put(command(), index, q=4.0, kp=-1.0 if i % 3 == 0 else 20.0)
                envelope.apply(cmd, state(tick=i), 0.0)
                assert is_damping(cmd) or cmd.q[index] < 4.0
                _ = envelope.counts, envelope.events
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert envelope.n_commands == 2000
    assert sum(envelope.counts["command"].values()) == envelope.n_damped == 668


def test_envelopes_beside_each_other_have_one_account_and_each_shows_it_since_it_was_made():
    first = SafetyEnvelope()
    first.apply(put(command(), 2, q=0.5), state(tick=1), 0.0)
    second = first.beside(SafetyLimits(kp=10.0))
    assert (second.counts, second.events, second.n_commands, second.n_damped) == ({}, [], 0, 0)
    second.apply(command(kp=20.0), state(tick=2), 0.0)
    second.apply(put(command(kp=5.0), 0, kp=-1.0), state(tick=3), 0.0)
    assert second.counts == {"gain": dict.fromkeys(MOTOR_NAMES, 1), "command": {"FR_hip": 1}}
    assert first.counts == {"position": {"FR_calf": 1}, "step": {"FR_calf": 1}, **second.counts}
    assert [e.what for e in first.events] == ["position", "step", *[e.what for e in second.events]]
    assert (first.n_commands, second.n_commands, first.n_damped, second.n_damped) == (3, 2, 1, 1)
    assert first.limits.kp != second.limits.kp
    third = second.beside()
    assert third.limits == second.limits
    third.apply(command(kp=20.0), state(tick=4), 0.0)
    assert sum(first.counts["gain"].values()) == sum(second.counts["gain"].values()) == 24


def test_what_holds_holds_for_envelopes_beside_each_other_until_one_is_reset():
    first = SafetyEnvelope()
    second = first.beside()
    assert second.apply(command(), state(tilt=2.0), 0.0).damping
    assert first.latched == second.latched == ("tilt",)
    verdict = first.apply(command(), state(tick=2), 0.0)
    assert verdict.damping
    assert "tilt seen before holds" in verdict.reason
    first.reset()
    assert second.latched == ()
    assert not second.apply(command(), state(tick=4), 0.0)


def test_steps_and_lost_motors_are_each_envelopes_own():
    first = SafetyEnvelope(SafetyLimits(step=0.01))
    second = first.beside()
    first.apply(command(), state(tick=2), 0.0)
    moved = [q + 0.5 for q in STAND]
    assert "step" in second.apply(command(), state(moved, tick=4), 0.0).kinds  # from the measured posture
    for tick in range(10):
        second.observe(state(lost=tick, tick=10 + tick))
    assert second.lost_motors == MOTOR_NAMES
    assert first.lost_motors == ()


def test_a_copy_of_an_envelope_beside_another_has_what_that_one_shows_and_an_account_of_its_own():
    first = SafetyEnvelope()
    first.apply(put(command(), 2, q=0.5), state(tick=1), 0.0)
    second = first.beside()
    second.apply(put(command(), 0, kp=-1.0), state(tick=2), 0.0)
    twin = pickle.loads(pickle.dumps(second))
    assert (twin.counts, twin.n_commands, twin.n_damped) == ({"command": {"FR_hip": 1}}, 1, 1)
    twin.apply(command(), state(tick=3), 0.0)
    assert (twin.n_commands, first.n_commands) == (2, 2)


def test_the_log_tells_of_a_kind_again_where_an_envelope_came_beside(caplog):
    first = SafetyEnvelope()
    with caplog.at_level(logging.WARNING, "rfx.go2"):
        first.apply(put(command(), 2, q=0.5), state(tick=1), 0.0)
        second = first.beside()
        second.apply(put(command(), 5, q=0.5), state(tick=9), 0.0)
        first.report(final=True)
    assert caplog.text.count("envelope: position") == 2
    assert "position of FR_calf at tick 1" in caplog.text
    assert "position of FL_calf at tick 9" in caplog.text
    assert "so far" not in caplog.text


def test_envelopes_beside_each_other_lose_nothing_between_threads():
    first = SafetyEnvelope()
    errors, ended = [], threading.Event()

    def work(envelope, motor):
        try:
            for i in range(500):
                envelope.apply(put(command(), motor, kp=-1.0 if i % 3 == 0 else 1e4), state(tick=i), 0.0)
        except Exception as error:
            errors.append(error)

    def look():
        last = 0
        while not ended.is_set():
            now = sum(n for row in first.counts.values() for n in row.values())
            if now < last or len(first.events) > 256:
                errors.append((now, last))
            last = now

    writers = [
        threading.Thread(target=work, args=(e, i)) for i, e in enumerate([first, first.beside(), first.beside()])
    ]
    reader = threading.Thread(target=look)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    reader.join()
    assert not errors
    assert (first.n_commands, first.n_damped) == (1500, 501)
    assert first.counts["command"] == dict.fromkeys(MOTOR_NAMES[:3], 167)


# -- limits and examples


def test_the_examples_hold():
    docstrings_hold("rfx.go2.envelope")
    docstrings_hold("rfx.go2.limits")
    [block] = [block for block in python_blocks("go2.md") if "SafetyEnvelope" in block]
    exec(compile(block, "go2.md", "exec"), {})


def test_limits_are_given_by_joint_name():
    limits = SafetyLimits(position={"FR_hip": (-0.5, 0.5)}, velocity=5.0, torque=list(range(1, 13)))
    assert limits.of("FR_hip")["position"] == (-0.5, 0.5)
    assert limits.of("FL_hip")["position"] == (-1.0472, 1.0472)
    assert limits.of("RL_calf") == {
        "position": (-2.7227, -0.83776), "velocity": 5.0, "torque": 12.0, "step": 0.25, "kp": 300.0, "kd": 20.0,
    }  # fmt: skip
    changed = limits.with_joint("RL_calf", torque=3.0, position=(-2.0, -1.0))
    assert changed.of("RL_calf")["torque"] == 3.0
    assert changed.of("RR_calf") == limits.of("RR_calf")
    assert limits.of("RL_calf")["torque"] == 12.0
    assert "torque" in repr(changed)
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert hash(changed) == hash(limits.with_joint("RL_calf", torque=3.0, position=(-2.0, -1.0)))
    assert repr(SafetyLimits()) == "SafetyLimits()"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"position": {"FR_toe": (0, 1)}}, ConfigError),
        ({"position": {"FR_hip": (1, 0)}}, InvalidValueError),
        ({"position": {"FR_hip": 1.0}}, DTypeError),
        ({"position": 1.0}, DTypeError),
        ({"velocity": math.nan}, InvalidValueError),
        ({"torque": {"FR_hip": -1.0}}, InvalidValueError),
        ({"torque": [1.0] * 11}, DTypeError),
        ({"step": "0.1"}, DTypeError),
        ({"tilt": 4.0}, InvalidValueError),
        ({"tilt": 0.0}, InvalidValueError),
        ({"temperature": math.inf}, InvalidValueError),
        ({"stale_s": 0.0}, InvalidValueError),
        ({"lost_states": 0}, InvalidValueError),
        ({"damping_kd": -1.0}, InvalidValueError),
        ({"velocity": True}, DTypeError),
    ],
)
def test_impossible_limits_are_refused(change, error):
    with pytest.raises((error, ShapeError)):
        SafetyLimits(**change)


def test_unknown_bounds_and_envelopes_without_limits_are_refused():
    with pytest.raises(ConfigError, match="colour"):
        SafetyLimits().with_joint("FR_hip", colour=1.0)
    with pytest.raises(DTypeError, match="SafetyLimits"):
        SafetyEnvelope({"tilt": 1.0})
    assert "commands=0" in repr(SafetyEnvelope())
