"""Go2 in sport mode: what the client asks for, what the robot answers, and what happens when either falls silent."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxTimeoutError,
)
from rfx.go2 import Fault, Faults, Go2, Go2BackendHint, Go2Config, LowCmd, RpcError, topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.messages import Response, WirelessController
from rfx.go2.rpc_client import RpcClient
from rfx.go2.simulated import SimulatedGo2
from rfx.go2.topics import Key, RpcCode, SportApi, SportModeId
from rfx.robots import GO2
from rfx.sim import make_plant


class Robot:
    """A simulated robot in a thread; it remembers the sport requests that came."""

    def __init__(self, domain_id, plant="joint", pose="stand", mode="normal", **options):
        if plant == "mujoco":
            pytest.importorskip("mujoco", reason="mujoco-core is not installed")
        made = make_plant(plant)
        made.reset(pose)
        self.domain = CycloneDomain(domain_id, LOOPBACK)
        self.robot = SimulatedGo2(made, self.domain, mode=mode, **options)
        self.robot.asked = []
        answer = self.robot.sport.handle

        def handle(api_id, parameter):
            self.robot.asked.append((api_id, parameter))
            return answer(api_id, parameter)

        self.robot.sport.handle = handle
        if pose == "stand" and mode:
            self.robot.sport._on_feet()
        self.thread = threading.Thread(target=self.robot.run)

    def __enter__(self):
        self.thread.start()
        return self.robot

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.domain.close()


def moves(robot):
    return [tuple(json.loads(text).values()) for api_id, text in robot.asked if api_id == SportApi.MOVE]


@pytest.fixture
def link(domain_id):
    """A robot on its feet, without physics, in real time."""
    with Robot(domain_id) as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        yield robot, go2


@pytest.fixture
def walker(domain_id):
    """A robot on the floor of MuJoCo, in lockstep."""
    config = Go2Config.loopback(domain_id, lockstep=True)
    with Robot(domain_id, "mujoco", "lie", lockstep=True) as robot, Go2.connect(config) as go2:
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
    with Robot(domain_id, command_timeout_s=30.0) as robot, Go2.connect(config) as go2:
        go2.release_mode(lie_down=False)
        go2.set_motor_positions(GO2.pose("stand"))
        go2.damp()
        assert wait_for(lambda: (robot._command.kp == 0).all() and (robot._command.kd == 3.0).all())
        assert not [api_id for api_id, _ in robot.asked if api_id == SportApi.DAMP]
        go2.select_mode("normal")
        go2.damp()
        assert robot.sport.mode == SportModeId.DAMPING


# -- walking


def test_a_velocity_is_sent_again_until_it_is_changed(link):
    robot, go2 = link
    assert go2.walk(0.3, 0.1, -0.2) == (0.3, 0.1, -0.2)
    assert wait_for(lambda: moves(robot).count((0.3, 0.1, -0.2)) >= 5)
    go2.walk(0.5, 0.0, 0.0)
    assert wait_for(lambda: moves(robot).count((0.5, 0.0, 0.0)) >= 5)
    go2.stop()
    asked = len(robot.asked)
    assert robot.asked[-1][0] == SportApi.STOP_MOVE
    time.sleep(0.2)
    assert len(robot.asked) == asked


def test_velocities_are_clamped_to_the_stated_limits(domain_id):
    config = Go2Config.loopback(domain_id).with_walk_limits(0.5, 0.2, 1.0)
    with Robot(domain_id) as robot, Go2.connect(config) as go2:
        assert go2.walk(99.0, -99.0, 1e300) == (0.5, -0.2, 1.0)
        assert go2.walk(-99.0, 99.0, -1e300) == (-0.5, 0.2, -1.0)
        go2.stop()
        assert {abs(v) for move in moves(robot) for v in move} <= {0.5, 0.2, 1.0}


@pytest.mark.parametrize(
    ("velocity", "error"),
    [((np.nan, 0, 0), InvalidValueError), ((0, np.inf, 0), InvalidValueError), ((0, 0, "1"), DTypeError),
     ((None, 0, 0), DTypeError), ((10**400, 0, 0), InvalidValueError)],
    ids=lambda v: str(v)[:12],
)  # fmt: skip
def test_what_is_no_velocity_is_refused_and_the_robot_goes_on_as_before(link, velocity, error):
    robot, go2 = link
    go2.walk(0.2, 0, 0)
    with pytest.raises(error):
        go2.walk(*velocity)
    with pytest.raises(InvalidValueError):
        go2.walk(0.1, 0, 0, hold_s=0)
    count = len(moves(robot))
    assert wait_for(lambda: len(moves(robot)) > count + 3)
    assert set(moves(robot)) == {(0.2, 0.0, 0.0)}


def test_a_caller_that_falls_silent_stops_the_robot(link):
    robot, go2 = link
    go2.walk(0.3, 0, 0, hold_s=0.3)
    assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
    assert go2._keeper.dead_man_stops == 1
    assert "not called again" in go2.why_stopped
    go2.walk(0.3, 0, 0)
    assert go2.why_stopped == ""


def test_zero_velocity_stops(link):
    robot, go2 = link
    go2.walk(0.3, 0, 0)
    go2.walk(0, 0, 0)
    assert robot.asked[-1][0] == SportApi.STOP_MOVE
    assert go2._keeper.velocity is None


def walk_and_fail(go2):
    with go2:
        go2.walk(0.3, 0, 0, hold_s=60)
        raise ZeroDivisionError


def test_leaving_the_with_block_by_an_error_stops_a_walking_robot(domain_id):
    with Robot(domain_id) as robot:
        go2 = Go2.connect(Go2Config.loopback(domain_id))
        with pytest.raises(ZeroDivisionError):
            walk_and_fail(go2)
        assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
        with pytest.raises(InvalidStateError, match="connect again"):
            go2.walk(0.1, 0, 0)
    assert not [t for t in threading.enumerate() if "keeper" in t.name]


def test_a_program_that_ends_without_letting_go_stops_the_robot(domain_id):
    code = (
        "from rfx.go2 import Go2, Go2Config\n"
        f"go2 = Go2.connect(Go2Config.loopback({domain_id}))\n"
        "go2.walk(0.3, 0, 0, hold_s=60)\n"
    )
    with Robot(domain_id) as robot:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)
        assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
        assert moves(robot)


def test_a_robot_that_vanishes_ends_walking_and_calls_time_out(domain_id):
    config = Go2Config.loopback(domain_id).with_timeouts(rpc_s=0.5)
    with Robot(domain_id) as robot, Go2.connect(config) as go2:
        go2.walk(0.3, 0, 0, hold_s=60)
        robot.faults.add(Fault("vanish", 0.0))
        assert wait_for(lambda: go2._keeper.velocity is None)
        assert "no state comes" in go2.why_stopped
        with pytest.raises(RfxTimeoutError, match=r"STAND_UP \(1004\) within 0.5 s .*3104"):
            go2.stand_up()


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
    with Robot(domain_id, faults=faults), Go2.connect(config) as go2:
        with pytest.raises(RfxTimeoutError, match=r"sport service within 0.6 s: somebody is there.*3104"):
            go2.stand_up()
        with pytest.raises(RfxTimeoutError, match="nobody is there at rt/api/video/request"):
            go2.rpc.call("video", 1001, timeout_s=0.3)


def test_a_released_mode_says_so(domain_id):
    with Robot(domain_id, mode="") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
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
    with Robot(domain_id, faults=late), Go2.connect(Go2Config.loopback(domain_id)) as go2:
        assert wait_for(lambda: go2.sport_state() is not None)
        go2.stand()
        assert go2.state().sport.mode_name == "BALANCE_STAND"


def test_a_stand_that_never_comes_times_out_with_what_was_seen(domain_id):
    with Robot(domain_id, pose="lie") as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        robot.sport.handle = lambda api_id, parameter: (0, "")  # says yes and does nothing
        go2._at_rest = lambda high: False
        with pytest.raises(RfxTimeoutError, match=r"to stand within 0.2 s, got mode \d+, trunk 0\.\d+ m"):
            go2.stand(timeout_s=0.2)


# -- who commands


def test_only_the_holder_of_the_lease_commands(domain_id):
    config = Go2Config.loopback(domain_id)
    with Robot(domain_id) as robot, Go2.connect(config) as mine, Go2.connect(config) as other:
        assert mine.take_lease("me") > 0
        mine.balance_stand()
        with pytest.raises(RpcError, match="3205, somebody else holds the lease"):
            other.stand()
        with pytest.raises(RpcError, match="3207"):
            other.take_lease()
        end = robot.tick + 1100
        assert wait_for(lambda: robot.tick > end)
        mine.balance_stand()  # it was renewed all the time
        mine.drop_lease()
        end = robot.tick + 1050
        assert wait_for(lambda: robot.tick > end)
        other.damp()


def test_others_at_the_motors_are_named(domain_id):
    config = Go2Config.loopback(domain_id)
    with Robot(domain_id, mode="") as _, Go2.connect(config) as go2:
        go2.take_low_level()
        with CycloneDomain(domain_id, LOOPBACK) as domain:
            domain.writer(topics.LOW_CMD, LowCmd)
            assert wait_for(go2.other_commanders)
            with pytest.raises(HardwareError, match=rf"rt/lowcmd, .*process {os.getpid()}.*stop it first"):
                go2.take_low_level()


def test_without_edu_mode_no_low_level_command_is_sent(domain_id):
    with Robot(domain_id, mode="") as robot:
        with Go2.connect(Go2Config.loopback(domain_id).with_edu_mode(False)) as go2:
            with pytest.raises(ConfigError, match="edu_mode"):
                go2.send(LowCmd())
            with pytest.raises(ConfigError, match="edu_mode"):
                go2.set_motor_positions(GO2.pose("stand"))
        assert robot.counters.commands == 0


def test_the_state_shows_sport_mode_and_hand_controller(link):
    _, go2 = link
    with CycloneDomain(go2.config.domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.WIRELESS_CONTROLLER, WirelessController)
        assert wait_for(lambda: writer.matched)
        writer.write(WirelessController(lx=0.0, ly=0.0, rx=0.01, ry=-0.25, keys=Key.X | Key.UP).to_cdr())
        assert wait_for(lambda: go2.state().remote.keys == Key.X | Key.UP)
    assert go2.state().remote.ry == -0.25
    assert wait_for(lambda: go2.state().sport is not None)  # it comes on a topic of its own
    state = go2.state()
    assert state.sport.foot_positions.shape == (4, 3)
    assert state.sport.foot_raise_height == pytest.approx(0.07)
    assert state.lost.sum() == 0


# -- the calls themselves


class Service:
    """A backend that answers requests by a script: a list of (id offset, api offset, code) for each call."""

    def __init__(self, *scripts):
        self.scripts, self.ready = list(scripts), []
        self.lock = threading.Lock()

    def serves(self, service):
        return True

    def publish_request(self, service, request):
        identity = request.header.identity
        if identity.api_id == topics.ServiceApi.VERSION:
            return self.answer(identity.id, identity.api_id, 0, "1")
        for id_offset, api_offset, code in self.scripts.pop(0):
            self.answer(identity.id + id_offset, identity.api_id + api_offset, code, f"api {identity.api_id}")

    def answer(self, number, api_id, code, data):
        response = Response(data=data)
        response.header.identity.id, response.header.identity.api_id = number, api_id
        response.header.status.code = code
        with self.lock:
            self.ready.append(response)

    def responses(self, service, timeout_s):
        time.sleep(0.001)
        with self.lock:
            came, self.ready = self.ready, []
        return came


def test_answers_to_others_and_twice_the_same_answer_are_left_out():
    rpc = RpcClient(Service([(7, 0, 5), (0, 0, 0), (0, 0, 0)], [(-1, 0, 9), (0, 0, 0)]))
    assert rpc.call("sport", 1001) == "api 1001"
    assert rpc.call("sport", 1002) == "api 1002"


def test_an_answer_of_another_function_is_a_mismatch():
    with pytest.raises(RpcError, match=r"3105.*it answers BALANCE_STAND \(1002\)"):
        RpcClient(Service([(0, 1, 0)])).call("sport", 1001)


def test_calls_of_many_threads_each_get_their_own_answer():
    backend = Service(*[[(0, 0, 0)]] * 200)
    rpc, got, numbers = RpcClient(backend), [], itertools.count(1000)

    def work():
        for _ in range(25):
            api_id = next(numbers)
            got.append(rpc.call("sport", api_id) == f"api {api_id}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 200


def test_a_call_that_waits_does_not_hold_up_another():
    rpc = RpcClient(Service([], [(0, 0, 0)]))
    rpc.version("sport")

    def wait_in_vain():
        with pytest.raises(RfxTimeoutError):
            rpc.call("sport", 1001, timeout_s=1.0)

    slow = threading.Thread(target=wait_in_vain)
    slow.start()
    assert wait_for(lambda: rpc._waiting)
    assert rpc.call("sport", 1002, timeout_s=0.9) == "api 1002"
    slow.join()


def test_a_configuration_can_name_a_zenoh_router():
    config = Go2Config().with_zenoh_router("tcp/10.0.0.1:7447")
    assert config.backend is Go2BackendHint.Zenoh
    assert config.zenoh_endpoint == "tcp/10.0.0.1:7447"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"walk_limits": (5.0, 0.5, 1.0)}, InvalidValueError),
        ({"walk_limits": [1, 1, 1]}, DTypeError),
        ({"walk_hold_s": 0.0}, InvalidValueError),
        ({"move_rate_hz": 0.5}, InvalidValueError),
        ({"rpc_timeout_s": np.nan}, InvalidValueError),
        ({"edu_mode": 1}, DTypeError),
        ({"zenoh_endpoint": ""}, DTypeError),
    ],
)
def test_impossible_settings_are_refused(change, error):
    with pytest.raises(error, match=next(iter(change))):
        Go2Config(**change)
