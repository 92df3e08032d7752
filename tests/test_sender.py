"""rfx.go2.sender and low_level: commands go on coming, are led in, and keep to the envelope."""

import itertools
import threading
import time

import numpy as np
import pytest
import sender_parts
from recording_link import QUICK, STAND, command, damps
from sender_parts import robot_of
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    DTypeError,
    InvalidValueError,
)
from rfx.go2 import LowCmd
from rfx.go2.messages import NO_POSITION
from rfx.go2.sender import blend
from rfx.robots.go2 import GO2

made = sender_parts.made


# -- sending


def test_until_a_first_command_comes_it_sends_damping(made):
    link, go2 = made
    with go2.start_sending() as sender:
        assert wait_for(lambda: len(link.commands) > 20)
        assert sender.state == "waiting"
        assert all(damps(cmd) for cmd in link.sent())
        assert sender.wanted is None


def test_one_command_is_sent_again_and_again(made):
    link, go2 = made
    with go2.start_sending(ramp_s=0.0) as sender:
        go2.send(command())
        assert wait_for(lambda: sender.state == "sending")
        link.forget()
        assert wait_for(lambda: len(link.commands) > 50)
        assert {cmd.to_cdr() for cmd in link.sent()} == {command().to_cdr()}
        assert sender.sent > 50
        assert sender.stats().iterations > 50


def test_a_first_command_is_led_in_from_the_measured_posture(made):
    link, go2 = made
    link.shown.set_motors(q=GO2.pose("lie"))
    with go2.start_sending(ramp_s=0.3) as sender:
        go2.set_motor_positions(STAND, kp=60.0, kd=4.0)
        assert wait_for(lambda: sender.state == "sending")
    led = [cmd for cmd in link.sent() if cmd.q[0] < NO_POSITION]  # the first of them still damps, at a place of its own
    kp = np.array([cmd.kp[0] for cmd in led])
    q = np.array([cmd.q for cmd in led])
    assert kp[0] == 0.0
    assert (np.diff(kp) >= 0).all()
    assert kp[-1] == 60.0
    np.testing.assert_allclose(q[0], GO2.pose("lie"), atol=0.01)
    assert (np.abs(np.diff(q, axis=0)) <= 0.2500001).all()


def test_a_pause_makes_the_way_in_later_and_not_faster():
    count = itertools.count()
    link, go2 = robot_of(published=lambda cmd: time.sleep(1.0 if next(count) == 40 else 0.0))
    with go2.start_sending(ramp_s=0.5) as sender:
        go2.set_motor_positions(STAND, kp=60.0, kd=4.0)
        assert wait_for(lambda: sender.state == "sending")
    go2.disconnect()
    led = [cmd.kp[0] for cmd in link.sent() if cmd.q[0] < NO_POSITION]
    assert len(led) > 15  # 20 ms a time, at most
    assert np.diff(led[: led.index(60.0) + 1]).max() < 60 * 1.5 * (0.02 / 0.5) + 0.1  # the steepest part of the way


def test_the_way_in_goes_from_damping_to_the_command():
    q = np.float32(GO2.pose("lie"))
    for share in (0.0, 0.25, 0.5, 1.0):
        cmd = command(kp=60.0, kd=5.0)
        cmd.set_motors(tau=1.0, dq=0.5)
        blend(cmd, share, q, 3.0)
        s = 3 * share**2 - 2 * share**3
        np.testing.assert_allclose(cmd.q, q + s * (STAND - q), rtol=1e-5)
        np.testing.assert_allclose(
            (cmd.kp[0], cmd.kd[0], cmd.tau[0], cmd.dq[0]), (60 * s, 3 + 2 * s, s, 0.5 * s), rtol=1e-6
        )
    nothing = LowCmd()
    blend(nothing, 0.5, q, 3.0)
    assert nothing.kp.max() == 0.0
    assert nothing.kd.max() == 1.5
    assert nothing.dq.max() == 0.0


def test_a_later_command_takes_the_place_of_the_one_before(made):
    link, go2 = made
    with go2.start_sending(ramp_s=0.0) as sender:
        go2.send(command())
        assert wait_for(lambda: sender.state == "sending")
        go2.send(command(kp=31.0))
        assert wait_for(lambda: link.sent()[-1].kp[0] == 31.0)
        assert sender.wanted.kp[0] == 31.0


def test_the_sender_brings_commands_inside_of_the_envelope(made):
    link, go2 = made
    with go2.start_sending(ramp_s=0.0) as sender:
        go2.send(command(q=STAND + 0.8 * (np.arange(12) == 0)))
        assert wait_for(lambda: sender.state == "sending" and go2.safety.counts.get("step"))
        assert wait_for(lambda: go2.send(command()).kinds is not None)
    assert go2.safety.counts["step"]["FR_hip"] > 0
    q = np.array([cmd.q[0] for cmd in link.sent() if not damps(cmd)])
    assert (np.abs(np.diff(q)) <= 0.2500001).all()


def test_states_are_looked_at_at_their_own_rate():
    link, go2 = robot_of(QUICK.with_rates(state_hz=50))
    with go2.start_sending() as sender:
        first, sent = next(link.ticks), sender.sent
        assert wait_for(lambda: sender.sent > sent + 200)
        looked = (next(link.ticks) - first) // 2
        assert looked < (sender.sent - sent) / 5
    go2.disconnect()


def test_nonsense_is_refused_and_what_is_sent_stays(made):
    _, go2 = made
    with go2.start_sending(ramp_s=0.0) as sender:
        go2.send(command())
        assert wait_for(lambda: sender.state == "sending")
        bad = command()
        bad.motor_cmd[0].q = float("nan")
        with pytest.raises(InvalidValueError):
            go2.send(bad)
        with pytest.raises(InvalidValueError, match="FR_calf"):
            go2.set_motor_positions(np.zeros(12))
        assert sender.state == "sending"
        assert sender.wanted == command()


def test_several_threads_that_start_leave_one_sender(made):
    _, go2 = made
    threads = [threading.Thread(target=go2.start_sending) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.name for t in threading.enumerate()].count("rfx go2 sender") == 1
    assert go2.sender.is_running()
    go2.stop_sending()
    assert go2.sender is None
    assert "rfx go2 sender" not in [t.name for t in threading.enumerate()]


@pytest.mark.parametrize(
    "options", [{"rate_hz": 0}, {"rate_hz": float("nan")}, {"ramp_s": -1}, {"hold_s": 0}, {"hold_s": float("inf")}]
)
def test_impossible_settings_start_nothing(made, options):
    _, go2 = made
    with pytest.raises(InvalidValueError):
        go2.start_sending(**options)
    assert not [t for t in threading.enumerate() if t.name == "rfx go2 sender"]


def test_without_edu_mode_nothing_is_sent_continuously():
    link, go2 = robot_of(QUICK.with_edu_mode(False))
    with pytest.raises(ConfigError, match="edu_mode"):
        go2.start_sending()
    go2.disconnect()
    assert link.commands == []


# -- one motor


def test_one_motor_alone_keeps_the_other_eleven(made):
    link, go2 = made
    go2.set_motor_positions(STAND, kp=40.0, kd=2.0)
    go2.set_motor_position("FL_thigh", STAND[4] + 0.1, kp=50.0, kd=3.0)
    go2.set_motor_position(0, STAND[0] - 0.1, kp=20.0, kd=1.0)
    cmd = link.sent()[-1]
    expected = np.array(STAND)
    expected[4] += 0.1
    expected[0] -= 0.1
    np.testing.assert_allclose(cmd.q, expected, rtol=1e-6)
    np.testing.assert_array_equal(cmd.kp, [20, 40, 40, 40, 50, *[40] * 7])
    assert {cmd.motor_cmd[i].mode for i in range(12)} == {1}


def test_one_motor_first_holds_the_others_where_they_are(made):
    link, go2 = made
    go2.set_motor_position("RR_calf", STAND[8] + 0.05, kp=25.0, kd=1.0)
    cmd = link.sent()[-1]
    np.testing.assert_allclose(np.delete(cmd.q, 8), np.delete(STAND, 8), rtol=1e-6)
    np.testing.assert_array_equal(cmd.kp, 25.0)


def test_one_motor_goes_through_the_sender(made):
    link, go2 = made
    with go2.start_sending(ramp_s=0.0) as sender:
        go2.set_motor_positions(STAND, kp=40.0, kd=2.0)
        go2.set_motor_position("FR_hip", 0.0, kp=10.0)
        assert wait_for(lambda: sender.state == "sending")
        assert sender.wanted.kp.tolist() == [10.0, *[40.0] * 11]
        assert wait_for(lambda: link.sent()[-1].q[0] == 0.0)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("FR_toe", 0.0), ConfigError),
        ((12, 0.0), InvalidValueError),
        ((-1, 0.0), InvalidValueError),
        ((0.5, 0.0), DTypeError),
        (("FR_hip", 2.0), InvalidValueError),
        (("FR_hip", float("nan")), InvalidValueError),
        (("FR_hip", 0.0, -1.0), InvalidValueError),
        (("FR_hip", 0.0, 1.0, float("inf")), InvalidValueError),
    ],
)
def test_one_motor_refuses_what_is_wrong_and_sends_nothing(made, args, error):
    link, go2 = made
    with pytest.raises(error):
        go2.set_motor_position(*args)
    assert link.commands == []
