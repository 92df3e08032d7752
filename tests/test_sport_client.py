"""The sport client: stand, walk, sit and recover, request by request, against the simulated robot."""

import numpy as np
import pytest
import sport_robots
from sport_robots import sport_robot
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    InvalidValueError,
    RfxTimeoutError,
)
from rfx.go2 import Fault, Faults, Go2, Go2Config, RpcError, topics
from rfx.go2.topics import RpcCode, SportApi, SportModeId
from rfx.robots import GO2

link = sport_robots.link


@pytest.fixture
def walker(domain_id):
    """A robot on the floor of MuJoCo, in lockstep."""
    config = Go2Config.loopback(domain_id, lockstep=True)
    with sport_robot(domain_id, "mujoco", "lie", lockstep=True) as robot, Go2.connect(config) as go2:
        yield robot, go2


# -- the whole way


def test_it_stands_walks_stops_and_sits(walker):
    robot, go2 = walker
    go2.stand()
    assert go2.state().sport.mode_name == "BALANCE_STAND"
    start = go2.state().position
    go2.walk(0.4, 0.0, 0.3, hold_s=60.0)
    go2.wait(2.5)
    assert go2.state().sport.mode == SportModeId.LOCOMOTION
    assert go2.state().sport.gait_type == 1
    assert np.linalg.norm(go2.state().position - start) > 0.5
    assert go2.state().sport.yaw_speed == pytest.approx(0.3, abs=0.3)
    go2.stop()
    go2.wait(1.5)
    assert np.linalg.norm(go2.state().velocity) < 0.02
    go2.sit()
    go2.wait(2.0)
    assert go2.state().sport.mode_name == "SIT"
    assert robot.counters.damped == 0


def test_it_recovers_from_its_back(walker):
    robot, go2 = walker
    go2.stand()
    robot.plant.push((0.0, 900.0, 0.0), 0.15)
    go2.wait(3.0)
    assert go2.state().sport.mode_name == "DAMPING"
    assert go2.state().sport.error_code == 1
    go2.recovery_stand()
    assert go2.state().sport.mode_name == "BALANCE_STAND"
    assert go2.state().body_height > 0.25


def test_releasing_the_mode_lays_a_standing_robot_down_first(walker):
    robot, go2 = walker
    go2.stand()
    go2.walk(0.2, 0, 0, hold_s=60.0)
    go2.take_low_level()
    assert go2.check_mode() == ""
    assert robot.plant.state.position[2] < 0.1
    go2.set_motor_positions(go2.state().joint_positions.clip(GO2.lower, GO2.upper), kp=20.0, kd=2.0)
    assert wait_for(lambda: robot.counters.commands == 1)
    go2.select_mode("normal")
    assert go2.check_mode() == "normal"


def test_damping_goes_to_whoever_drives_the_motors(domain_id):
    config = Go2Config.loopback(domain_id).with_limits(stale_s=10.0)
    with sport_robot(domain_id, command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
        go2.release_mode(lie_down=False)
        go2.set_motor_positions(GO2.pose("stand"))
        go2.damp()
        assert wait_for(lambda: (robot._command.kp == 0).all() and (robot._command.kd == 3.0).all())
        assert not [api_id for api_id, _ in robot.asked if api_id == SportApi.DAMP]
        go2.select_mode("normal")
        go2.damp()
        assert robot.sport.mode == SportModeId.DAMPING


# -- requests one by one


def test_each_method_asks_for_its_function(link):
    robot, go2 = link
    robot.asked.clear()
    go2.euler(0.1, 0.05, -0.1)
    go2.body_height(-0.02)
    go2.foot_raise_height(0.01)
    go2.speed_level(1)
    go2.gait(2)
    go2.gait("static_walk")
    go2.balance_stand()
    go2.trick("stretch")
    go2.damp()
    assert robot.asked == [
        (SportApi.EULER, '{"x": 0.1, "y": 0.05, "z": -0.1}'),
        (SportApi.BODY_HEIGHT, '{"data": -0.02}'),
        (SportApi.FOOT_RAISE_HEIGHT, '{"data": 0.01}'),
        (SportApi.SPEED_LEVEL, '{"data": 1}'),
        (SportApi.SWITCH_GAIT, '{"data": 2}'),
        (SportApi.STATIC_WALK, "{}"),
        (SportApi.BALANCE_STAND, "{}"),
        (SportApi.STRETCH, "{}"),
        (SportApi.DAMP, "{}"),
    ]
    assert robot.sport.mode == SportModeId.DAMPING
    assert go2.request(SportApi.GET_SPEED_LEVEL) == '{"data": 1}'
    assert go2.rpc.version(topics.SPORT) == "1.0.0.1"


def test_codes_are_decoded(link):
    _, go2 = link
    go2.damp()
    with pytest.raises(RpcError, match=r"sport MOVE \(1008\), got 3202.*MOVE does nothing in mode DAMPING") as caught:
        go2.walk(0.2, 0, 0)
    assert (caught.value.service, caught.value.code) == ("sport", RpcCode.SERVER)
    with pytest.raises(RpcError, match="3203, the robot does not have this function"):
        go2.trick("front_flip")
    with pytest.raises(RpcError, match="3204"):
        go2.request(SportApi.SWITCH_JOYSTICK, data="fast")
    with pytest.raises(ConfigError, match=r"MOVE to go through walk\(\)"):
        go2.request(SportApi.MOVE, x=9.0, y=0.0, z=0.0)
    with pytest.raises(InvalidValueError, match="JSON"):
        go2.request(SportApi.POSE, data=object())
    with pytest.raises(ConfigError, match="hello, stretch"):
        go2.trick("moonwalk")
    with pytest.raises(ConfigError, match="trot_run"):
        go2.gait("moonwalk")
    with pytest.raises(InvalidValueError):
        go2.speed_level(2)
    with pytest.raises(InvalidValueError):
        go2.euler(np.nan, 0, 0)


def test_a_service_that_does_not_answer_is_named(domain_id):
    faults = Faults([Fault("drop", 0.0, where="response")])
    config = Go2Config.loopback(domain_id).with_timeouts(rpc_s=0.6)
    with sport_robot(domain_id, faults=faults), Go2.connect(config) as go2:
        with pytest.raises(RfxTimeoutError, match=r"sport service within 0.6 s: somebody is there.*3104"):
            go2.stand_up()
        with pytest.raises(RfxTimeoutError, match="nobody is there at rt/api/video/request"):
            go2.rpc.call("video", 1001, timeout_s=0.3)


def test_a_released_mode_says_so(domain_id):
    with sport_robot(domain_id, mode="") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        with pytest.raises(RpcError, match=r"4202.*released"):
            go2.stand()
        go2.select_mode()
        go2.stand()
        assert robot.mode == "sport"
        with pytest.raises(RpcError, match="3204"):
            go2.select_mode("flying")
        with pytest.raises(ConfigError):
            go2.select_mode("")


def test_a_state_from_before_the_request_is_not_taken_for_its_effect(domain_id):
    late = Faults([Fault("delay", 0.0, where="sportmodestate", delay_s=0.045)])  # more than four of them are under way
    with sport_robot(domain_id, faults=late), Go2.connect(Go2Config.loopback(domain_id)) as go2:
        assert wait_for(lambda: go2.sport_state() is not None)
        go2.stand()
        assert go2.state().sport.mode_name == "BALANCE_STAND"


def test_a_stand_that_never_comes_times_out_with_what_was_seen(domain_id):
    with sport_robot(domain_id, pose="lie") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        robot.sport.handle = lambda api_id, parameter: (0, "")  # says yes and does nothing
        go2._at_rest = lambda high: False
        with pytest.raises(RfxTimeoutError, match=r"to stand within 0.2 s, got mode \d+, trunk 0\.\d+ m"):
            go2.stand(timeout_s=0.2)
