"""rfx.comm.node: a robot's state goes out, commands come in, and a robot that nobody commands any more is stopped."""

import subprocess
import sys
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from links import KINDS, open_link
from waiting import wait_for

from rfx import arrays
from rfx.comm import (
    Discovery,
    Effect,
    NodeRobot,
    NodeState,
    RobotClient,
    RobotNode,
    Transport,
    list_nodes,
    pack_value,
    unpack_value,
)
from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxError,
    RfxTimeoutError,
)


class Cart:
    """A robot on one axis. It writes down what it was told."""

    kind = "cart"
    commands: ClassVar = {"drive": "moves", "park": "rests", "brake": "stops", "paint": "sets", "slow": "sets"}

    def __init__(self):
        self.speed, self.told, self.closed = 0.0, [], False
        self.broken = self.stuck = None
        self.gate = threading.Event()
        self.entered = threading.Event()

    def state(self):
        if self.broken is not None:
            raise self.broken
        if self.stuck is not None:
            self.stuck.wait(30)
        return {"speed": self.speed, "wheels": np.full(4, self.speed, np.float32)}

    def command(self, name, arguments):
        if name == "drive":
            speed = arrays.number(arguments.get("speed"), "speed", minimum=-1, maximum=1)
            if arguments.get("slowly"):
                self.entered.set()
                self.gate.wait(10)
            self.speed = speed
        elif name == "slow":
            self.entered.set()
            self.gate.wait(10)
        elif name == "brake":
            self.speed = 0.0
        self.told.append(name)
        return {"did": name}

    def stop(self):
        self.speed = 0.0
        self.told.append("stop")

    def close(self):
        self.closed = True


@pytest.fixture(params=KINDS)
def link(request):
    ends = open_link(request.param)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def quick_beat(monkeypatch):
    monkeypatch.setattr("rfx.comm.node.BEAT_S", 0.1)


@pytest.fixture
def transport():
    with Transport() as transport:
        yield transport


@pytest.fixture
def cart():
    return Cart()


@pytest.fixture
def node(transport, cart):
    with RobotNode(transport, cart, "cart", rate_hz=100, command_timeout_s=0.2) as node:
        yield node


@pytest.fixture
def client(transport, node):
    with RobotClient(transport, "cart") as client:
        yield client


def events(subscription):
    return [unpack_value(m.payload) for m in subscription.drain()]


def test_the_state_goes_out_at_a_rate_that_does_not_drift(link):
    here, there = link
    with RobotClient(here, "cart") as client, client.subscribe("state", 1000) as states:
        with RobotNode(there, Cart(), "cart", rate_hz=100) as node:
            assert wait_for(lambda: len(states) >= 30)
            stats = node.loop_stats
            assert stats.iterations >= 30
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
