"""rfx.comm.node and robot_client: states go out at a rate, commands come in, silence stops the robot."""

import time

import links
import node_carts
import numpy as np
import pytest
from node_carts import Cart, events
from waiting import wait_for

from rfx.comm import (
    RobotClient,
    RobotNode,
    pack_value,
    unpack_value,
)
from rfx.errors import (
    ConfigError,
    DTypeError,
    InvalidValueError,
)

link = links.link
transport = links.transport
cart = node_carts.cart
node = node_carts.node
client = node_carts.client


def test_the_state_goes_out_at_a_rate_that_does_not_drift(link):
    here, there = link
    with RobotClient(here, "cart") as client, client.subscribe("state", 1000) as states:
        with RobotNode(there, Cart(), "cart", rate_hz=100) as node:
            assert wait_for(lambda: len(states) >= 30)
            stats = node.loop_stats
            assert stats.iterations >= 29  # the last may have sent its state, and not ended yet
        received = states.drain()
        sent = [m.timestamp_ns for m in received]
        late = [(t - sent[0]) / 1e9 - round((t - sent[0]) / 1e7) / 100 for t in sent]
        assert sorted(sent) == sent
        assert np.median(np.abs(late)) <= 0.005
        state = unpack_value(received[-1].payload)
        assert state["wheels"].dtype == np.float32
        assert state["wheels"].shape == (4,)


def test_a_command_moves_the_robot_and_silence_stops_it(link):
    here, there = link
    cart = Cart()
    with RobotNode(there, cart, "cart", command_timeout_s=0.6) as node, RobotClient(here, "cart") as client:
        with client.subscribe("events") as heard:
            assert client.call("drive", speed=0.5) == {"did": "drive"}
            for _ in range(8):
                client.send("drive", speed=0.5)
                time.sleep(0.1)
            assert "stop" not in cart.told
            assert cart.speed == 0.5
            assert wait_for(lambda: cart.speed == 0.0)
            assert wait_for(lambda: node.status()["counts"]["dead_man_stops"] == len(heard) == 1)
            assert [e["event"] for e in events(heard)] == ["dead_man"]
        assert not node.status()["moving"]


def test_the_dead_man_comes_not_before_its_time(node, client, cart):
    began = time.monotonic()
    client.call("drive", speed=1)
    assert wait_for(lambda: cart.told[-1] == "stop")
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("name", ["paint", "park"])
def test_what_does_not_move_the_robot_is_not_watched(node, client, cart, name):
    client.call(name)
    assert not node.status()["moving"]
    time.sleep(0.3)
    assert cart.told == [name]


def test_a_command_that_rests_ends_the_watch_and_one_that_sets_does_not(node, client, cart):
    client.call("drive", speed=1)
    client.call("paint")
    assert node.status()["moving"]
    client.call("park")
    assert not node.status()["moving"]
    time.sleep(0.3)
    assert cart.told == ["drive", "paint", "park"]


REFUSED = [
    ("drive", {"speed": 3}, InvalidValueError, "at most 1, got 3"),
    ("drive", {"speed": "fast"}, DTypeError, "got str"),
    ("drive", {}, DTypeError, "NoneType"),
    ("fly", {}, ConfigError, "brake, drive, paint, park, slow, stop, got 'fly'"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "text"), REFUSED)
def test_what_is_refused_reaches_the_caller_and_is_told_to_all(node, client, cart, name, arguments, error, text):
    with client.subscribe("events") as heard:
        with pytest.raises(error, match=text):
            client.call(name, **arguments)
        client.send(name, **arguments)
        assert wait_for(lambda: node.status()["counts"]["refused"] == 2)
        assert wait_for(lambda: len(heard) >= 1)
        told = [e for e in events(heard) if e["event"] == "refused"]
    assert error.__name__ in told[-1]["error"]
    assert name in told[-1]["command"]
    assert (cart.speed, cart.told) == (0.0, [])
    assert not node.status()["moving"]


def test_a_refused_command_does_not_keep_a_robot_going(node, client, cart):
    client.call("drive", speed=0.5)

    def stopped():
        client.send("drive", speed=7)
        return cart.told == ["drive", "stop"]

    assert wait_for(stopped)


def test_nan_never_comes_to_the_robot(node, client, cart, transport):
    with pytest.raises(InvalidValueError, match="finite"):
        client.send("drive", speed=float("nan"))
    with client.subscribe("events") as heard:
        transport.publish("rfx/cart/command", b'{"command": "drive", "arguments": {"speed": NaN}}')
        assert wait_for(lambda: len(heard) == 1)
        assert "NaN is no number" in events(heard)[0]["error"]
        transport.publish(
            "rfx/cart/command", pack_value({"command": "drive", "arguments": {"speed": np.array(np.nan)}})
        )
        assert wait_for(lambda: len(heard) == 1)
        assert "finite" in events(heard)[0]["error"]
    assert cart.told == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80\x04",
        b"[]",
        b'{"command": 1}',
        b'{"command": "drive", "arguments": []}',
        b'{"command": "stop", "x": 1}',
    ],
)
def test_what_is_no_command_is_told_and_changes_nothing(node, client, cart, transport, payload):
    with client.subscribe("events") as heard:
        transport.publish("rfx/cart/command", payload)
        assert wait_for(lambda: len(heard) == 1)
        assert events(heard)[0]["event"] == "refused"
    assert cart.told == []


def test_any_program_can_command_with_json_text(node, cart, transport):
    transport.publish("rfx/cart/command", b'{"command": "drive", "arguments": {"speed": 0.25}}')
    assert wait_for(lambda: cart.speed == 0.25)
