"""rfx.comm.node: a stop overtakes what waits, and what waited too long is not applied."""

import threading
import time

import links
import node_carts
import numpy as np
import pytest
from node_carts import Cart, events
from waiting import wait_for

from rfx.comm import (
    NodeState,
    RobotClient,
    RobotNode,
)
from rfx.errors import (
    HardwareError,
    InvalidStateError,
    RfxError,
    RfxTimeoutError,
)

transport = links.transport
cart = node_carts.cart
node = node_carts.node
client = node_carts.client


def test_a_stop_overtakes_what_waits_and_what_is_under_way(node, client, cart):
    errors = []

    def ask(name, **arguments):
        try:
            client.call(name, **arguments)
        except InvalidStateError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=ask, args=("slow",))]
    threads[0].start()
    assert cart.entered.wait(10)
    threads += [threading.Thread(target=ask, args=("drive",), kwargs={"speed": 1}) for _ in range(2)]
    for t in threads[1:]:
        t.start()
    assert wait_for(lambda: len(node._commander._orders) == 2)
    client.stop()
    assert cart.told == ["stop", "stop"] or cart.told == ["stop"]
    cart.gate.set()
    for t in threads:
        t.join(10)
    assert len(errors) == 2
    assert "overtaken" in errors[0]
    assert "drive" not in cart.told
    assert node.status()["counts"]["overtaken"] >= 2


def test_a_robot_that_is_stopped_while_a_command_runs_is_stopped_again_after_it(node, client, cart):
    client.send("drive", speed=1, slowly=True)
    assert cart.entered.wait(10)
    client.stop()
    assert cart.speed == 0
    cart.gate.set()
    assert wait_for(lambda: "drive" in cart.told and cart.told[-1] == "stop")
    assert cart.speed == 0


def test_a_command_that_stops_is_done_at_once_too(node, client, cart):
    client.send("slow")
    assert cart.entered.wait(10)
    assert client.call("brake") == {"did": "brake"}
    cart.gate.set()


def test_a_storm_of_commands_ends_with_the_stop_and_each_is_accounted_for(transport, cart):
    cart.gate.set()
    orders = [
        ("drive", {"speed": 0.5}), ("drive", {"speed": 9}), ("drive", {"speed": [1]}), ("brake", {}), ("park", {}),
        ("fly", {}), ("stop", {}), ("slow", {}), ("stop", {"now": 1}),
    ]  # fmt: skip

    def storm(seed):
        rng = np.random.default_rng(seed)
        with RobotClient(transport, "cart") as client:
            for i in rng.integers(len(orders), size=60):
                name, arguments = orders[i]
                if rng.random() < 0.5:
                    client.send(name, **arguments)
                else:
                    try:
                        client.call(name, timeout=float(rng.choice([0.001, 5.0])), **arguments)
                    except RfxError:
                        continue

    with RobotNode(transport, cart, "cart", command_timeout_s=0.1) as node, RobotClient(transport, "cart") as client:
        threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        with client.subscribe("events", 4096) as heard:  # what was sent last comes to its turn last
            client.send("sleep")
            assert wait_for(lambda: any(e.get("command") == "sleep" for e in events(heard)))
        client.stop()
        assert wait_for(lambda: not node._commander._orders and node._commander._running is None)
        told = len(cart.told)
        assert cart.speed == 0
        assert not wait_for(lambda: len(cart.told) > told + 1, 0.2)
        assert cart.speed == 0
        assert node.state == NodeState.Running
        counts = node.status()["counts"]
        ends = ("applied", "refused", "superseded", "overtaken", "withdrawn")
        assert counts["commands"] == sum(counts[name] for name in ends)
        assert min(counts["applied"], counts["refused"]) > 10


def test_a_stop_that_fails_is_tried_until_it_is_done(transport):
    class Slippery(Cart):
        tries = 0

        def stop(self):
            self.tries += 1
            if self.tries < 3:
                raise HardwareError("no brake")
            super().stop()

    cart = Slippery()
    with RobotNode(transport, cart, "cart", command_timeout_s=0.1) as node, RobotClient(transport, "cart") as client:
        with client.subscribe("events") as heard:
            client.call("drive", speed=1)
            assert wait_for(lambda: cart.speed == 0)
            assert wait_for(lambda: len(heard) >= 2)
            first = events(heard)[0]
        assert (first["event"], first["error"]) == ("stop_failed", "HardwareError: no brake")
        assert node.status()["counts"]["stop_failures"] == 2


def test_a_command_that_waited_too_long_is_not_applied(node, client, cart):
    client.send("slow")
    assert cart.entered.wait(10)
    client.send("drive", speed=1)
    assert wait_for(lambda: len(node._commander._orders) == 1)
    time.sleep(0.3)
    cart.gate.set()
    assert wait_for(lambda: node.status()["counts"]["refused"] == 1)
    assert cart.told == ["slow"]


def test_of_velocities_that_wait_only_the_newest_is_applied(transport, cart):
    with RobotNode(transport, cart, "cart", command_timeout_s=5) as node, RobotClient(transport, "cart") as client:
        client.send("slow")
        assert cart.entered.wait(10)
        for i in range(20):
            client.send("drive", speed=i / 100)
        assert wait_for(lambda: node.status()["counts"]["superseded"] == 19)
        cart.gate.set()
        assert wait_for(lambda: cart.speed == 0.19)
        assert cart.told.count("drive") == 1


def test_a_call_whose_caller_gives_up_while_it_waits_is_never_done(node, client, cart):
    client.send("slow")
    assert cart.entered.wait(10)
    with pytest.raises(RfxTimeoutError, match="is still at work"):
        client.call("paint", timeout=0.6)
    assert wait_for(lambda: not node._commander._orders)
    cart.gate.set()
    assert client.call("park")
    assert cart.told == ["slow", "park"]
