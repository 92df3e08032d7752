"""rfx.go2.sender, guard and low_level: commands go on coming, are led in, and every way out ends in damping."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from guides import python_blocks
from recording_link import QUICK, STAND, RecordingLink, command, damps, standing
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxConnectionError,
)
from rfx.go2 import Go2, Go2Config, LowCmd, guard
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.limits import SafetyLimits
from rfx.go2.sender import blend
from rfx.go2.simulated import SimulatedGo2
from rfx.go2.topics import SportApi, SportModeId
from rfx.robots.go2 import GO2
from rfx.sim import make_plant


def robot_of(config=QUICK, **options):
    link = RecordingLink(**options)
    go2 = Go2(config, link)
    go2._keep(link.latest())
    return link, go2


@pytest.fixture
def made():
    link, go2 = robot_of()
    yield link, go2
    go2.disconnect()


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
    led = [cmd for cmd in link.sent() if not damps(cmd)]
    kp = np.array([cmd.kp[0] for cmd in led])
    q = np.array([cmd.q for cmd in led])
    assert kp[0] < 1.0
    assert (np.diff(kp) >= 0).all()
    assert kp[-1] == 60.0
    np.testing.assert_allclose(q[0], GO2.pose("lie"), atol=0.01)
    assert (np.abs(np.diff(q, axis=0)) <= 0.2500001).all()


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


# -- ways into damping


def sending(go2, **options):
    sender = go2.start_sending(ramp_s=0.0, **options)
    go2.send(command())
    assert wait_for(lambda: sender.state == "sending")
    return sender


def stays_damped(link, sender, words):
    assert wait_for(lambda: sender.state == "damping")
    assert words in sender.why
    link.forget()
    assert wait_for(lambda: len(link.commands) > 10)
    assert all(damps(cmd) for cmd in link.sent())


def test_a_caller_that_falls_silent_leaves_a_damped_robot(made):
    link, go2 = made
    sender = sending(go2, hold_s=0.2)
    for _ in range(10):
        time.sleep(0.05)
        go2.send(command())
    assert sender.state == "sending"
    stays_damped(link, sender, "no new command for 0.2 s")
    with pytest.raises(HardwareError, match=r"no new command.*start sending again"):
        go2.send(command())
    assert sending(go2).state == "sending"


def test_a_stale_state_brings_damping():
    link, go2 = robot_of(QUICK.with_limits(stale_s=0.1))
    sender = sending(go2)
    link.silent = True
    stays_damped(link, sender, "no older than 0.1 s")
    link.silent = False
    with pytest.raises(HardwareError, match=r"0\.1 s"):
        go2.send(command())
    again = go2.start_sending(ramp_s=0.0)
    go2.send(command())
    stays_damped(link, again, "stale seen before holds until safety.reset()")
    go2.safety.reset()
    assert sending(go2).state == "sending"
    go2.disconnect()


def test_a_robot_that_tips_over_is_damped(made):
    link, go2 = made
    sender = sending(go2)
    tipped = standing()
    tipped.imu_state.quaternion = (0.5, 0.86, 0.0, 0.0)
    link.shown = tipped
    stays_damped(link, sender, "upright")
    assert go2.safety.latched == ("tilt",)


def test_a_failure_to_send_brings_damping_when_sending_works_again():
    broken = threading.Event()

    def published(cmd):
        if broken.is_set():
            raise RfxConnectionError("the cable is out")

    link, go2 = robot_of(published=published)
    sender = sending(go2)
    broken.set()
    assert wait_for(lambda: sender.state == "damping")
    assert "the cable is out" in sender.why
    broken.clear()
    stays_damped(link, sender, "RfxConnectionError")
    go2.disconnect()


def test_damp_ends_what_the_sender_repeats(made):
    link, go2 = made
    sender = sending(go2)
    go2.damp(kd=5.0)
    stays_damped(link, sender, "damp() was called")


def test_leaving_the_block_by_an_exception_leaves_a_damped_robot(made):
    link, go2 = made
    with pytest.raises(ZeroDivisionError), sending(go2) as sender:
        raise ZeroDivisionError
    assert sender.state == "stopped"
    assert not sender.is_running()
    assert all(damps(cmd) for cmd in link.sent()[-3:])
    with pytest.raises(InvalidStateError, match="start sending again"):
        sender.put(command())
    assert not go2.send(command())  # one by one again


def test_disconnecting_ends_the_thread_and_leaves_a_damped_robot():
    link, go2 = robot_of()
    sender = sending(go2)
    go2.disconnect()
    assert not sender.is_running()
    assert all(damps(cmd) for cmd in link.sent()[-3:])
    assert "stopped" in repr(sender)
    assert not guard.watched(go2)


def test_single_commands_bring_damping_and_say_why(made):
    link, go2 = made
    assert not go2.send(command())
    link.shown.imu_state.quaternion = (0.5, 0.86, 0.0, 0.0)
    with pytest.raises(HardwareError, match=r"upright, got 2\.09; damping was sent; safety\.reset\(\)"):
        go2.send(command())
    assert damps(link.sent()[-1])


# -- the emergency stop


def test_after_an_emergency_stop_nothing_but_damping_leaves(made):
    link, go2 = made
    sender = sending(go2)
    stop = threading.Event()

    def commander():
        while not stop.is_set():
            try:
                go2.send(command())
            except (HardwareError, InvalidStateError):
                return

    threads = [threading.Thread(target=commander) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    threading.Thread(target=go2.emergency_stop).start()
    assert wait_for(lambda: go2.emergency_stopped and sender.state == "damping")
    for thread in threads:
        thread.join(10)
    stop.set()
    stays_damped(link, sender, "emergency stop")
    assert [api for service, api, _ in link.requests if service == "sport"].count(SportApi.DAMP) == 5


def test_an_emergency_stop_between_single_commands_is_at_once(made):
    link, go2 = made
    go2.send(command())
    go2.emergency_stop()
    assert [damps(cmd) for cmd in link.sent()] == [False] + [True] * 5


LATER = {
    "send": lambda go2: go2.send(command()),
    "set_motor_positions": lambda go2: go2.set_motor_positions(STAND),
    "set_motor_position": lambda go2: go2.set_motor_position(0, 0.0),
    "start_sending": lambda go2: go2.start_sending(),
    "walk": lambda go2: go2.walk(0.1, 0.0, 0.0),
    "stand": lambda go2: go2.stand(),
    "stop": lambda go2: go2.stop(),
    "trick": lambda go2: go2.trick("hello"),
    "request": lambda go2: go2.request(SportApi.STAND_UP),
    "select_mode": lambda go2: go2.select_mode(),
    "take_low_level": lambda go2: go2.take_low_level(),
}


@pytest.mark.parametrize("what", LATER)
def test_after_an_emergency_stop_everything_is_refused_until_reset(made, what):
    link, go2 = made
    go2.emergency_stop()
    link.requests.clear()
    with pytest.raises(InvalidStateError, match=r"emergency stop holds.*reset_emergency_stop"):
        LATER[what](go2)
    assert link.commands == []
    assert {api for _, api, _ in link.requests} <= {1001}
    assert go2.state().tick > 0
    go2.damp()
    go2.reset_emergency_stop()
    assert not go2.send(command())


def test_in_sport_mode_an_emergency_stop_asks_for_damping_and_ends_walking(made):
    link, go2 = made
    go2.walk(0.3, 0.0, 0.0, hold_s=60.0)
    go2.emergency_stop()
    assert go2._keeper.velocity is None
    asked = [api for service, api, _ in link.requests if service == "sport"]
    assert asked.count(SportApi.DAMP) == 6
    time.sleep(0.1)
    assert [api for service, api, _ in link.requests if service == "sport"] == asked
    assert link.commands == []


def test_a_reset_lets_commands_through_but_the_sender_stays_damped(made):
    link, go2 = made
    sender = sending(go2)
    go2.emergency_stop()
    go2.reset_emergency_stop()
    stays_damped(link, sender, "emergency stop")
    assert sending(go2).state == "sending"


# -- the end of the program

CHILD = """
import os, signal, sys, threading, time
from recording_link import QUICK, RecordingLink, command, damps
from rfx.go2 import Go2

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup had it ignored
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
link = RecordingLink(published=lambda cmd: os.write(out, b"d" if damps(cmd) else b"c"))
go2 = Go2(QUICK, link)
go2._keep(link.latest())
def start():
    sender = go2.start_sending(ramp_s=0.0)
    go2.send(command())
    while sender.state != "sending":
        time.sleep(0.01)
    print("sending", flush=True)
"""
ENDINGS = {
    "exit": ("start()", None, 0),
    "SIGTERM": ("start()\ntime.sleep(60)", signal.SIGTERM, -signal.SIGTERM),
    "SIGINT": ("start()\ntime.sleep(60)", signal.SIGINT, -signal.SIGINT),
    "chained": (
        "signal.signal(signal.SIGTERM, lambda *a: (print('mine'), os._exit(7)))\nstart()\ntime.sleep(60)",
        signal.SIGTERM,
        7,
    ),
    "single": ("go2.send(command())\nprint('sending', flush=True)\ntime.sleep(60)", signal.SIGHUP, -signal.SIGHUP),
    "main thread": (
        "start()\ndef rest():\n    while go2.sender.state != 'damping': time.sleep(0.01)\n    time.sleep(0.1); os._exit(5)\n"
        "threading.Thread(target=rest).start()",
        None,
        5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ENDINGS)
def test_every_end_of_the_program_leaves_a_damped_robot(tmp_path, how):
    code, number, expected = ENDINGS[how]
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdout.readline() == "sending\n"
    if number is not None:
        child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == expected, err
    log = (tmp_path / "log").read_text()
    assert "c" in log
    assert log.endswith("d")
    assert ("mine" in out) == (how == "chained")
    assert ("KeyboardInterrupt" in err) == (how == "SIGINT")


def test_signal_handlers_are_put_back_when_the_last_robot_is_let_go():
    def mine(number, frame):
        raise AssertionError

    before = {number: signal.getsignal(number) for number in guard.SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, mine)
    try:
        robots = [robot_of()[1] for _ in range(2)]
        for go2 in robots:
            go2.send(command())
            assert guard.watched(go2)
        assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nothing would end
        robots[0].disconnect()
        assert signal.getsignal(signal.SIGTERM) is not mine
        robots[1].disconnect()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        for number, there in before.items():
            signal.signal(number, there)


def test_a_handler_that_came_later_stays():
    before = signal.getsignal(signal.SIGTERM)

    def later(number, frame):
        raise AssertionError

    try:
        _, go2 = robot_of()
        go2.send(command())
        signal.signal(signal.SIGTERM, later)
        go2.disconnect()
        assert signal.getsignal(signal.SIGTERM) is later
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_that_call_each_other_end():
    before, called = signal.getsignal(signal.SIGTERM), []
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: called.append("first"))
        link, go2 = robot_of()
        go2.send(command())
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: (called.append("later"), ours(number, frame)))
        _, other = robot_of()
        other.send(command())
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_for(lambda: called == ["later", "first"])
        assert damps(link.sent()[-1])
        go2.disconnect()
        other.disconnect()
    finally:
        signal.signal(signal.SIGTERM, before)
        guard._before.clear()


# -- a simulated robot


class Robot:
    def __init__(self, domain_id, **options):
        self.domain = CycloneDomain(domain_id, LOOPBACK)
        self.robot = SimulatedGo2(make_plant("joint"), self.domain, **options)
        self.thread = threading.Thread(target=self.robot.run)

    def __enter__(self):
        self.thread.start()
        return self.robot

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(10)
        self.domain.close()


def test_the_start_up_of_a_real_robot_ends_at_the_stance_without_a_jump(domain_id):
    config = Go2Config.loopback(domain_id).with_limits(stale_s=5.0).with_timeouts(command_hold_s=30.0)
    with Robot(domain_id, mode="normal", command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
        go2.take_low_level()
        assert go2.check_mode() == ""
        began = go2.low_state().q
        with go2.start_sending(ramp_s=0.5) as sender:
            assert wait_for(lambda: robot.counters.commands > 5)
            np.testing.assert_allclose(go2.low_state().q, began, atol=0.05)
            go2.set_motor_positions(STAND, kp=60.0, kd=4.0)
            assert wait_for(lambda: sender.state == "sending")
            assert wait_for(lambda: np.abs(go2.low_state().q - STAND).max() < 0.05)
        assert wait_for(lambda: (robot._command.kp == 0).all() and (robot._command.kd == 3.0).all())
    assert robot.counters.damped == 0
    assert not {"command", "tilt", "stale", "overspeed"} & set(go2.safety.counts)


def test_the_example_of_the_guide_stands_the_robot_up(domain_id):
    [block] = [block for block in python_blocks("go2.md") if "start_sending" in block]
    block = block.replace("loopback(1)", f"loopback({domain_id}).with_limits(stale_s=10.0)").replace(
        "wait(3.0)", "wait(1.5)"
    )
    with Robot(domain_id, command_timeout_s=30.0) as robot:
        exec(compile(block, "go2.md", "exec"), {})
        assert robot.counters.commands > 100
        assert np.abs(robot.plant.state.q - STAND).max() < 0.1


def test_in_lockstep_every_state_gets_one_command(domain_id):
    config = Go2Config.loopback(domain_id, lockstep=True).with_timeouts(command_hold_s=0.4)
    with Robot(domain_id, lockstep=True, command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
        sender = go2.start_sending(ramp_s=0.1)
        go2.set_motor_positions(GO2.pose("lie"), kp=40.0, kd=3.0)
        assert wait_for(lambda: sender.state == "damping")
        assert sender.why == "no new command for 0.4 s"  # of the robot's time
        steps, commands = robot.counters.steps, robot.counters.commands
        assert wait_for(lambda: robot.counters.steps > steps + 20)
        go2.stop_sending()
        assert abs((robot.counters.steps - steps) - (robot.counters.commands - commands)) <= 1


def test_an_emergency_stop_damps_a_robot_in_sport_mode(domain_id):
    with Robot(domain_id, mode="normal") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        go2.emergency_stop()
        assert robot.sport.mode == SportModeId.DAMPING
        with pytest.raises(InvalidStateError):
            go2.stand_up()
        go2.reset_emergency_stop()
        go2.stand_up()
        assert robot.counters.commands == robot.counters.ignored == 0


# -- configuration


def test_rates_and_limits_are_changed_by_copies():
    config = Go2Config().with_rates(command_hz=250, state_hz=100).with_limits(SafetyLimits(tilt=0.5), temperature=70.0)
    assert (config.command_rate_hz, config.state_rate_hz, config.move_rate_hz) == (250, 100, 20.0)
    assert (config.limits.tilt, config.limits.temperature) == (0.5, 70.0)
    assert config.with_timeouts(command_hold_s=2.0).command_hold_s == 2.0
    assert Go2Config().limits == SafetyLimits()
    assert hash(config) != hash(Go2Config())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"command_rate_hz": 0}, InvalidValueError),
        ({"state_rate_hz": float("nan")}, InvalidValueError),
        ({"command_hold_s": -1}, InvalidValueError),
        ({"limits": None}, DTypeError),
        ({"state_rate_hz": 4.0}, ConfigError),  # every state would be stale
    ],
)
def test_impossible_rates_and_limits_are_refused(change, error):
    with pytest.raises(error, match=next(iter(change))):
        Go2Config(**change)
