"""Every way in which the simulated robot misbehaves ends in damping within 20 ms of its time, or in a clear error."""

import threading

import numpy as np
import pytest
from recording_link import damps
from waiting import wait_for

from rfx.control import ControlLoop
from rfx.errors import ConfigError, HardwareError, InvalidValueError, RfxConnectionError
from rfx.go2 import Fault, Faults, Go2, Go2Config, LowCmd, RobotClock
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.events import tilt_of
from rfx.go2.push import Push
from rfx.go2.simulated import SimulatedGo2
from rfx.go2.topics import SportModeId
from rfx.robots import GO2
from rfx.sim import JointCommand, make_plant

AT_S = 0.1
WITHIN_S = 0.02


class Robot:
    """A simulated robot in lockstep in a thread, which notes at what simulated time it says what."""

    def __init__(self, domain_id, faults, plant="joint", mode="", patience_s=0.2):
        made = make_plant(plant)
        made.reset("stand")
        self.said = []
        self.domain = CycloneDomain(domain_id, LOOPBACK)
        self.robot = SimulatedGo2(
            made,
            self.domain,
            lockstep=True,
            command_timeout_s=patience_s,
            say=self.note,
            mode=mode,
            faults=Faults(faults),
        )
        self.thread = threading.Thread(target=self.robot.run)

    def note(self, line):
        self.said.append((self.robot._now.time if hasattr(self, "robot") else 0.0, line))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.domain.close()

    def time_of(self, words):
        return next((at for at, line in self.said if words in line), None)


def drive(go2, seconds, seen=None, patience_s=1.0):
    """Command the robot at each of its ticks to hold the stance."""
    cmd, stance = LowCmd(), GO2.pose("stand")

    def tick(iteration, dt):
        low = go2.low_state()
        if seen is not None:
            seen.append((low.tick, low.q.tobytes()))
        cmd.set_motors(q=stance + 0.02 * np.sin(0.1 * iteration), dq=0.0, tau=0.0, kp=60.0, kd=4.0)
        go2.send(cmd)

    ControlLoop(500, tick, max_iterations=round(seconds * 500), clock=RobotClock(go2, patience_s=patience_s)).run()


def connect(domain_id):
    return Go2.connect(Go2Config.loopback(domain_id, lockstep=True))


# -- joints


@pytest.mark.parametrize(
    ("fault", "words", "motors"),
    [
        (Fault("freeze", AT_S, where="FL_calf"), "FL_calf not any more", {"FL_calf"}),
        (Fault("encoder", AT_S, where="RR"), "RR_hip, RR_thigh, RR_calf not any more", {"RR_hip", "RR_thigh", "RR_calf"}),
    ],
    ids=["freeze", "encoder"],
)  # fmt: skip
def test_a_motor_that_is_lost_under_low_level_control_is_named_and_damped(domain_id, fault, words, motors):
    with Robot(domain_id, [fault]) as made, connect(domain_id) as go2:
        with pytest.raises(HardwareError, match=words):
            drive(go2, 1.0)
        assert go2.low_state().tick <= 1000 * (AT_S + WITHIN_S)
        assert set(go2.lost_motors()) == motors
        assert wait_for(lambda: (made.robot._command.kp == 0).all() and (made.robot._command.kd == 3.0).all())
        assert made.robot.plant.state.time <= AT_S + WITHIN_S
        index = GO2.index_of(sorted(motors)[0])
        assert go2.low_state().motor_state[index].mode == 0


def note_damping(go2, ticks):
    """Note the tick that each damping command answers."""
    publish = go2.backend.publish_low_cmd

    def publish_and_note(cmd):
        if damps(cmd):
            ticks.append(cmd.reserve)
        publish(cmd)

    go2.backend.publish_low_cmd = publish_and_note


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("freeze", AT_S, where="RL_hip"), "RL_hip not any more"),
        (Fault("encoder", AT_S, where="FL"), "FL_hip, FL_thigh, FL_calf not any more"),
    ],
    ids=["freeze", "encoder"],
)
def test_the_sender_damps_when_a_motor_is_lost(domain_id, fault, words):
    with Robot(domain_id, [fault]), connect(domain_id) as go2:
        ticks = []
        with go2.start_sending(ramp_s=0.02, hold_s=60.0) as sender:
            go2.set_motor_positions(GO2.pose("stand"), kp=60.0, kd=4.0)
            assert wait_for(lambda: sender.state == "sending" or sender.why)
            note_damping(go2, ticks)
            assert wait_for(lambda: sender.state == "damping")
            assert words in sender.why
            assert wait_for(lambda: ticks)
        assert 1000 * AT_S <= ticks[0] <= 1000 * (AT_S + WITHIN_S)


def test_the_sender_says_that_the_robot_is_gone(domain_id):
    with Robot(domain_id, [Fault("vanish", AT_S)]), connect(domain_id) as go2:
        go2.config = go2.config.with_timeouts(connect_s=0.4)
        sender = go2.start_sending(ramp_s=0.02, hold_s=60.0)
        go2.set_motor_positions(GO2.pose("stand"), kp=60.0, kd=4.0)
        assert wait_for(lambda: not sender.is_running())
        assert "the robot is gone" in sender.why
        with pytest.raises(HardwareError, match=r"the robot is gone.*start sending again"):
            go2.send(LowCmd())


def test_a_robot_that_is_pushed_over_is_damped(domain_id):
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    config = Go2Config.loopback(domain_id, lockstep=True).with_limits(velocity=1000.0)
    with Robot(domain_id, [], "mujoco") as made, Go2.connect(config) as go2:
        damped, tilted, keep = [], [], go2._keep
        note_damping(go2, damped)

        def keep_and_note(low):
            if low is not None and tilt_of(low.imu_state.quaternion) > config.limits.tilt:
                tilted.append(low.tick)
            return keep(low)

        go2._keep = keep_and_note
        made.robot._pushes.append(Push(AT_S, 0.15, (0.0, 900.0, 0.0)))
        with pytest.raises(HardwareError, match=r"upright, got 1\."):
            drive(go2, 3.0)
        assert 0 <= damped[0] - tilted[0] <= 1000 * WITHIN_S


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("freeze", 1.5, where="FR_thigh"), "FR_thigh is stuck"),
        (Fault("encoder", 1.5, where="RL"), "RL is not measured"),
    ],
    ids=["freeze", "encoder"],
)
def test_the_sport_mode_damps_when_it_loses_a_motor_while_it_walks(domain_id, fault, words):
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with Robot(domain_id, [fault], "mujoco", "normal") as made, connect(domain_id) as go2:
        go2.stand()
        go2.walk(0.3, 0.0, 0.0, hold_s=60.0)
        go2.wait(1.0)
        assert made.robot.sport.mode == SportModeId.DAMPING
        assert made.robot.sport.reason == words
        assert fault.start_s <= made.time_of("sport mode damps") <= fault.start_s + WITHIN_S
        assert go2.state().sport.error_code == 1


def test_a_stuck_joint_stays_where_it_was():
    plant, faults = make_plant("joint"), Faults([Fault("freeze", 0.0, where="FR_hip")])
    state = faults.measure(plant.state)
    stuck = state.q[0]
    wanted = JointCommand(q=state.q + 0.3, kp=60, kd=4)
    for _ in range(200):
        state = faults.measure(plant.step(faults.bend(wanted)))
    assert state.q[0] == pytest.approx(stuck, abs=0.02)
    assert state.q[3] == pytest.approx(wanted.q[3], abs=0.05)
    assert faults.bad_motors() == [0]
    assert faults.lost[0] == 201
    assert wanted.kp[0] == 60  # the caller's command is as it was


def test_a_fault_that_is_over_leaves_the_robot_as_it_was():
    plant, faults = make_plant("joint"), Faults([Fault("encoder", 0.0, 0.01, where="FL")])
    for _ in range(10):
        state = faults.measure(plant.step(JointCommand(q=0.3, kp=60, kd=4)))
    assert not faults.complaint()
    np.testing.assert_array_equal(state.q, plant.state.q)
    assert faults.bend(JointCommand()) == JointCommand()


# -- lines


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop", AT_S, where="lowcmd"),
        Fault("delay", AT_S, where="lowcmd"),
        Fault("corrupt", AT_S, where="lowcmd"),
        Fault("drop", AT_S, where="lowstate"),
        Fault("corrupt", AT_S, where="lowstate"),
        Fault("delay", AT_S, where="lowstate", delay_s=5.0),
        Fault("vanish", AT_S),
    ],
    ids=lambda f: f"{f.kind} {f.where}",
)
def test_a_robot_cut_off_from_its_commander_damps(domain_id, fault):
    with Robot(domain_id, [fault]) as made, connect(domain_id) as go2:
        stop = threading.Event()

        def commander():
            try:
                while not stop.is_set():
                    drive(go2, 0.05, patience_s=0.5)
            except RfxConnectionError as error:
                errors.append(str(error))

        errors = []
        thread = threading.Thread(target=commander)
        thread.start()
        assert wait_for(lambda: made.time_of("damping at") is not None)
        stop.set()
        thread.join(20)
        assert AT_S <= made.time_of("damping at") <= AT_S + WITHIN_S
        assert "no command for" in made.robot.counters.reasons[0]
        if fault.where == "lowstate" or fault.kind == "vanish":
            assert wait_for(lambda: not go2.is_connected())
            assert not errors or "the robot is gone" in errors[0]
        if (fault.kind, fault.where) == ("corrupt", "lowstate"):
            assert go2._receiver.refused > 0


def test_the_loop_of_a_commander_whose_robot_vanishes_ends_with_a_clear_error(domain_id):
    with (
        Robot(domain_id, [Fault("vanish", AT_S)]),
        connect(domain_id) as go2,
        pytest.raises(RfxConnectionError, match=r"the robot is gone: no new state for 0\.4 s"),
    ):
        drive(go2, 10.0, patience_s=0.4)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("duplicate", 0.0, where="lowcmd"), Fault("duplicate", 0.0, where="lowstate")],
        [Fault("corrupt", 0.0, where="lowcmd", share=0.15)],
        [Fault("drop", 0.0, where="lowcmd", share=0.15)],
        [Fault("drop", 0.02, where="lowstate", share=0.15)],
        [Fault("corrupt", 0.02, where="lowstate", share=0.15)],
    ],
    ids=lambda f: f"{f[0].kind} {f[0].where}",
)
def test_in_lockstep_a_bad_line_changes_nothing_but_the_time_it_takes(domain_id, other_domain_id, faults):
    def run(with_faults, domain):
        seen = []
        with Robot(domain, with_faults, patience_s=60.0) as made, connect(domain) as go2:  # machines stall, too
            drive(go2, 0.1, seen, patience_s=60.0)
            return seen, made.robot.faults.met

    clean, _ = run([], domain_id)
    troubled, met = run(faults, other_domain_id)
    assert met > 0
    assert troubled == clean


def test_faults_on_lines_are_the_same_each_time():
    def pass_all(seed):
        faults = Faults([Fault("drop", 0.0, where="lowcmd", share=0.5), Fault("corrupt", 0.0, where="lowcmd")], seed)
        return [faults.pass_on("lowcmd", [bytes(range(20))], 0.002 * i) for i in range(50)]

    assert pass_all(3) == pass_all(3)
    assert pass_all(3) != pass_all(4)
    for came in pass_all(3):
        for data in came:
            assert len(data) == 20
            assert sum(a != b for a, b in zip(data, bytes(range(20)), strict=True)) == 1
            assert data[:4] == bytes(range(4))


def test_a_delayed_message_comes_later_and_in_order():
    faults = Faults([Fault("delay", 0.0, 0.01, where="lowstate", delay_s=0.02)])
    assert faults.pass_on("lowstate", [b"a"], 0.0) == []
    assert faults.pass_on("lowstate", [b"b"], 0.002) == []
    assert faults.pass_on("lowstate", [b"c"], 0.012) == [b"c"]
    assert faults.pass_on("lowstate", [], 0.02) == [b"a"]
    assert faults.pass_on("lowstate", [b"d"], 0.022) == [b"b", b"d"]
    assert faults.pass_on("lowcmd", [b"e"], 0.0) == [b"e"]


# -- as text


def test_a_fault_is_read_from_text():
    assert Fault.parse("drop:1:0.5:lowcmd:0.25") == Fault("drop", 1.0, 0.5, "lowcmd", 0.25)
    assert Fault.parse("freeze:2:1:FR_hip") == Fault("freeze", 2.0, 1.0, "FR_hip")
    assert Fault.parse("vanish:3:4") == Fault("vanish", 3.0, 4.0)


@pytest.mark.parametrize(
    "text",
    ["", "drop", "drop:1", "drop:a:b", "drop:1:1", "drop:1:1:FR", "freeze:1:1:FR", "encoder:1:1:FR_hip", "melt:1:1",
     "vanish:1:1:lowcmd", "drop:1:1:lowcmd:0.5:6", "drop:1:1:lowcmd:x"],
)  # fmt: skip
def test_text_that_is_no_fault_is_refused(text):
    with pytest.raises(ConfigError):
        Fault.parse(text)


@pytest.mark.parametrize("text", ["drop:-1:1:lowcmd", "drop:0:0:lowcmd", "drop:0:1:lowcmd:2", "drop:nan:1:lowcmd"])
def test_numbers_out_of_range_are_refused(text):
    with pytest.raises(InvalidValueError):
        Fault.parse(text)


def test_faults_takes_faults():
    with pytest.raises(ConfigError, match="str"):
        Faults(["drop:1:1:lowcmd"])
    assert "met=0" in repr(Faults([Fault("vanish", 1.0)]))
