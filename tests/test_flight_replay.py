"""rfx.go2.listener, replay and flight_check, and the commands above them: a run is recorded, and comes out the same."""

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from simulated_robots import running
from waiting import wait_for

from rfx.cli import main
from rfx.cli.demo import child_environment
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, RfxConnectionError
from rfx.go2 import Go2, Go2Config, PosturePlan, topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.flight_check import check_log, format_report
from rfx.go2.flight_log import FlightLog
from rfx.go2.listener import Listener, record_for
from rfx.go2.mcap_reader import McapReader
from rfx.go2.messages import LowCmd, LowState, Request
from rfx.go2.replay import replay_commands, replay_states
from rfx.go2.simulated import SimulatedGo2
from rfx.sim import make_plant

TICKS = 300


class Controller:
    """The demo's posture plan: all of it follows from the first state and the ticks."""

    def __init__(self, kp_offset=0.0):
        self.plan, self.first, self.kp_offset = PosturePlan.stand_and_lie(5.0), None, kp_offset

    def __call__(self, state):
        if self.first is None:
            self.first = state.tick
            self.plan.start(state.q)
        if state.tick - self.first >= 2 * TICKS:
            return None
        target, kp, kd = self.plan.at((state.tick - self.first) / 1000.0)
        cmd = LowCmd()
        cmd.set_motors(q=target + 0.01 * np.sin(state.q), dq=0.0, tau=0.0, kp=kp + self.kp_offset, kd=kd)
        return cmd


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, module_domain_id):
    """A lockstep run over DDS, as somebody who only listens recorded it."""
    path = tmp_path_factory.mktemp("flight") / "run.mcap"
    domain_id = module_domain_id
    controller = Controller()
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        robot = SimulatedGo2(make_plant("joint"), domain, lockstep=True, command_timeout_s=60.0)
        with FlightLog(path) as log, Listener(domain, log.record) as listener, running(robot):
            with Go2.connect(Go2Config.loopback(domain_id, lockstep=True)) as go2:
                assert wait_for(lambda: listener.matched[topics.LOW_CMD] and listener.matched[topics.LOW_STATE])
                while (cmd := controller(go2.low_state())) is not None:
                    go2.send(cmd)
                    assert go2.wait_state(10.0)
                    time.sleep(0.0005)
            assert wait_for(lambda: log.counts.written[topics.LOW_CMD] >= TICKS)
    return path


def test_every_command_of_a_recorded_run_comes_again_bit_for_bit(recorded):
    result = replay_commands(recorded, Controller())
    assert result.identical
    assert result.differences == []
    assert result.compared == TICKS
    assert result.after > 0  # the damping at the end is the link's own


def test_another_controller_is_found_out_and_the_fields_are_named(recorded):
    result = replay_commands(recorded, Controller(kp_offset=1e-4))
    assert not result.identical
    assert result.equal == 0
    assert result.differences[0].fields == tuple(f"motor_cmd[{i}].kp" for i in range(12))


def test_the_check_finds_a_run_sound(recorded):
    report = check_log(recorded)
    assert report.ok
    assert report.complete
    rows = {row.topic: row for row in report.topics}
    assert rows[topics.LOW_STATE].messages >= TICKS
    assert rows[topics.LOW_STATE].lost_ticks == 0
    assert rows[topics.LOW_CMD].checksum_errors == 0
    assert format_report(report).splitlines()[-1] == "ok"


def test_the_order_of_the_log_counts_where_commands_carry_no_tick(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        log.record(topics.LOW_CMD, 0, LowCmd().to_cdr())
        for i in range(5):
            state = LowState(tick=2 * i)
            log.record(topics.LOW_STATE, 10 * i, state.to_cdr())
            cmd = LowCmd()
            cmd.set_motors(q=i / 10)
            for _ in range(2):
                log.record(topics.LOW_CMD, 10 * i + 5, cmd.to_cdr())

    def controller(state):
        cmd = LowCmd()
        cmd.set_motors(q=state.tick / 20)
        return cmd

    result = replay_commands(log.path, controller)
    assert (result.compared, result.equal, result.repeated, result.stateless) == (5, 5, 5, 1)
    with pytest.raises(DTypeError, match="str"):
        replay_commands(log.path, lambda state: "stand")


def test_a_command_that_was_heard_before_its_state_finds_it(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        for i in range(6000):
            cmd = LowCmd(reserve=2 * i)
            cmd.set_motors(q=i / 1e4)
            log.record(topics.LOW_CMD, 2_000_000 * i, cmd.to_cdr())
            log.record(topics.LOW_STATE, 2_000_000 * i + 100, LowState(tick=2 * i).to_cdr())

    def controller(state):
        made = LowCmd()
        made.set_motors(q=state.tick / 2e4)
        return made

    result = replay_commands(log.path, controller)
    assert (result.compared, result.equal) == (6000, 6000)


def test_a_log_without_commands_is_not_identical(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        log.record(topics.LOW_STATE, 0, LowState().to_cdr())
    assert not replay_commands(log.path, lambda state: None).identical


def test_a_minus_zero_is_told_from_a_zero(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        log.record(topics.LOW_STATE, 0, LowState().to_cdr())
        cmd = LowCmd()
        cmd.set_motors(q=0.0)
        log.record(topics.LOW_CMD, 0, cmd.to_cdr())
    cmd.set_motors(q=-0.0)
    assert replay_commands(log.path, lambda state: cmd).differences[0].fields[0] == "motor_cmd[0].q"


@pytest.fixture
def troubled(tmp_path):
    """A log with a lost tick, a repeated one, a restart, a wrong checksum and a torn message, by hand."""
    with FlightLog(tmp_path / "troubled.mcap") as log:
        for i, tick in enumerate((0, 2, 4, 8, 8, 10, 0, 2)):
            log.record(topics.LOW_STATE, i * 2_000_000, LowState(tick=tick).to_cdr())
        wrong = bytearray(LowCmd().to_cdr())
        wrong[-1] ^= 0xFF
        log.record(topics.LOW_CMD, 0, bytes(wrong))
        log.record(topics.LOW_CMD, 10_000_000, LowCmd().to_cdr()[:-8])
        log.record(topics.SPORT_REQUEST, 3, Request().to_cdr())
    return log.path


def test_the_check_counts_what_is_wrong(troubled):
    rows = {row.topic: row for row in check_log(troubled).topics}
    low = rows[topics.LOW_STATE]
    assert (low.messages, low.lost_ticks, low.repeated_ticks, low.restarts) == (8, 1, 1, 1)
    assert low.rate_hz == pytest.approx(500.0)
    assert low.longest_gap_ms == pytest.approx(2.0)
    assert (rows[topics.LOW_CMD].checksum_errors, rows[topics.LOW_CMD].undecodable) == (1, 1)
    assert rows[topics.LOW_CMD].longest_gap_ms == pytest.approx(10.0)
    assert not check_log(troubled).ok


def test_a_torn_log_is_named_and_is_not_wrong(recorded):
    report = check_log(recorded.read_bytes()[:20_000])
    assert not report.complete
    assert report.ok
    assert "killed" in format_report(report)


def test_replayed_states_arrive_with_their_times_and_commands_do_not(tmp_path, domain_id):
    with FlightLog(tmp_path / "a.mcap") as log:
        for i in range(50):
            log.record(topics.LOW_STATE, 1000 + i * 4_000_000, LowState(tick=4 * i).to_cdr())
            log.record(topics.LOW_CMD, 1000 + i * 4_000_000, LowCmd().to_cdr())
    heard = []
    with (
        CycloneDomain(domain_id, LOOPBACK) as ears,
        CycloneDomain(domain_id, LOOPBACK) as mouth,
        Listener(ears, lambda *message: heard.append(message)),
    ):
        began = time.monotonic()
        assert replay_states(log.path, mouth, look_s=0.0) == {topics.LOW_STATE: 50}
        assert time.monotonic() - began >= 49 * 0.004
        assert wait_for(lambda: heard and LowState.from_cdr(heard[-1][2]).tick == 4 * 49)
    assert {topic for topic, _, _ in heard} == {topics.LOW_STATE}


def test_a_replay_beside_a_robot_is_refused(recorded, domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as robot, CycloneDomain(domain_id, LOOPBACK) as domain:
        robot.writer(topics.LOW_STATE, LowState)
        with pytest.raises(RfxConnectionError, match=f"domain {domain_id} already"):
            replay_states(recorded, domain, look_s=10.0)


def test_a_log_without_states_is_refused(tmp_path):
    with FlightLog(tmp_path / "a.mcap") as log:
        log.record(topics.LOW_CMD, 0, LowCmd().to_cdr())
    with pytest.raises(ConfigError, match="none in it"):
        replay_states(log.path, None)


def test_a_listener_that_is_stopped_leaves_no_thread(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        before = threading.active_count()
        with Listener(domain, lambda *message: None):
            assert threading.active_count() > before
        assert threading.active_count() == before


def test_what_a_listener_stumbles_over_is_kept_and_raised(tmp_path, domain_id):
    log = FlightLog(tmp_path / "a.mcap")
    log.close()
    with CycloneDomain(domain_id, LOOPBACK) as domain, CycloneDomain(domain_id, LOOPBACK) as robot:
        writer = robot.writer(topics.LOW_STATE, LowState)
        stop = threading.Event()

        def publish():
            while not stop.wait(0.01):
                writer.write(LowState().to_cdr())

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            with pytest.raises(InvalidStateError, match="takes no more"):
                record_for(domain, log, 20.0, threading.Event())
        finally:
            stop.set()
            thread.join()


def test_the_check_command_prints_a_table_or_json(recorded, troubled, capsys):
    assert main(["robot", "replay", str(recorded), "--check"]) == 0
    assert topics.LOW_STATE in capsys.readouterr().out
    assert main(["robot", "replay", str(troubled), "--check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_the_replay_command_publishes_the_states(tmp_path, domain_id, capsys):
    with FlightLog(tmp_path / "a.mcap") as log:
        for i in range(20):
            log.record(topics.LOW_STATE, i * 10_000_000, LowState(tick=10 * i).to_cdr())
    heard = []
    with CycloneDomain(domain_id, LOOPBACK) as ears, Listener(ears, lambda *message: heard.append(message)):
        assert main(["robot", "replay", str(log.path), "--domain", str(domain_id), "--speed", "2"]) == 0
        assert wait_for(lambda: heard and LowState.from_cdr(heard[-1][2]).tick == 190)
    assert json.loads(capsys.readouterr().out) == {"published": {topics.LOW_STATE: 20}}


def test_a_file_that_is_no_recording_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "a").write_bytes(b"no")
    assert main(["robot", "replay", str(tmp_path / "a"), "--check"]) == 1
    assert "MCAP" in capsys.readouterr().err
    with pytest.raises(CodecError):
        replay_commands(tmp_path / "a", lambda state: None)


def test_a_robot_is_recorded_until_the_recorder_is_told_to_end(tmp_path, domain_id):
    out = tmp_path / "a.mcap"
    command = [sys.executable, "-P", "-m", "rfx", "robot", "record", "--domain", str(domain_id), "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment(), text=True)
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.LOW_STATE, LowState)
        assert wait_for(lambda: writer.matched, 30)
        for i in range(100):
            writer.write(LowState(tick=2 * i).to_cdr())
            time.sleep(0.002)
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        said = json.loads(child.communicate(timeout=30)[0])
    assert child.returncode == 0
    with McapReader(out) as reader:
        ticks = [LowState.from_cdr(data).tick for _, _, data in reader]
        assert reader.complete
        assert reader.metadata["rfx.flight"]["domain"] == str(domain_id)
    assert len(ticks) > 50
    assert set(ticks) <= set(range(0, 200, 2))
    assert said["written"] == {topics.LOW_STATE: len(ticks)}
