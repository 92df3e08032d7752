"""Who commands a robot in sport mode, and that each call finds its own answer."""

import itertools
import os
import threading
import time

import numpy as np
import pytest
import sport_robots
from sport_robots import sport_robot
from waiting import wait_for

from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidValueError,
    RfxTimeoutError,
)
from rfx.go2 import Go2, Go2BackendHint, Go2Config, LowCmd, RpcError, topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.messages import Response, WirelessController
from rfx.go2.rpc_client import RpcClient
from rfx.go2.topics import Key
from rfx.robots import GO2

link = sport_robots.link


# -- who commands


def test_only_the_holder_of_the_lease_commands(domain_id):
    config = Go2Config.loopback(domain_id)
    with sport_robot(domain_id) as robot, Go2.connect(config) as mine, Go2.connect(config) as other:
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
    with sport_robot(domain_id, mode="") as _, Go2.connect(config) as go2:
        go2.take_low_level()
        with CycloneDomain(domain_id, LOOPBACK) as domain:
            domain.writer(topics.LOW_CMD, LowCmd)
            assert wait_for(go2.other_commanders)
            with pytest.raises(HardwareError, match=rf"rt/lowcmd, .*process {os.getpid()}.*stop it first"):
                go2.take_low_level()


def test_without_edu_mode_no_low_level_command_is_sent(domain_id):
    with sport_robot(domain_id, mode="") as robot:
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
