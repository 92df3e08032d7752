"""rfx.go2.backends.zenoh_backend: what a user relies on holds by way of a bridge too, and what comes is what DDS carried.

The tests of the client that are named here run again, through a bridge: only how they connect is another.
"""

import os
import threading

import numpy as np
import pytest
import sport_robots
import test_client
import test_sport_calls
import test_sport_client
import test_sport_walking
from bridged import bridge_on, free_endpoint
from waiting import wait_for

from rfx.comm.zenoh import load, open_session
from rfx.errors import ConfigError, InvalidStateError, RfxConnectionError, RfxTimeoutError
from rfx.go2 import Go2, Go2Config, LowCmd, LowState, topics
from rfx.go2.backends.base import DdsBackend, StateReceiver
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.backends.zenoh_backend import ZenohBackend
from rfx.go2.messages import Response, SportModeState

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")

AGAIN = {
    test_client: [
        "test_connect_returns_with_a_valid_state",
        "test_the_state_has_arrays_by_motor_order_and_motors_by_name",
        "test_a_robot_that_falls_silent_is_not_connected",
        "test_positions_reach_all_twelve_motors",
        "test_bad_positions_are_refused_and_nothing_is_sent",
        "test_a_command_with_a_nan_in_any_slot_is_not_sent",
        "test_disconnecting_after_commands_leaves_the_robot_damped",
        "test_a_disconnected_robot_says_so",
        "test_several_threads_may_look_and_command_at_once",
        "test_one_loop_tick_is_one_state",
        "test_a_lost_answer_is_sent_again",
        "test_a_robot_that_is_gone_ends_the_loop",
    ],
    test_sport_client: [
        "test_it_stands_walks_stops_and_sits",
        "test_damping_goes_to_whoever_drives_the_motors",
        "test_each_method_asks_for_its_function",
        "test_codes_are_decoded",
        "test_a_released_mode_says_so",
    ],
    test_sport_walking: [
        "test_a_velocity_is_sent_again_until_it_is_changed",
        "test_velocities_are_clamped_to_the_stated_limits",
        "test_what_is_no_velocity_is_refused_and_the_robot_goes_on_as_before",
        "test_a_caller_that_falls_silent_stops_the_robot",
        "test_zero_velocity_stops",
        "test_leaving_the_with_block_by_an_error_stops_a_walking_robot",
    ],
    test_sport_calls: [
        "test_the_state_shows_sport_mode_and_hand_controller",
    ],
}
for module, names in AGAIN.items():
    globals().update({name: getattr(module, name) for name in names})
walker = test_sport_client.walker


@pytest.fixture
def link(request, domain_id):
    """The fixture of the module that the test is from."""
    start = test_client.Robot if request.function.__module__ == "test_client" else sport_robots.sport_robot
    with start(domain_id) as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        yield robot, go2


@pytest.fixture(scope="module")
def bridge(module_domain_id):
    where = free_endpoint()
    with bridge_on(module_domain_id, listen=where) as made:
        made.endpoint = where
        yield made


@pytest.fixture
def endpoint(bridge):
    return bridge.endpoint


@pytest.fixture
def domain_id(module_domain_id):
    return module_domain_id


@pytest.fixture(autouse=True)
def through_the_bridge(endpoint, domain_id, monkeypatch):
    def loopback(cls, number=1, *, lockstep=False, connect_timeout_s=15.0):
        made = cls(
            "127.0.0.1", LOOPBACK, domain_id, connect_timeout_s=connect_timeout_s, lockstep=lockstep, stale_after_s=1.0
        )
        return made.with_zenoh_router(endpoint)

    monkeypatch.setattr(Go2Config, "loopback", classmethod(loopback))


# -- on a session of the test's own, without DDS


@pytest.fixture
def other():
    """Who listens where a backend connects to, and the backend."""
    where = free_endpoint()
    with open_session(listen=where) as session:
        backend = ZenohBackend(where)
        yield session.raw, backend
        backend.disconnect()


def speaker(session, topic):
    """What puts messages of a topic, once somebody hears them, and leaves none out."""
    publisher = session.declare_publisher(topic, congestion_control=load().CongestionControl.BLOCK)
    assert wait_for(lambda: publisher.matching_status.matching)
    return publisher.put


def test_it_is_a_backend(other):
    _, backend = other
    assert isinstance(backend, DdsBackend)
    assert isinstance(backend.subscribe_state(), StateReceiver)
    assert not backend.is_connected()
    assert backend.sport_state() is None
    assert backend.subscribe_state().latest() is None


def test_a_state_is_the_topics_name_and_the_cdr_bytes(other):
    raw, backend = other
    sent = LowState(tick=77).seal()
    speaker(raw, "rt/lowstate")(sent.to_cdr())
    assert backend.subscribe_state().recv(5.0) == sent
    speaker(raw, "rt/sportmodestate")(SportModeState(body_height=0.25).to_cdr())
    assert wait_for(lambda: (state := backend.sport_state()) is not None and state.body_height == 0.25)


def test_a_command_is_the_topics_name_and_the_cdr_bytes(other):
    raw, backend = other
    came = []
    raw.declare_subscriber("rt/lowcmd", lambda sample: came.append((str(sample.key_expr), sample.payload.to_bytes())))
    assert wait_for(backend.is_connected)
    cmd = LowCmd()
    cmd.set_motors(q=0.5, kp=20.0)
    backend.publish_low_cmd(cmd)
    assert wait_for(lambda: came)
    assert came == [("rt/lowcmd", cmd.to_cdr())]


def test_only_the_newest_state_waits_however_many_come(other):
    raw, backend = other
    receiver, put = backend.subscribe_state(), speaker(raw, "rt/lowstate")
    for tick in range(5000):
        put(LowState(tick=tick).to_cdr())
    assert wait_for(lambda: receiver.came.accepted == 5000)
    assert len(receiver.came) == 1
    assert receiver.latest().tick == 4999
    assert receiver.latest() is None


def test_what_is_no_state_is_refused_and_named(other):
    raw, backend = other
    receiver, put = backend.subscribe_state(), speaker(raw, "rt/lowstate")
    put(b"nothing")
    assert receiver.recv(0.3) is None
    put(LowState(crc=1).to_cdr(seal=False))
    assert receiver.recv(0.3) is None
    assert receiver.refused == 2
    assert "checksum 00000001" in receiver.last_refusal


def test_answers_wait_up_to_a_number_and_malformed_ones_are_left_out(other):
    raw, backend = other
    assert backend.responses("sport", 0.0) == []
    put = speaker(raw, "rt/api/sport/response")
    for i in range(100):
        answer = Response(data=str(i))
        put(answer.to_cdr() if i != 90 else b"?")
    assert wait_for(lambda: backend._services["sport"][1].accepted == 100)
    assert [int(a.data) for a in backend.responses("sport", 1.0)] == [i for i in range(68, 100) if i != 90]


def test_a_command_that_nobody_ever_took_is_an_error(other):
    _, backend = other
    with pytest.raises(RfxConnectionError, match=r"nobody takes rt/lowcmd at tcp/127.*deny"):
        backend.publish_low_cmd(LowCmd())


def test_somebody_who_serves_is_seen(other):
    raw, backend = other
    assert not backend.serves("sport")
    raw.declare_subscriber(topics.SPORT_REQUEST, lambda sample: None)
    assert wait_for(lambda: backend.serves("sport"))
    assert backend.is_connected()


def test_closing_ends_a_wait_in_another_thread_and_twice_is_once(other):
    _, backend = other
    receiver = backend.subscribe_state()
    threading.Timer(0.2, backend.disconnect).start()
    assert receiver.recv(30.0) is None
    backend.disconnect()
    assert "closed" in repr(backend)
    for call in (
        lambda: backend.publish_low_cmd(LowCmd()),
        lambda: backend.serves("sport"),
        lambda: receiver.recv(0.1),
        backend.other_commanders,
        backend.sport_state,
    ):
        with pytest.raises(InvalidStateError):
            call()
    assert not backend.is_connected()


def test_nobody_at_the_endpoint_is_an_error_that_names_it():
    where = free_endpoint()
    with pytest.raises(RfxConnectionError, match=where):
        ZenohBackend(where, timeout_s=0.3)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts what Linux shows")
def test_nothing_is_left_of_a_link_that_was_closed():
    where = free_endpoint()

    def left():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    with open_session(listen=where):
        for _ in range(3):
            ZenohBackend(where).disconnect()
        before = left()
        for _ in range(20):
            ZenohBackend(where).disconnect()
        assert wait_for(lambda: all(now <= then for now, then in zip(left(), before, strict=True)))


@pytest.mark.parametrize("where", ["nowhere", "tcp/:", ""])
def test_what_is_no_endpoint_is_refused(where):
    with pytest.raises(ConfigError, match="endpoint"):
        ZenohBackend(where)


def test_a_prefix_keeps_robots_apart():
    where = free_endpoint()
    with open_session(listen=where) as session:
        ours, others = ZenohBackend(where, "dog/one"), ZenohBackend(where, "dog/two")
        speaker(session.raw, "dog/one/rt/lowstate")(LowState(tick=4).to_cdr())
        assert ours.subscribe_state().recv(5.0).tick == 4
        assert others.subscribe_state().recv(0.2) is None
        assert ours.other_commanders() == []
        ours.disconnect()
        others.disconnect()


# -- through the bridge


def test_other_clients_and_commanders_on_dds_are_named(endpoint, domain_id):
    with test_client.Robot(domain_id), Go2.connect(Go2Config.loopback()) as go2:
        assert go2.other_commanders() == []
        second = ZenohBackend(endpoint)
        assert wait_for(lambda: [str(os.getpid()) in name for name in go2.other_commanders()] == [True])
        assert "over Zenoh" in go2.other_commanders()[0]
        second.disconnect()
        assert wait_for(lambda: go2.other_commanders() == [])


def test_states_pass_in_order_and_are_not_thinned(bridge, domain_id):
    backend = ZenohBackend(bridge.endpoint)
    [route] = [r for r in bridge.routes if r.topic == topics.LOW_STATE]
    before, ticks = route.counts.passed, []
    with test_client.Robot(domain_id) as robot:
        receiver = backend.subscribe_state()
        while len(ticks) < 200:
            state = receiver.recv(5.0)
            assert state is not None
            ticks.append(state.tick)
        steps = robot.counters.steps
    backend.disconnect()
    assert (np.diff(ticks) > 0).all()
    assert receiver.came.dropped < steps  # those that a slow reader left out are counted
    assert route.counts.passed - before > 0.5 * steps  # a busy machine costs some
    assert route.counts.thinned == 0


def test_without_a_robot_behind_the_bridge_connecting_says_so(endpoint):
    with pytest.raises(RfxTimeoutError, match=r"zenoh \(tcp/.*open, but no state came within 0\.4 s"):
        Go2.connect(Go2Config(backend="zenoh", zenoh_endpoint=endpoint, connect_timeout_s=0.4))
