"""``rfx node``: two programs on the loopback interface, and what is left when one of them is killed."""

import contextlib
import json
import signal
import subprocess
import sys
import threading

import pytest
from loopback import free_endpoint
from simulated_robots import simulated
from waiting import wait_for

from rfx import cli
from rfx.cli.demo import child_environment
from rfx.cli.node import _listening, table
from rfx.comm import RobotClient, RobotNode, ServiceGoneError, Transport, list_nodes
from rfx.errors import RfxConnectionError, RfxTimeoutError
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.node_sim import SimNodeRobot

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")


@contextlib.contextmanager
def process(*command, **options):
    """A program that has said its first line."""
    child = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env=child_environment(), **options
    )
    try:
        yield child, json.loads(child.stdout.readline())
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(30)
        child.stdout.close()


def node_process(*words, **options):
    return process("-m", "rfx", "node", "run", *words, **options)


@pytest.fixture
def endpoint():
    return free_endpoint()


def test_a_node_in_another_program_is_seen_and_obeys_and_disappears_when_it_is_killed(endpoint, capsys):
    sim = ("--robot", "sim", "--plant", "joint", "--pose", "stand", "--name", "left", "--timeout", "0.8")
    with node_process(*sim, "--listen", endpoint) as (child, about):
        assert about == {"ready": True, "name": "left", "listen": [endpoint], "connect": []}
        with Transport.zenoh(connect=[endpoint]) as transport, RobotClient(transport, "left") as client:
            assert client.state(timeout=20)["mode"] == "BALANCE_STAND"
            assert client.call("walk", vx=0.3, timeout=20) == [0.3, 0.0, 0.0]
            assert wait_for(lambda: client.state()["mode"] == "LOCOMOTION")
            assert wait_for(lambda: client.state()["mode"] == "BALANCE_STAND")
            assert client.status()["counts"]["dead_man_stops"] == 1
            assert cli.main(["node", "list", "--connect", endpoint, "--seconds", "0.7"]) == 0
            listed = capsys.readouterr().out.splitlines()
            assert [line.split()[:3] for line in listed] == [["NAME", "ROBOT", "STATE"], ["left", "sim", "running"]]

            client.call("damp")
            lying = threading.Thread(target=child.kill)
            lying.start()
            with pytest.raises((RfxTimeoutError, ServiceGoneError)):
                client.call("stand", timeout=1)
            lying.join()
            assert child.wait(10) == -signal.SIGKILL
            assert list_nodes(transport) == []


def test_a_robot_stops_when_its_operator_is_killed(endpoint):
    operator = (
        "import json, sys, time\n"
        "from rfx.comm import RobotClient, Transport\n"
        "go2 = RobotClient(Transport.zenoh(connect=[sys.argv[1]]), 'go2')\n"
        "go2.call('walk', vx=0.3, timeout=20)\n"
        "print(json.dumps('walking'), flush=True)\n"
        "while True:\n"
        "    go2.send('walk', vx=0.3)\n"
        "    time.sleep(0.02)\n"
    )
    with (
        Transport.zenoh(listen=[endpoint]) as transport,
        contextlib.closing(SimNodeRobot("joint", "stand", hold_s=60.0)) as robot,
        RobotNode(transport, robot, "go2", command_timeout_s=1.0) as node,
        process("-c", operator, endpoint) as (child, said),
    ):
        assert said == "walking"
        assert wait_for(lambda: node.status()["counts"]["applied"] > 20)
        assert robot.sport.mode.name == "LOCOMOTION"
        assert node.status()["counts"]["stops"] == 0
        child.kill()
        assert wait_for(lambda: node.status()["counts"]["dead_man_stops"] == 1)
        assert wait_for(lambda: robot.sport.mode.name == "BALANCE_STAND")


def test_a_go2_stops_when_its_node_is_killed(endpoint, domain_id):
    with simulated(domain_id, pose="stand", mode="normal") as robot:
        go2 = ("--robot", "go2", "--domain", str(domain_id), "--interface", LOOPBACK, "--timeout", "30")
        with node_process(*go2, "--listen", endpoint) as (child, about):
            assert about["name"] == "go2"
            with Transport.zenoh(connect=[endpoint]) as transport, RobotClient(transport, "go2") as client:
                client.call("walk", vx=0.2, timeout=20)
                assert wait_for(lambda: robot.sport.mode.name == "LOCOMOTION")
                child.kill()
                assert wait_for(lambda: robot.sport.mode.name == "BALANCE_STAND")


CART = """
from pathlib import Path
class Cart:
    def state(self):
        if Path("broken").exists():
            Path("broken").unlink()
            raise SystemExit("the wheel came off")
        return {}
    def command(self, name, arguments): raise ValueError("it never drives")
    def stop(self): pass
"""


def test_a_class_of_a_user_is_restarted_after_a_failure_and_ends_on_sigterm(endpoint, tmp_path):
    (tmp_path / "wagon.py").write_text(CART)
    environment = {"cwd": tmp_path, "stderr": subprocess.PIPE}
    words = ("--robot", "wagon:Cart", "--listen", endpoint, "--restarts", "1")
    with node_process(*words, **environment) as (child, about):
        assert about["name"] == "cart"
        with Transport.zenoh(connect=[endpoint]) as transport, RobotClient(transport, "cart") as client:
            with pytest.raises(ValueError, match="never drives"):
                client.call("drive", timeout=20)
            (tmp_path / "broken").touch()
            assert wait_for(lambda: client.status()["counts"]["starts"] == 2)
        child.send_signal(signal.SIGTERM)
        out, complaints = child.communicate(timeout=120)
        assert child.returncode == 0
        assert json.loads(out)["state"] == "stopped"
        assert "the wheel came off" in complaints


def test_a_node_that_fails_for_good_is_exit_code_1(endpoint, tmp_path, monkeypatch, capsys):
    (tmp_path / "cartwright.py").write_text(CART)
    (tmp_path / "broken").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["node", "run", "--robot", "cartwright:Cart", "--listen", endpoint]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["state"], last["error"]) == ("failed", "SystemExit: the wheel came off")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "--robot", "plane"], "sim, go2 or module:Class"),
        (["run", "--robot", "no_such_module:Class"], "cannot be had"),
        (["run", "--robot", "json:JSONDecoder"], "make a robot"),
        (["run", "--robot", "sim", "--plant", "joint", "--rate", "nan"], "rate_hz"),
        (["run", "--robot", "sim", "--plant", "joint", "--name", "a/b"], "wildcards"),
        (["run", "--seconds", "0"], "--seconds"),
        (["run", "--restarts", "-1"], "--restarts"),
        (["list", "--seconds", "nan"], "seconds"),
        (["list", "--seconds", "0.05"], "no node was heard"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_1(words, text, endpoint, capsys):
    link = ["--listen", endpoint]
    assert cli.main(["node", words[0], *link, *words[1:]]) == 1
    complaint = capsys.readouterr().err
    assert text in complaint
    assert len(complaint.splitlines()) == 1


def test_an_end_after_so_many_seconds_is_no_failure(endpoint, capsys):
    words = ["--robot", "sim", "--plant", "joint", "--listen", endpoint, "--seconds", "0.3"]
    assert cli.main(["node", "run", *words]) == 0
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["name"] == "sim"
    assert last["counts"]["states"] > 3


def test_the_table_shows_what_comes_from_elsewhere_without_letting_it_write_to_the_terminal():
    lines = table(
        [{"name": "a\x1b[2J", "robot": None, "state": "running", "counts": 3, "rate_hz": "x", "error": "é" * 300}]
    )
    assert lines[1].startswith("a?[2J  -")
    assert len(lines[1]) < 200


def test_nodes_of_one_machine_are_listed_without_saying_where_they_are(capsys, monkeypatch):
    places = free_endpoint(), free_endpoint()
    monkeypatch.setattr("rfx.cli.node.HERE", places)
    assert cli.main(["node", "list"]) == 1
    assert "nobody listens" in capsys.readouterr().err
    tried = [[place] for place in places]
    with contextlib.ExitStack() as stack:
        for name in ("left", "right"):
            transport = stack.enter_context(_listening(tried, []))
            stack.enter_context(RobotNode(transport, lambda: SimNodeRobot("joint"), name))
        assert cli.main(["node", "list", "--json"]) == 0
        with pytest.raises(RfxConnectionError):
            _listening(tried, [])
    assert [n["name"] for n in json.loads(capsys.readouterr().out)] == ["left", "right"]
