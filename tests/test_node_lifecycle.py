"""rfx.comm.node: a start, a stop and an end at the wrong moment leave no robot moving and nobody waiting."""

import subprocess
import sys
import threading

import pytest
from waiting import wait_for

from rfx.comm import NodeState, RobotClient, RobotNode, Transport
from rfx.comm.commander import Commander
from rfx.comm.node_end import _stop_all, running
from rfx.errors import InvalidStateError


class Cart:
    def __init__(self):
        self.speed, self.told, self.before_stop = 0.0, [], lambda: None

    def state(self):
        return {"speed": self.speed}

    def command(self, name, arguments):
        self.speed = float(arguments.get("speed", 0.0))
        self.told.append(name)

    def stop(self):
        self.before_stop()
        self.speed = 0.0
        self.told.append("stop")


@pytest.fixture
def transport():
    with Transport() as transport:
        yield transport


@pytest.fixture
def cart():
    return Cart()


@pytest.fixture
def commander(cart):
    made = Commander(cart, 0.1, lambda event, **about: None)
    yield made
    made.close()


class Hooked:
    """A lock that does something first, each time that it is taken in this thread."""

    def __init__(self, lock, *hooks):
        self.lock, self.hooks, self.thread = lock, list(hooks), threading.current_thread()

    def __enter__(self):
        if self.hooks and threading.current_thread() is self.thread:
            self.hooks.pop(0)()
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()


# -- the commander


def test_a_command_whose_turn_comes_as_the_node_stops_does_not_move_the_robot(cart, monkeypatch):
    work, gate = Commander._work, threading.Event()
    monkeypatch.setattr(Commander, "_work", lambda self: gate.wait(10) and work(self))
    commander = Commander(cart, 30.0, lambda event, **about: None)
    order = commander.order("drive", {"speed": 1.0})
    commander._lock = Hooked(commander._lock, lambda: None, lambda: gate.set() or wait_for(lambda: cart.told, 0.2))
    commander.close()
    gate.set()
    assert order.done.wait(10)
    assert (cart.speed, cart.told) == (0.0, [])
    assert commander.counts["commands"] == commander.counts["overtaken"] == 1


def test_a_close_that_ctrl_c_interrupts_can_be_done_again(cart, commander):
    assert commander.order("drive", {"speed": 1.0}).done.wait(10)
    interrupts = [KeyboardInterrupt()]

    def interrupted():
        if interrupts and threading.current_thread() is threading.main_thread():
            raise interrupts.pop()

    cart.before_stop = interrupted
    with pytest.raises(KeyboardInterrupt):
        commander.close()
    commander.close()
    assert cart.speed == 0.0
    assert not any(thread.is_alive() for thread in commander._threads)


def test_a_robot_whose_stop_exits_is_stopped_again_by_the_dead_man(cart, commander):
    exits = [SystemExit(), SystemExit()]

    def exit_first():
        if exits:
            raise exits.pop()

    cart.before_stop = exit_first
    assert commander.order("drive", {"speed": 1.0}).done.wait(10)
    assert wait_for(lambda: cart.told[-1] == "stop")
    assert commander.counts["stop_failures"] == 2
    assert commander.order("drive", {"speed": 1.0}).done.wait(10)
    assert wait_for(lambda: cart.told.count("stop") == 2)


def test_a_stop_that_exits_is_an_error_of_who_asked_and_the_node_goes_on_listening(transport, cart):
    exits = [SystemExit("no brake")]

    def exit_first():
        if exits:
            raise exits.pop()

    cart.before_stop = exit_first
    with RobotNode(transport, cart, "cart", command_timeout_s=30) as node, RobotClient(transport, "cart") as client:
        client.send("stop")
        assert wait_for(lambda: node.status()["counts"]["refused"] == 1)
        client.send("drive", speed=0.5)
        assert wait_for(lambda: cart.speed == 0.5)


# -- the node


def test_a_node_whose_thread_cannot_be_started_is_not_running(transport, cart, monkeypatch):
    start = threading.Thread.start

    def refused(thread):
        if thread.name == "rfx node cart":
            raise RuntimeError("can't start new thread")
        start(thread)

    node = RobotNode(transport, cart, "cart")
    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            node.start()
    assert not node.is_running
    assert transport.subscriber_count == 0
    with pytest.raises(RuntimeError, match="new thread"):
        node.wait(0)
    with node:
        assert node.state == NodeState.Running


def test_a_node_whose_start_is_interrupted_ends(transport, cart, monkeypatch):
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        if thread.name == "rfx node cart":
            raise KeyboardInterrupt

    node = RobotNode(transport, cart, "cart")
    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            node.start()
    node.wait(10)
    assert transport.subscriber_count == 0


def test_a_signal_handler_that_stops_a_node_in_the_middle_of_its_start_is_heard(transport, cart):
    def make():
        node.stop()  # as from a handler, in the same thread
        return cart

    node = RobotNode(transport, make, "cart")
    node.start().wait(10)
    assert node.state == NodeState.Stopped
    with node:
        assert wait_for(lambda: node.state == NodeState.Stopped)


def test_a_robot_that_restarts_its_node_from_its_own_state_is_told_so_and_one_that_stops_it_is_heard(transport, cart):
    class Own(Cart):
        def state(self):
            return {"x": getattr(node, self.todo)()} if self.todo else {}

    robot = Own()
    robot.todo = ""
    node = RobotNode(transport, robot, "cart")
    with node:
        robot.todo = "restart"
        assert wait_for(lambda: isinstance(node.error, InvalidStateError))
        robot.todo = "stop"
        node.wait(10)


def test_what_cannot_be_closed_does_not_keep_the_robot_moving_or_anybody_waiting(transport, cart):
    with RobotClient(transport, "cart") as client:
        node = RobotNode(transport, cart, "cart", command_timeout_s=30).start()
        client.call("drive", speed=1)

        def refuse():
            raise OSError("the link is down")

        node._announced.close = refuse
        node._loop.stop()  # it ends by itself
        with pytest.raises(OSError, match="link"):
            node.wait(10)
    assert cart.speed == 0.0
    assert node.state == NodeState.Failed
    assert transport.subscriber_count == 0


def test_the_robot_stops_before_what_takes_long_to_close(transport, cart):
    seen = []
    with RobotClient(transport, "cart") as client:
        node = RobotNode(transport, cart, "cart", command_timeout_s=30).start()
        client.call("drive", speed=1)
        close = node._announced.close
        node._announced.close = lambda: (seen.append(cart.speed), close())
        node._loop.stop()
        node.wait(10)
    assert seen == [0.0]


def test_the_status_can_be_asked_for_while_the_node_starts_again(transport, cart):
    class Restarting(RobotNode):
        looks = None

        @property
        def _commands(self):
            if self.looks is not None:
                self.looks.append(1)
                if len(self.looks) % 2 == 0:
                    return None
            return self.__dict__.get("commands")

        @_commands.setter
        def _commands(self, value):
            self.__dict__["commands"] = value

    with Restarting(transport, cart, "cart") as node:
        node.looks = []
        assert node.status()["counts"]["dropped_messages"] == 0
        assert node.status()["counts"]["dropped_messages"] == 0
        node.looks = None


def test_a_status_that_is_there_before_the_question_has_returned_is_not_lost(transport, cart, monkeypatch):
    monkeypatch.setattr("rfx.comm.node.BEAT_S", 1000.0)
    with RobotNode(transport, cart, "cart"), RobotClient(transport, "cart") as client:
        client.status()
        send = client.send

        def slowly(command, **arguments):
            send(command, **arguments)
            assert wait_for(lambda: len(client._statuses))

        client.send = slowly
        assert client.status(timeout=1)["state"] == "running"


# -- the end of a program


def test_a_node_that_ends_by_itself_while_the_program_ends_does_not_keep_others_from_being_stopped(transport):
    carts = [Cart() for _ in range(3)]
    nodes = [RobotNode(transport, cart, f"cart{k}", command_timeout_s=30) for k, cart in enumerate(carts)]
    for node in nodes:
        node.start()
        with RobotClient(transport, node.name) as client:
            client.call("drive", speed=1)
    ending = iter(nodes)

    def another_ends():
        for node in ending:
            node._loop.stop()
            assert wait_for(lambda n=node: n not in running)
            return

    for cart in carts:
        cart.before_stop = another_ends
    _stop_all()
    assert [cart.speed for cart in carts] == [0.0, 0.0, 0.0]
    assert not any(node.is_running for node in nodes)


END = """
import sys
from rfx.comm import RobotClient, RobotNode, Transport
class Cart:
    def state(self): return {}
    def command(self, name, arguments): print(name, flush=True)
    def stop(self): print("stop", "link closed" if link.session.closed else "link open", flush=True)
link = Transport.zenoh(shared_memory=False)
RobotNode(link, Cart(), "cart", command_timeout_s=50).start()
RobotClient(link, "cart").call("drive")
"""


def test_a_program_that_ends_stops_its_robot_while_there_is_a_link_to_it():
    pytest.importorskip("zenoh")
    done = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "drive\nstop link open\n", "")


FORKED = """
import os, sys
from rfx.comm import RobotClient, RobotNode, Transport
class Cart:
    def state(self): return {}
    def command(self, name, arguments): return None
    def stop(self): print("stop", "parent" if os.getpid() == parent else "child", flush=True)
parent, transport = os.getpid(), Transport()
node = RobotNode(transport, Cart(), "cart", command_timeout_s=50).start()
RobotClient(transport, "cart").call("drive")
if os.fork() == 0:
    sys.exit(0)
os.wait()
print("running", node.is_running, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
def test_a_program_that_was_forked_leaves_the_robot_to_its_parent():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "running True\nstop parent\n", "")
