"""rfx.go2.client and lockstep: what a user of the robot relies on, against a simulated one in this process."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from waiting import wait_for

from rfx.control import ControlLoop, StopControlLoop
from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxConnectionError,
    RfxTimeoutError,
    ShapeError,
)
from rfx.go2 import Go2, Go2Config, LowCmd, LowState, RobotClock, topics
from rfx.go2.backends import cyclone
from rfx.go2.backends.base import DdsBackend, StateReceiver
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.backends.cyclone_backend import CycloneBackend
from rfx.go2.messages import SportModeState
from rfx.go2.simulated import SimulatedGo2
from rfx.robots import GO2
from rfx.sim import make_plant


class Robot:
    """A simulated robot in a thread."""

    def __init__(self, domain_id, **options):
        self.domain = CycloneDomain(domain_id, LOOPBACK)
        self.robot = SimulatedGo2(make_plant("joint"), self.domain, **options)
        self.thread = threading.Thread(target=self.robot.run)

    def __enter__(self):
        self.thread.start()
        return self.robot

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(30)
        self.domain.close()


@pytest.fixture
def link(domain_id):
    config = Go2Config.loopback(domain_id).with_limits(stale_s=10.0)  # a machine that stalls is no fault of the robot's
    with Robot(domain_id) as robot, Go2.connect(config) as go2:
        yield robot, go2


# -- connecting


def test_connect_returns_with_a_valid_state(link):
    _, go2 = link
    assert go2.is_connected()
    assert np.isfinite(go2.state().joint_positions).all()


def test_connect_without_a_robot_says_what_was_tried(domain_id):
    config = Go2Config.loopback(domain_id, connect_timeout_s=0.3)
    with pytest.raises(RfxTimeoutError) as caught:
        Go2.connect(config)
    for word in ("rt/lowstate", f"domain {domain_id}", LOOPBACK, "0.3 s", "nobody publishes", "firewall"):
        assert word in str(caught.value)


def test_connect_names_an_interface_that_is_not_there():
    with pytest.raises(RfxConnectionError, match=f"no network interface 'eth77'.*{LOOPBACK}"):
        Go2.connect(Go2Config(interface="eth77"))


def test_states_with_a_wrong_checksum_are_refused_and_named(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.LOW_STATE, LowState)
        stop = threading.Event()

        def publish():
            while not stop.wait(0.01):
                writer.write(LowState(crc=1).to_cdr(seal=False))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            with pytest.raises(RfxTimeoutError, match=r"refused.*checksum"):
                Go2.connect(Go2Config.loopback(domain_id, connect_timeout_s=1.0))
        finally:
            stop.set()
            thread.join()


def test_a_publisher_that_takes_no_commands_is_not_a_robot(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.LOW_STATE, LowState)
        stop = threading.Event()

        def publish():
            while not stop.wait(0.01):
                writer.write(LowState().to_cdr())

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            with pytest.raises(RfxTimeoutError, match="nobody listens to rt/lowcmd"):
                Go2.connect(Go2Config.loopback(domain_id, connect_timeout_s=1.0))
        finally:
            stop.set()
            thread.join()


def test_ctrl_c_gets_through_while_connecting(domain_id):
    code = (
        "from rfx.go2 import Go2, Go2Config; print('go', flush=True); "
        f"Go2.connect(Go2Config.loopback({domain_id}, connect_timeout_s=60))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert child.stdout.readline() == "go\n"
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    _, text = child.communicate(timeout=120)
    assert "KeyboardInterrupt" in text


@pytest.mark.parametrize("bad", ["192.168.123.161", 5, {}])
def test_connect_takes_a_config(bad):
    with pytest.raises(DTypeError, match="Go2Config"):
        Go2.connect(bad)


# -- looking


def test_the_state_has_arrays_by_motor_order_and_motors_by_name(link):
    _, go2 = link
    state = go2.state()
    assert state.joint_positions.shape == (12,)
    assert state.motor("RR_calf").q == pytest.approx(float(state.joint_positions[8]))
    assert state.battery_percent == 100
    assert wait_for(lambda: go2.state().body_height is not None)
    with pytest.raises(ConfigError, match="RR_toe"):
        state.motor("RR_toe")


def test_wait_state_brings_newer_ticks(link):
    _, go2 = link
    before = go2.low_state().tick
    assert go2.wait_state(2.0)
    assert go2.newest_tick > before


def test_a_robot_that_falls_silent_is_not_connected(domain_id):
    robot = Robot(domain_id)
    with robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        assert go2.is_connected()
        robot.robot.stop()
        assert wait_for(lambda: not go2.is_connected())
        assert "stale" in repr(go2)


# -- commanding


def test_positions_reach_all_twelve_motors(link):
    robot, go2 = link
    target = (go2.low_state().q.astype(float) + 0.1).clip(GO2.lower, GO2.upper)
    assert not go2.set_motor_positions(target, kp=60.0, kd=4.0)
    assert wait_for(lambda: robot.counters.commands > 0)
    np.testing.assert_allclose(robot._command.q, target, rtol=1e-6)
    np.testing.assert_array_equal(robot._command.kp, 60.0)
    assert robot._command.enabled.all()


@pytest.mark.parametrize(
    ("positions", "error", "words"),
    [
        (np.full(12, np.nan), InvalidValueError, "positions"),
        (np.zeros(11), ShapeError, "12"),
        (np.zeros(12), InvalidValueError, "FR_calf within -2.7227"),
        ("stand", DTypeError, "positions"),
    ],
)
def test_bad_positions_are_refused_and_nothing_is_sent(link, positions, error, words):
    robot, go2 = link
    with pytest.raises(error, match=words):
        go2.set_motor_positions(positions)
    time.sleep(0.1)
    assert robot.counters.commands == 0


@pytest.mark.parametrize(("kp", "kd"), [(-1.0, 0.5), (np.nan, 0.5), (20.0, -0.1), (20.0, np.inf)])
def test_bad_gains_are_refused_and_nothing_is_sent(link, kp, kd):
    robot, go2 = link
    with pytest.raises(InvalidValueError):
        go2.set_motor_positions(GO2.pose("stand"), kp, kd)
    time.sleep(0.1)
    assert robot.counters.commands == 0


def test_a_command_with_a_nan_in_any_slot_is_not_sent(link):
    robot, go2 = link
    cmd = LowCmd()
    cmd.motor_cmd[19].tau = float("nan")
    with pytest.raises(InvalidValueError, match="finite"):
        go2.send(cmd)
    with pytest.raises(DTypeError, match="LowCmd"):
        go2.send(b"")
    time.sleep(0.1)
    assert robot.counters.commands == 0


def test_disconnecting_after_commands_leaves_the_robot_damped(domain_id):
    with Robot(domain_id, command_timeout_s=30.0) as robot:
        with Go2.connect(Go2Config.loopback(domain_id).with_limits(stale_s=10.0)) as go2:
            go2.set_motor_positions(GO2.pose("stand"))
        assert wait_for(lambda: robot.counters.commands and (robot._command.kd == 3.0).all())
        np.testing.assert_array_equal(robot._command.kp, 0)


def test_disconnecting_without_commands_sends_none(domain_id):
    with Robot(domain_id) as robot:
        Go2.connect(Go2Config.loopback(domain_id)).disconnect()
        time.sleep(0.1)
        assert robot.counters.commands == 0


def test_a_disconnected_robot_says_so(link):
    _, go2 = link
    go2.disconnect()
    go2.disconnect()
    assert not go2.is_connected()
    with pytest.raises(InvalidStateError, match="connect again"):
        go2.state()
    with pytest.raises(InvalidStateError):
        go2.damp()


def test_several_threads_may_look_and_command_at_once(link):
    robot, go2 = link
    errors = []

    def work(index):
        try:
            for _ in range(200):
                try:
                    if index % 2:
                        go2.set_motor_positions(GO2.pose("stand"), kp=float(index))
                    else:
                        assert np.isfinite(go2.state().joint_positions).all()
                except HardwareError as error:  # on a busy machine states come late, and the envelope damps
                    if "expected a state no older" not in str(error):
                        raise
                    go2.safety.reset()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert robot.counters.refused == 0
    assert set(robot._command.kp) in ({0.0}, {1.0}, {3.0})


# -- lockstep


def lockstep_run(domain_id, ticks):
    with (
        Robot(domain_id, lockstep=True, command_timeout_s=30.0) as robot,
        Go2.connect(Go2Config.loopback(domain_id, lockstep=True)) as go2,
    ):
        seen, cmd = [], LowCmd()

        def tick(iteration, dt):
            low = go2.low_state()
            seen.append((low.tick, low.q))
            cmd.set_motors(q=GO2.pose("lie") + 0.001 * iteration, dq=0.0, tau=0.0, kp=40.0, kd=2.0)
            go2.send(cmd)

        stats = ControlLoop(500, tick, max_iterations=ticks, clock=RobotClock(go2)).run()
        assert wait_for(lambda: robot.counters.steps >= ticks)
        return stats, seen, robot.counters


def test_one_loop_tick_is_one_state(domain_id):
    stats, seen, counters = lockstep_run(domain_id, 300)
    assert [t for t, _ in seen] == list(range(0, 600, 2))
    assert stats.missed_ticks == 0
    assert stats.iterations == 300
    assert counters.steps >= 300


def test_lockstep_gives_the_same_bytes_again(domain_id):
    _, first, _ = lockstep_run(domain_id, 200)
    _, second, _ = lockstep_run(domain_id, 200)
    assert all((a == b).all() for (_, a), (_, b) in zip(first, second, strict=True))


def test_a_lost_answer_is_sent_again(domain_id):
    with (
        Robot(domain_id, lockstep=True, command_timeout_s=30.0) as robot,
        Go2.connect(Go2Config.loopback(domain_id, lockstep=True)) as go2,
    ):
        cmd = LowCmd()
        publish = go2.backend.publish_low_cmd
        go2.backend.publish_low_cmd = lambda message: None  # the first answer is lost on its way
        go2.send(cmd)
        go2.backend.publish_low_cmd = publish
        assert robot.counters.steps == 0
        end = time.monotonic() + 5
        while go2.newest_tick < 2 and time.monotonic() < end:
            go2.wait_state(0.1)
        assert go2.newest_tick == 2
        assert robot.counters.commands == 1


def test_a_robot_that_is_gone_ends_the_loop(domain_id):
    robot = Robot(domain_id, lockstep=True, command_timeout_s=30.0)
    with robot, Go2.connect(Go2Config.loopback(domain_id, lockstep=True)) as go2:

        def tick(iteration, dt):
            if iteration == 5:
                robot.robot.stop()
            go2.low_state()
            cmd = LowCmd()
            go2.send(cmd)

        with pytest.raises(RfxConnectionError, match="the robot is gone"):
            ControlLoop(500, tick, clock=RobotClock(go2, patience_s=0.5)).run()


def test_stopping_a_lockstep_loop_from_inside_is_clean(domain_id):
    with (
        Robot(domain_id, lockstep=True, command_timeout_s=30.0),
        Go2.connect(Go2Config.loopback(domain_id, lockstep=True)) as go2,
    ):

        def tick(iteration, dt):
            raise StopControlLoop

        assert ControlLoop(500, tick, clock=RobotClock(go2)).run().iterations == 0


# -- backend and configuration


def test_the_backend_is_one(domain_id):
    backend = CycloneBackend(domain_id, LOOPBACK)
    try:
        assert isinstance(backend, DdsBackend)
        assert isinstance(backend.subscribe_state(), StateReceiver)
        assert not backend.is_connected()
        assert backend.sport_state() is None
    finally:
        backend.disconnect()


@pytest.mark.parametrize(("robot_raw", "our_raw"), [(True, False), (False, True), (False, False)])
def test_the_idl_classes_serve_where_raw_bytes_do_not(domain_id, robot_raw, our_raw):
    with (
        CycloneDomain(domain_id, LOOPBACK, raw=robot_raw) as there,
        CycloneDomain(domain_id, LOOPBACK, raw=our_raw) as here,
    ):
        writer = there.writer(topics.SPORT_MODE_STATE, SportModeState)
        reader = here.reader(topics.SPORT_MODE_STATE, SportModeState)
        assert wait_for(lambda: writer.matched and reader.matched)
        sent = SportModeState(body_height=0.25, mode=3)
        writer.write(sent.to_cdr())
        assert reader.wait(5.0)
        assert SportModeState.from_cdr(reader.take_latest()) == sent


def test_wake_ends_a_wait_in_another_thread(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        reader = domain.reader(topics.LOW_STATE, LowState)
        threading.Timer(0.2, reader.wake).start()
        began = time.monotonic()
        assert not reader.wait(30.0)
        assert time.monotonic() - began < 20.0


def test_closing_ends_a_wait_and_closed_endpoints_say_so(domain_id):
    domain = CycloneDomain(domain_id, LOOPBACK)
    reader, writer = domain.reader(topics.LOW_STATE, LowState), domain.writer(topics.LOW_CMD, LowCmd)
    threading.Timer(0.2, domain.close).start()
    assert not reader.wait(30.0)
    assert wait_for(lambda: "closed" in repr(writer))
    for call in (reader.take, lambda: reader.wait(0.1), lambda: writer.write(b""), lambda: writer.matched):
        with pytest.raises(InvalidStateError, match="cannot be used"):
            call()
    with pytest.raises(InvalidStateError, match="closed"):
        domain.reader(topics.LOW_STATE, LowState)


def test_a_domain_that_waits_for_the_garbage_collector_keeps_no_new_one_out(domain_id):
    gc.disable()
    try:
        with CycloneDomain(domain_id, LOOPBACK):
            circle = [cyclone._domains._open[domain_id][0]]
            circle.append(circle)
            del circle
        with CycloneDomain(domain_id, LOOPBACK) as domain:
            domain.reader(topics.LOW_STATE, LowState)
    finally:
        gc.enable()


def test_bytes_of_a_wrong_length_are_refused_by_the_writer(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.LOW_CMD, LowCmd)
        with pytest.raises(RfxConnectionError, match="rt/lowcmd"):
            writer.write(LowCmd().to_cdr()[:100])


def test_one_domain_has_one_interface_per_process(domain_id):
    with CycloneDomain(domain_id, LOOPBACK), pytest.raises(ConfigError, match="is open on interface"):
        CycloneDomain(domain_id, None)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"domain_id": -1}, InvalidValueError),
        ({"domain_id": 231}, InvalidValueError),
        ({"domain_id": "0"}, DTypeError),
        ({"backend": "pigeon"}, ConfigError),
        ({"connect_timeout_s": 0}, InvalidValueError),
        ({"stale_after_s": float("nan")}, InvalidValueError),
        ({"interface": ""}, DTypeError),
        ({"ip_address": None}, DTypeError),
    ],
)
def test_an_impossible_configuration_is_refused(change, error):
    with pytest.raises(error, match=next(iter(change))):
        Go2Config(**change)


def test_configurations_are_changed_by_copies():
    config = Go2Config()
    assert config.with_interface("eth0").interface == "eth0"
    assert config.with_domain(3).domain_id == 3
    assert config.with_backend("cyclone").backend == "cyclone"
    assert config.interface is None
