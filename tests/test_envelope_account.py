"""rfx.go2.envelope: what it did is counted, listed, logged and told, alone, beside others and between threads."""

import logging
import math
import pickle
import threading

import pytest
from envelope_parts import STAND, command, is_damping, put, state

from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.events import KINDS, Verdict
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import LowCmd
from rfx.robots.go2 import MOTOR_NAMES


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
