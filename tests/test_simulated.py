"""rfx.go2.simulated: the robot's side of DDS, with the quick stand-in plant."""

import threading
import time

import numpy as np
import pytest
from waiting import wait_for

from rfx.errors import ConfigError, InvalidValueError
from rfx.go2 import topics
from rfx.go2.backends.cyclone import CycloneDomain
from rfx.go2.messages import LowCmd, LowState
from rfx.go2.simulated import Push, SimulatedGo2
from rfx.sim import make_plant


class Rig:
    """A simulated robot in a thread and a commander's endpoints, on one domain."""

    def __init__(self, domain_id, **options):
        self.robot_domain = CycloneDomain(domain_id, "lo")
        self.domain = CycloneDomain(domain_id, "lo")
        self.lines = []
        self.robot = SimulatedGo2(make_plant("joint"), self.robot_domain, say=self.lines.append, **options)
        self.states = self.domain.reader(topics.LOW_STATE, LowState)
        self.commands = self.domain.writer(topics.LOW_CMD, LowCmd)
        self.thread = threading.Thread(target=self.robot.run)

    def __enter__(self):
        self.thread.start()
        end = time.monotonic() + 30
        while not (self.states.matched and self.commands.matched):
            assert time.monotonic() < end, "no match"
            time.sleep(0.01)
        return self

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.domain.close()
        self.robot_domain.close()

    def state(self, seconds=30.0):
        assert self.states.wait(seconds)
        return LowState.from_cdr(self.states.take_latest())

    def state_at(self, tick, seconds=30.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.state()
            if state.tick >= tick:
                return state
        raise AssertionError(f"no state at tick {tick}")

    def command(self, echo=0, q=0.3, seal=True):
        cmd = LowCmd()
        cmd.set_motors(mode=1, q=q, dq=0.0, tau=0.0, kp=60.0, kd=4.0)
        cmd.reserve = echo
        data = bytearray(cmd.to_cdr())
        if not seal:
            data[-1] ^= 0xFF
        self.commands.write(bytes(data))


def test_states_carry_a_right_checksum_and_the_pose(domain_id):
    with Rig(domain_id) as rig:
        state = rig.state()
    assert state.crc_ok
    np.testing.assert_allclose(state.imu_state.quaternion, (1, 0, 0, 0), atol=1e-6)
    assert np.isfinite(state.q).all()


def test_real_time_obeys_commands(domain_id):
    with Rig(domain_id) as rig:
        for _ in range(200):
            rig.command()
            rig.state()
        state = rig.state()
    np.testing.assert_allclose(state.q[::3], 0.3, atol=0.1)


def test_lockstep_waits_for_the_answer_and_takes_one_step_for_it(domain_id):
    with Rig(domain_id, lockstep=True, command_timeout_s=30.0) as rig:
        first = rig.state()
        time.sleep(0.2)
        assert rig.state().tick == first.tick == 0
        rig.command(echo=0)
        assert rig.state_at(2).tick == 2
        assert rig.robot.counters.steps == 1


def test_lockstep_ignores_an_answer_to_another_state(domain_id):
    with Rig(domain_id, lockstep=True, command_timeout_s=30.0) as rig:
        rig.state()
        rig.command(echo=4)
        assert wait_for(lambda: rig.robot.counters.repeated == 1)
        assert rig.robot.counters.steps == 0


def test_a_wrong_checksum_is_refused_and_counted(domain_id):
    with Rig(domain_id) as rig:
        rig.state()
        rig.command(seal=False)
        assert wait_for(lambda: rig.robot.counters.refused == 1)
        assert rig.robot.mode == "waiting"


@pytest.mark.parametrize(("field", "value"), [("tau", float("nan")), ("q", float("inf")), ("kp", -1.0)])
def test_a_command_that_no_motor_may_get_is_refused_and_the_robot_goes_on(domain_id, field, value):
    with Rig(domain_id) as rig:
        rig.state()
        cmd = LowCmd()
        setattr(cmd.motor_cmd[5], field, value)
        rig.commands.write(cmd.to_cdr())
        assert wait_for(lambda: rig.robot.counters.refused == 1)
        rig.state_at(rig.state().tick + 20)
        assert rig.robot.mode == "waiting"


@pytest.mark.parametrize("lockstep", [False, True], ids=["real time", "lockstep"])
def test_a_stale_command_leads_to_damping(domain_id, lockstep):
    with Rig(domain_id, lockstep=lockstep, command_timeout_s=0.1) as rig:
        rig.state()
        rig.command(echo=0)
        assert wait_for(lambda: rig.robot.mode == "damping")
        before = rig.state().tick
        rig.state_at(before + 50)  # time goes on while damped
    assert any("no command for" in line for line in rig.lines)


def test_commands_that_come_back_end_damping(domain_id):
    with Rig(domain_id, command_timeout_s=0.1) as rig:
        rig.state()
        rig.command()
        assert wait_for(lambda: rig.robot.mode == "damping")
        rig.command()
        assert wait_for(lambda: "commands are back" in " ".join(rig.lines))


def test_a_commander_that_is_gone_ends_the_run_in_damping(domain_id):
    with Rig(domain_id, lockstep=True, command_timeout_s=30.0) as rig:
        rig.state()
        rig.command(echo=0)
        rig.state_at(2)
        rig.robot.commander_gone()
        rig.thread.join(10)
        assert not rig.thread.is_alive()
        assert rig.robot.mode == "damping"
        assert rig.robot.counters.reasons == ["the commander is gone"]


def test_push_is_read_and_written_as_text():
    push = Push.parse("4:0.2:0,80,-1.5")
    assert push == Push(4.0, 0.2, (0.0, 80.0, -1.5))
    assert Push.parse(str(push)) == push


@pytest.mark.parametrize("text", ["", "4:0.2", "4:0.2:1,2", "a:b:c", "4:0.2:1,2,3,4"])
def test_a_malformed_push_is_refused(text):
    with pytest.raises(ConfigError, match="START:DURATION"):
        Push.parse(text)


@pytest.mark.parametrize("text", ["4:0:0,80,0", "-1:1:0,0,0", "nan:1:0,0,0", "1:1:inf,0,0"])
def test_an_impossible_push_is_refused(text):
    with pytest.raises(InvalidValueError):
        Push.parse(text)
