"""rfx.go2.services and the simulated robot's answers over DDS: what a caller gets back, and who holds the motors."""

import json
import threading

import numpy as np
import pytest
from waiting import wait_for

from rfx.errors import ConfigError
from rfx.go2 import topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState, WirelessController
from rfx.go2.simulated import SimulatedGo2
from rfx.go2.topics import Key, RpcCode, ServiceApi, SportApi, SportModeId, SwitcherApi
from rfx.sim import make_plant

SERVICES = (topics.SPORT, topics.SPORT_LEASE, topics.MOTION_SWITCHER)


class Rig:
    """A simulated robot in a thread, and somebody who calls it."""

    def __init__(self, domain_id, mode="normal", **options):
        self.robot_domain, self.domain = CycloneDomain(domain_id, LOOPBACK), CycloneDomain(domain_id, LOOPBACK)
        self.robot = SimulatedGo2(make_plant("joint"), self.robot_domain, mode=mode, **options)
        self.requests = {s: self.domain.writer(topics.request_topic(s), Request, depth=32) for s in SERVICES}
        self.responses = {
            s: self.domain.reader(topics.response_topic(s), Response, reliable=True, depth=32) for s in SERVICES
        }
        self.states = self.domain.reader(topics.LOW_STATE, LowState)
        self.sport_states = self.domain.reader(topics.SPORT_MODE_STATE, SportModeState)
        self.commands = self.domain.writer(topics.LOW_CMD, LowCmd)
        self.controllers = self.domain.writer(topics.WIRELESS_CONTROLLER, WirelessController)
        self.thread = threading.Thread(target=self.robot.run)
        self.count = 0

    def __enter__(self):
        self.thread.start()
        ends = [*self.requests.values(), *self.responses.values(), self.states, self.sport_states]
        assert wait_for(lambda: all(end.matched for end in [*ends, self.commands, self.controllers]))
        return self

    def __exit__(self, *exc):
        self.robot.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.domain.close()
        self.robot_domain.close()

    def send(self, service, api_id, parameter="{}", *, lease=0, noreply=False):
        self.count += 1
        request = Request(parameter=parameter)
        request.header.identity.id, request.header.identity.api_id = self.count, api_id
        request.header.lease.id, request.header.policy.noreply = lease, noreply
        self.requests[service].write(request.to_cdr())
        return self.count

    def call(self, service, api_id, parameter="{}", *, lease=0):
        number = self.send(service, api_id, parameter, lease=lease)
        reader = self.responses[service]
        assert reader.wait(10.0)
        (data,) = reader.take()
        response = Response.from_cdr(data)
        assert response.header.identity.id == number
        assert response.header.identity.api_id == api_id
        return response.header.status.code, response.data

    def mode(self):
        data = self.sport_states.take_latest()
        return None if data is None else SportModeState.from_cdr(data).mode


@pytest.fixture
def rig(domain_id):
    with Rig(domain_id) as made:
        yield made


# -- calls


def test_function_1_gives_the_version_of_each_service(rig):
    assert rig.call(topics.SPORT, ServiceApi.VERSION) == (0, "1.0.0.1")
    assert rig.call(topics.MOTION_SWITCHER, ServiceApi.VERSION) == (0, "1.0.0.1")


def test_a_request_is_answered_with_unitrees_codes(rig):
    assert rig.call(topics.SPORT, SportApi.SPEED_LEVEL, '{"data": 0}') == (0, "")
    assert rig.call(topics.SPORT, 12345)[0] == RpcCode.NOT_IMPLEMENTED
    assert rig.call(topics.SPORT, SportApi.SPEED_LEVEL, "{")[0] == RpcCode.PARAMETER
    assert rig.call(topics.SPORT, SportApi.MOVE, '{"x":0,"y":0,"z":0}')[0] == RpcCode.SERVER
    assert rig.call(topics.SPORT_LEASE, 7)[0] == RpcCode.NOT_IMPLEMENTED
    assert rig.call(topics.MOTION_SWITCHER, 7)[0] == RpcCode.NOT_IMPLEMENTED


def test_no_reply_means_none_and_the_request_is_obeyed(rig):
    rig.send(topics.SPORT, SportApi.DAMP, noreply=True)
    assert wait_for(lambda: rig.robot.sport.mode == SportModeId.DAMPING)
    assert rig.call(topics.SPORT, ServiceApi.VERSION)[0] == 0  # the only answer that came


def test_bytes_that_are_no_request_are_counted_and_nothing_else_happens(rig):
    text = Request(parameter="damp").to_cdr().replace(b"damp", b"\xff\xfe\xfd\xfc")  # not UTF-8
    rig.requests[topics.SPORT].write(text)
    assert wait_for(lambda: rig.robot.services[0].refused == 1)
    assert rig.call(topics.SPORT, ServiceApi.VERSION)[0] == 0


def test_the_sport_state_tells_mode_progress_and_feet(rig):
    seen = []

    def done():
        data = rig.sport_states.take_latest()
        if data is not None:
            seen.append(SportModeState.from_cdr(data))
            if seen[-1].progress == 0.0:  # it has stood up while nobody looked
                rig.send(topics.SPORT, SportApi.STAND_UP)
        return bool(seen) and seen[-1].progress > 0.5

    assert wait_for(done)
    assert seen[-1].mode == SportModeId.JOINT_LOCK
    assert seen[-1].foot_raise_height == pytest.approx(0.07)
    feet = np.reshape(seen[-1].foot_position_body, (4, 3))
    assert (np.sign(feet[:, 1]) == [-1, 1, -1, 1]).all()
    assert (feet[:, 2] < 0).all()


# -- leases


def test_while_somebody_holds_the_lease_others_are_denied(rig):
    code, data = rig.call(topics.SPORT_LEASE, ServiceApi.LEASE_APPLY, '{"name": "me"}')
    lease = json.loads(data)
    assert (code, lease["term"]) == (0, 1_000_000)
    assert rig.call(topics.SPORT_LEASE, ServiceApi.LEASE_APPLY)[0] == RpcCode.LEASE_EXIST
    assert rig.call(topics.SPORT, SportApi.DAMP)[0] == RpcCode.LEASE_DENIED
    assert rig.call(topics.SPORT, SportApi.DAMP, lease=lease["id"] + 1)[0] == RpcCode.LEASE_DENIED
    assert rig.call(topics.SPORT, SportApi.DAMP, lease=lease["id"])[0] == 0
    assert rig.call(topics.SPORT_LEASE, ServiceApi.LEASE_RENEWAL, lease=lease["id"])[0] == 0
    assert rig.call(topics.SPORT_LEASE, ServiceApi.LEASE_RENEWAL, lease=99)[0] == RpcCode.LEASE_NOT_EXIST


def test_a_lease_that_is_not_renewed_runs_out(rig):
    rig.call(topics.SPORT_LEASE, ServiceApi.LEASE_APPLY)
    end = rig.robot.tick + 1100
    assert wait_for(lambda: rig.robot.tick > end)
    assert rig.call(topics.SPORT, SportApi.DAMP)[0] == 0


# -- who holds the motors


def test_the_motion_switcher_says_selects_and_releases(rig):
    def check():
        code, data = rig.call(topics.MOTION_SWITCHER, SwitcherApi.CHECK_MODE)
        return code, json.loads(data)["name"]

    assert check() == (0, "normal")
    assert rig.call(topics.MOTION_SWITCHER, SwitcherApi.RELEASE_MODE) == (0, "")
    assert check() == (0, "")
    assert rig.call(topics.SPORT, SportApi.STAND_UP)[0] == RpcCode.SPORT_NOT_INIT
    for bad in ('{"name": "flying"}', '{"name": []}', "{}", "x"):
        assert rig.call(topics.MOTION_SWITCHER, SwitcherApi.SELECT_MODE, bad)[0] == RpcCode.PARAMETER
    assert rig.call(topics.MOTION_SWITCHER, SwitcherApi.SELECT_MODE, '{"name": "ai"}')[0] == 0
    assert check() == (0, "ai")
    assert rig.call(topics.MOTION_SWITCHER, SwitcherApi.SET_SILENT, '{"silent": true}')[0] == 0
    assert rig.call(topics.MOTION_SWITCHER, SwitcherApi.SET_SILENT, '{"silent": 1}')[0] == RpcCode.PARAMETER
    assert json.loads(rig.call(topics.MOTION_SWITCHER, SwitcherApi.GET_SILENT)[1]) == {"silent": True}


def test_low_level_commands_count_only_while_no_mode_holds_the_motors(rig):
    cmd = LowCmd()
    cmd.set_motors(q=0.3, dq=0.0, tau=0.0, kp=60.0, kd=4.0)
    rig.commands.write(cmd.to_cdr())
    assert wait_for(lambda: rig.robot.counters.ignored == 1)
    assert rig.robot.mode == "sport"
    rig.call(topics.MOTION_SWITCHER, SwitcherApi.RELEASE_MODE)
    assert rig.robot.mode == "waiting"
    assert (rig.robot._command.kd == 3.0).all()  # nobody drives: the motors brake
    rig.commands.write(cmd.to_cdr())
    assert wait_for(lambda: rig.robot.counters.commands == 1)
    assert wait_for(lambda: rig.robot.mode == "damping")  # and nobody went on
    rig.call(topics.MOTION_SWITCHER, SwitcherApi.SELECT_MODE, '{"name": "normal"}')
    assert rig.robot.mode == "sport"


def test_a_robot_starts_in_a_mode_that_there_is(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain, pytest.raises(ConfigError, match="flying"):
        SimulatedGo2(make_plant("joint"), domain, mode="flying")


def test_in_lockstep_the_sport_mode_takes_one_step_for_each_answer(domain_id):
    with Rig(domain_id, lockstep=True) as rig:
        cmd = LowCmd()
        for tick in range(0, 200, 2):
            cmd.reserve = tick
            rig.commands.write(cmd.to_cdr())
            assert wait_for(lambda tick=tick: rig.robot.tick == tick + 2)
        assert rig.robot.sport.progress == pytest.approx(0.198 / 0.8)  # the first motion takes 0.8 s
        assert rig.robot.counters.ignored == 100
        assert rig.robot.counters.damped == 0


def test_the_hand_controller_is_obeyed_and_shows_in_lowstate(rig):
    rig.controllers.write(WirelessController(lx=0.5, keys=Key.L2 | Key.B).to_cdr())
    assert wait_for(lambda: rig.robot.sport.mode == SportModeId.DAMPING)

    def shown():
        data = rig.states.take_latest()
        if data is None:
            return False
        remote = bytes(LowState.from_cdr(data).wireless_remote)
        return remote[2:4] == int(Key.L2 | Key.B).to_bytes(2, "little") and np.frombuffer(remote, "<f4", 1, 4)[0] == 0.5

    assert wait_for(shown)
