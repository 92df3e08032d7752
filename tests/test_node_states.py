"""rfx.comm.node: robots without a state, ends and starts, and what other programs see of a node."""

import subprocess
import sys
import threading
import time

import links
import node_carts
import pytest
from node_carts import Cart, events
from waiting import wait_for

from rfx.comm import (
    Discovery,
    Effect,
    NodeRobot,
    NodeState,
    RobotClient,
    RobotNode,
    Transport,
    list_nodes,
)
from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxTimeoutError,
)

link = links.link
quick_beat = node_carts.quick_beat
transport = links.transport
cart = node_carts.cart
node = node_carts.node
client = node_carts.client


def test_a_robot_without_state_fails_visibly_and_recovers(quick_beat, node, client, cart):
    with client.subscribe("events") as heard:
        cart.broken = HardwareError("no link")
        assert wait_for(lambda: node.state == NodeState.Failing)
        assert wait_for(
            lambda: (client.status()["state"], client.status()["error"]) == ("failing", "HardwareError: no link")
        )
        assert isinstance(node.error, HardwareError)
        cart.broken = None
        assert wait_for(lambda: node.state == NodeState.Running)
        assert wait_for(lambda: len(heard) == 2)
        assert [e["event"] for e in events(heard)] == ["failing", "recovered"]
    assert node.error is None
    assert node.status()["counts"]["state_errors"] >= 1


def test_a_state_with_nan_is_an_error_and_not_a_message(node, client, cart):
    cart.speed = float("nan")
    assert wait_for(lambda: node.state == NodeState.Failing)
    assert "expected the value['speed'] to be finite" in str(node.error)


def test_a_robot_that_stays_without_state_ends_the_node_with_the_reason(transport, cart):
    node = RobotNode(transport, cart, "cart", rate_hz=100, patience_s=0.2)
    with transport.subscribe("rfx/cart/events") as heard:
        node.start()
        cart.broken = RuntimeError("it is on fire")
        with pytest.raises(RuntimeError, match="on fire"):
            node.wait(10)
        assert node.state == NodeState.Failed
        assert [e["event"] for e in events(heard)] == ["started", "failing", "failed"]
    cart.broken = None
    node.restart()
    assert (node.state, node.error) == (NodeState.Running, None)
    node.stop()
    assert node.state == NodeState.Stopped


def test_a_stop_that_comes_before_the_loop_has_begun_holds(transport, cart, monkeypatch):
    run, gate = RobotNode._run, threading.Event()
    monkeypatch.setattr(RobotNode, "_run", lambda self, loop: gate.wait(10) and run(self, loop))
    node = RobotNode(transport, cart, "cart", rate_hz=100).start()
    stopping = threading.Thread(target=node.stop)
    stopping.start()
    assert wait_for(lambda: node._stopping)
    time.sleep(0.05)
    gate.set()
    stopping.join()
    assert not node.is_running
    assert node.state == NodeState.Stopped


def test_a_state_that_does_not_return_shows_in_the_status_and_holds_up_nothing(
    quick_beat, transport, cart, monkeypatch
):
    monkeypatch.setattr("rfx.comm.node.HUNG_S", 0.1)
    monkeypatch.setattr("rfx.comm.node.STOP_S", 0.1)
    with RobotClient(transport, "cart") as client:
        node = RobotNode(transport, cart, "cart", command_timeout_s=0.2).start()
        client.call("drive", speed=1)
        cart.stuck = threading.Event()
        assert wait_for(lambda: cart.told[-1] == "stop")
        assert wait_for(lambda: "has not returned" in str(client.status()["error"]))
        with pytest.raises(RfxTimeoutError, match="state"):
            node.stop()
        cart.stuck.set()
        node.wait(10)


def test_stopping_a_node_stops_the_robot_that_it_moved(transport, cart):
    with RobotNode(transport, cart, "cart", command_timeout_s=30) as node, RobotClient(transport, "cart") as client:
        client.call("drive", speed=1)
        node.stop()
        assert cart.told == ["drive", "stop"]
        assert not cart.closed
        with pytest.raises(RfxTimeoutError, match="silent now"):
            client.call("drive", timeout=0.1, speed=1)
        node.stop()


def test_a_node_that_moved_nothing_leaves_the_robot_alone(transport, cart):
    with RobotNode(transport, cart, "cart"):
        pass
    assert cart.told == []


def test_a_robot_that_the_node_made_is_closed_and_made_anew(transport):
    made = []

    def make():
        made.append(Cart())
        return made[-1]

    with RobotNode(transport, make, "cart") as node:
        assert node.robot is made[0]
        node.restart()
        assert [c.closed for c in made] == [True, False]
        assert node.status()["counts"]["starts"] == 2
    assert made[1].closed


def test_what_cannot_be_made_fails_at_the_start_and_leaves_nothing(transport):
    def make():
        raise HardwareError("no robot there")

    node = RobotNode(transport, make, "cart")
    with pytest.raises(HardwareError, match="no robot"):
        node.start()
    with pytest.raises(DTypeError, match="make a robot"):
        RobotNode(transport, lambda: 3, "cart").start()
    assert node.state == NodeState.Created
    assert transport.subscriber_count == 0


def test_a_closed_transport_ends_the_node_and_stops_the_robot(cart):
    transport = Transport()
    node = RobotNode(transport, cart, "cart", command_timeout_s=30).start()
    with RobotClient(transport, "cart") as client:
        client.call("drive", speed=1)
    transport.close()
    with pytest.raises(InvalidStateError, match="closed"):
        node.wait(10)
    assert cart.speed == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "a/b"}, InvalidValueError),
        ({"name": "*"}, InvalidValueError),
        ({"name": 3}, DTypeError),
        ({"rate_hz": 0}, InvalidValueError),
        ({"rate_hz": float("nan")}, InvalidValueError),
        ({"rate_hz": 1e9}, InvalidValueError),
        ({"command_timeout_s": 0}, InvalidValueError),
        ({"command_timeout_s": "1"}, DTypeError),
        ({"patience_s": -1}, InvalidValueError),
        ({"robot": object()}, DTypeError),
    ],
)
def test_wrong_arguments_are_refused(transport, cart, options, error):
    with pytest.raises(error, match="expected"):
        RobotNode(transport, **{"robot": cart, "name": "cart", **options})


def test_commands_with_an_unknown_effect_are_refused_at_the_start(transport, cart):
    for commands, text in (({"drive": "jumps"}, "moves, rests, stops, sets"), ({"status": "sets"}, "'status'")):
        cart.commands = commands
        with pytest.raises(ConfigError, match=text):
            RobotNode(transport, cart, "cart").start()


def test_a_robot_that_does_not_say_its_commands_is_watched_after_each(transport):
    class Bare:
        def __init__(self):
            self.told = []

        def state(self):
            return {}

        def command(self, name, arguments):
            self.told.append(name)

        def stop(self):
            self.told.append("stop")

    robot = Bare()
    assert isinstance(robot, NodeRobot)
    with RobotNode(transport, robot, "bare", command_timeout_s=0.1) as node, RobotClient(transport, "bare") as client:
        client.call("anything", x=1)
        assert wait_for(lambda: robot.told == ["anything", "stop"])
        assert node.status()["robot"] == "Bare"
        assert Effect.Moves == "moves"


def test_the_list_shows_the_nodes_that_run(quick_beat, link):
    here, there = link
    with RobotNode(there, Cart(), "left"), RobotNode(there, Cart(), "right", rate_hz=10) as right:

        def listed(states):
            found = list_nodes(here, seconds=0.5)
            return {n["name"]: n["state"] for n in found} == states and found

        both = {"left": "running", "right": "running"}
        assert wait_for(lambda: listed(both), 30)
        found = listed(both)
        assert [(n["name"], n["robot"], n["rate_hz"]) for n in found] == [
            ("left", "cart", 50.0),
            ("right", "cart", 10.0),
        ]
        with Discovery(there).announce("mute", "robot", {"prefix": "rfx", "robot": "cart"}):
            assert wait_for(lambda: listed({**both, "mute": "silent"}), 30)
        right.stop()
        assert wait_for(lambda: listed({"left": "running"}), 30)


def test_the_client_says_when_there_is_no_node(transport):
    with RobotClient(transport, "ghost", timeout=0.05) as client:
        with pytest.raises(RfxTimeoutError, match="rfx/ghost"):
            client.state()
        with pytest.raises(RfxTimeoutError, match="no server is known"):
            client.call("drive")
        with pytest.raises(DTypeError):
            client.subscribe("secrets")


def test_a_program_that_ends_stops_its_robot_first():
    source = (
        "import time\n"
        "from rfx.comm import *\n"
        "class Cart:\n"
        "    def state(self): return {}\n"
        "    def command(self, name, arguments): print(name, flush=True)\n"
        "    def stop(self): print('stop', flush=True)\n"
        "t = Transport()\n"
        "n = RobotNode(t, Cart(), 'cart', command_timeout_s=50).start()\n"
        "RobotClient(t, 'cart').call('drive')\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "drive\nstop\n", "")
