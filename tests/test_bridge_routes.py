"""rfx.go2.bridge_routes: what passes, which way, and how often."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, InvalidValueError
from rfx.go2 import topics
from rfx.go2.bridge_routes import KNOWN, Route, make_routes
from rfx.go2.messages import LowCmd, LowState, Request


def ways(routes):
    return {route.topic: route.outward for route in routes}


def active(topic="rt/lowstate", outward=True, rate_hz=None):
    route = Route(topic, outward, rate_hz)
    sent = []
    route.send, route.active = sent.append, True
    return route, sent


def test_beside_a_robot_states_go_out_and_commands_come_in():
    found = ways(make_routes("robot"))
    assert set(found) == set(KNOWN)
    assert {t for t, out in found.items() if not out} == {
        "rt/lowcmd", "rt/api/sport/request", "rt/api/sport_lease/request", "rt/api/motion_switcher/request",
    }  # fmt: skip


def test_beside_users_every_topic_goes_the_other_way():
    robot, user = ways(make_routes("robot")), ways(make_routes("user"))
    assert user == {topic: not out for topic, out in robot.items()}


def test_only_what_is_allowed_and_not_denied_passes():
    assert set(ways(make_routes("robot", ["rt/lowstate", "rt/api/sport/*"]))) == {
        "rt/lowstate", "rt/api/sport/request", "rt/api/sport/response",
    }  # fmt: skip
    assert set(KNOWN) - set(ways(make_routes("robot", deny=["rt/lowcmd"]))) == {"rt/lowcmd"}
    assert set(ways(make_routes("robot", ["rt/*"], ["rt/low$*"]))) == {
        "rt/sportmodestate", "rt/wirelesscontroller",
    }  # fmt: skip


def test_another_service_is_allowed_by_name():
    found = ways(make_routes("robot", ["rt/api/vui/request", "rt/api/vui/response"]))
    assert found == {"rt/api/vui/request": False, "rt/api/vui/response": True}


def test_a_topic_can_be_turned_round():
    assert ways(make_routes("robot", reverse=["rt/wirelesscontroller"]))["rt/wirelesscontroller"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"side": "left"}, "robot, user"),
        ({"allow": ["rt/lowstat"]}, "rt/lowstat"),
        ({"allow": ["rt/nothing/*"]}, "rt/nothing"),
        ({"deny": ["rt/lowcmds"]}, "rt/lowcmds"),
        ({"allow": ["rt/lowcmd"], "deny": ["**"]}, "at least one"),
        ({"rates": {"rt/lowstat": 50.0}}, "rt/lowstat"),
        ({"rates": {"rt/api/sport/request": 50.0}}, "never answered"),
        ({"deny": ["rt/lowcmd"], "reverse": ["rt/lowcmd"]}, "that passes"),
    ],
)
def test_a_name_that_nothing_has_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        make_routes(**{"side": "robot", **options})


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(InvalidValueError, match="rt/lowstate"):
        make_routes("robot", rates={"rt/lowstate": rate})


def test_without_a_rate_everything_passes_at_once():
    route, sent = active()
    for i in range(100):
        route.offer(bytes([i]), 0.0)
    assert sent == [bytes([i]) for i in range(100)]
    assert (route.counts.passed, route.counts.octets, route.counts.thinned) == (100, 100, 0)


def test_of_five_hundred_a_second_fifty_pass():
    route, sent = active(rate_hz=50.0)
    for i in range(1000):
        route.offer(i.to_bytes(2, "big"), i * 0.002)
        route.flush(i * 0.002)
    assert len(sent) == pytest.approx(100, abs=2)
    assert route.counts.passed + route.counts.thinned == pytest.approx(1000, abs=1)


@given(
    st.lists(st.floats(0.0, 0.2), min_size=1, max_size=60),
    st.floats(1.0, 200.0),
)
def test_thinning_lets_the_newest_win_and_never_passes_the_rate(gaps, rate):
    route, _ = active(rate_hz=rate)
    times, passed = np.cumsum(gaps), []
    route.send = lambda data: passed.append((data, now))
    for i, now in enumerate(times):
        now = float(now)
        route.flush(now)
        route.offer(i.to_bytes(2, "big"), now)
    now = float(times[-1]) + 2.0 / rate
    route.flush(now)
    numbers = [int.from_bytes(data, "big") for data, _ in passed]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == len(gaps) - 1  # the last one before a silence is not lost
    span = passed[-1][1] - passed[0][1]
    assert len(passed) <= span * rate + 2 + 1e-6
    assert route.counts.passed + route.counts.thinned == len(gaps)


def test_what_is_thinned_waits_for_its_time():
    route, sent = active(rate_hz=10.0)
    route.offer(b"a", 0.0)
    route.offer(b"b", 0.01)
    route.offer(b"c", 0.02)
    route.flush(0.05)
    assert sent == [b"a"]
    route.flush(0.11)
    assert sent == [b"a", b"c"]
    route.flush(1.0)
    assert sent == [b"a", b"c"]


def damaged(cmd):
    return cmd.to_cdr(seal=False)


def unsafe():
    cmd = LowCmd()
    cmd.motor_cmd[3].kp = float("nan")
    return cmd.to_cdr()


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("rt/lowcmd", b""),
        ("rt/lowcmd", LowCmd().to_cdr() + bytes(4)),
        ("rt/lowcmd", damaged(LowCmd(crc=1))),
        ("rt/lowcmd", unsafe()),
        ("rt/lowcmd", LowState().to_cdr()),
        ("rt/api/sport/request", b"\x00\x01\x00\x00"),
        ("rt/api/sport/request", Request().to_cdr()[:-4]),
    ],
)
def test_nothing_invalid_reaches_a_robot(topic, data):
    route, sent = active(topic, outward=False)
    route.offer(data, 0.0)
    assert sent == []
    assert route.counts.refused == 1


def test_what_is_valid_reaches_a_robot_byte_for_byte():
    for topic, data in (("rt/lowcmd", LowCmd().to_cdr()), ("rt/api/sport/request", Request(parameter="{}").to_cdr())):
        route, sent = active(topic, outward=False)
        route.offer(data, 0.0)
        assert sent == [data]


def test_a_route_that_stands_by_passes_nothing():
    route, sent = active()
    route.active = False
    route.offer(b"x", 0.0)
    assert sent == []
    assert route.counts.idle == 1
    assert "idle" in repr(route)


def test_a_message_that_cannot_be_written_is_counted_and_the_next_one_passes():
    route, sent = active()

    def refuse(data):
        raise OSError("closing")

    route.send = refuse
    route.offer(b"x", 0.0)
    route.send = sent.append
    route.offer(b"y", 0.0)
    assert (route.counts.failed, route.counts.passed, sent) == (1, 1, [b"y"])
    assert route.as_dict()["way"] == "out"


def test_topics_that_no_robot_has_are_refused():
    with pytest.raises(ConfigError, match="rt/weather"):
        Route("rt/weather", True)
    assert topics.LOW_STATE in KNOWN


def test_what_was_kept_back_does_not_pass_when_another_bridge_has_taken_over():
    route, sent = active("rt/lowstate", rate_hz=10.0)
    route.offer(b"first", 0.0)
    route.offer(b"kept", 0.01)
    route.turn(False)
    route.flush(1.0)
    route.turn(True)
    route.flush(2.0)
    assert sent == [b"first"]
    assert route.counts.idle == 1


def test_a_route_to_dds_is_turned_off_when_nothing_is_on_its_way_any_more():
    route, _ = active("rt/lowcmd", outward=False)
    inside, go_on, order = threading.Event(), threading.Event(), []

    def slow(data):
        inside.set()
        assert go_on.wait(10)
        order.append("sent")

    route.send = slow
    sending = threading.Thread(target=route.offer, args=(LowCmd().to_cdr(), 0.0), daemon=True)
    turning = threading.Thread(target=lambda: (route.turn(False), order.append("off")), daemon=True)
    sending.start()
    assert inside.wait(10)
    turning.start()
    turning.join(0.05)
    go_on.set()
    sending.join(10)
    turning.join(10)
    assert order == ["sent", "off"]
    route.offer(LowCmd().to_cdr(), 1.0)
    assert order == ["sent", "off"]
