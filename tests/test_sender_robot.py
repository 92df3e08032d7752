"""The sender on a simulated robot over DDS, and the rates and limits of its configuration."""

import numpy as np
import pytest
from guides import python_blocks
from recording_link import STAND
from simulated_robots import simulated
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    DTypeError,
    InvalidStateError,
    InvalidValueError,
)
from rfx.go2 import Go2, Go2Config
from rfx.go2.limits import SafetyLimits
from rfx.go2.topics import SportModeId
from rfx.robots.go2 import GO2

# -- a simulated robot


def test_the_start_up_of_a_real_robot_ends_at_the_stance_without_a_jump(domain_id):
    config = Go2Config.loopback(domain_id).with_limits(stale_s=5.0).with_timeouts(command_hold_s=30.0)
    with simulated(domain_id, mode="normal", command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
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
    with simulated(domain_id, command_timeout_s=30.0) as robot:
        exec(compile(block, "go2.md", "exec"), {})
        assert robot.counters.commands > 100
        assert np.abs(robot.plant.state.q - STAND).max() < 0.1


def test_in_lockstep_every_state_gets_one_command(domain_id):
    config = Go2Config.loopback(domain_id, lockstep=True).with_timeouts(command_hold_s=0.4)
    with simulated(domain_id, lockstep=True, command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
        sender = go2.start_sending(ramp_s=0.1)
        go2.set_motor_positions(GO2.pose("lie"), kp=40.0, kd=3.0)
        assert wait_for(lambda: sender.state == "damping")
        assert sender.why == "no new command for 0.4 s"  # of the robot's time
        before, steps = unanswered(robot.counters), robot.counters.steps
        assert wait_for(lambda: robot.counters.steps > steps + 20)
        go2.stop_sending()
        assert abs(unanswered(robot.counters) - before) <= 1


def unanswered(counters):
    """Steps less commands, of one moment of a robot that goes on meanwhile."""
    while True:
        commands, steps = counters.commands, counters.steps
        if counters.commands == commands:
            return steps - commands


def test_an_emergency_stop_damps_a_robot_in_sport_mode(domain_id):
    with simulated(domain_id, mode="normal") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
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
