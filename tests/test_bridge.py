"""rfx.go2.bridge and ``rfx bridge``: nothing comes back, nothing is doubled, and what ends it is seen at both ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from bridged import bridge_on
from guides import run_guide
from loopback import free_endpoint
from test_client import Robot
from waiting import wait_for

from rfx.cli import main
from rfx.cli.demo import child_environment
from rfx.comm.zenoh import load, open_session
from rfx.errors import ConfigError, RfxConnectionError
from rfx.go2 import Go2, Go2Config, LowState, topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.backends.zenoh_backend import ZenohBackend
from rfx.go2.bridge import Bridge
from rfx.go2.bridge_routes import make_routes
from rfx.robots import GO2

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")

STATES = ["rt/lowstate"]


@contextlib.contextmanager
def router():
    """A Zenoh router at an endpoint of its own: those who connect to it hear each other."""
    where = free_endpoint()
    zenoh = load()
    config = zenoh.Config()
    for name, value in (("mode", "router"), ("listen/endpoints", [where]), ("scouting/multicast/enabled", False)):
        config.insert_json5(name, json.dumps(value))
    with zenoh.open(config):
        yield where


class Source:
    """Writes states into a domain, each with another tick."""

    def __init__(self, domain_id):
        self.domain = CycloneDomain(domain_id, LOOPBACK)
        self.writer = self.domain.writer(topics.LOW_STATE, LowState, depth=64)
        self.tick = 0

    def write(self, n, heard=None):
        """The next after each has been heard; a machine that stalls may lose some of those that are not waited for."""
        for _ in range(n):
            self.tick += 2
            self.writer.write(LowState(tick=self.tick).to_cdr())
            time.sleep(0.002)
            assert heard is None or wait_for(lambda: self.tick in heard)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.domain.close()


@contextlib.contextmanager
def hearing(where):
    """The ticks of the states that come over Zenoh."""
    ticks = []
    with open_session(connect=where, mode="client") as session:
        session.raw.declare_subscriber(
            "rt/lowstate", lambda sample: ticks.append(LowState.from_cdr(sample.payload.to_bytes()).tick)
        )
        yield ticks


def heard(bridge):
    """Whether somebody on Zenoh hears the states of a bridge."""
    [route] = [route for route in bridge.routes if route.topic == topics.LOW_STATE]
    return route.send.__self__.matching_status.matching


def child(domain_id, where, *words, way="--listen", ready=True):
    command = [sys.executable, "-m", "rfx", "bridge", "--domain", str(domain_id), "--interface", LOOPBACK]
    made = subprocess.Popen(
        [*command, way, where, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    assert not ready or json.loads(made.stdout.readline())["ready"]
    return made


# -- one robot, several bridges


def test_two_bridges_on_one_domain_double_nothing_and_the_second_takes_over(domain_id):
    with router() as where, hearing(where) as ticks, Source(domain_id) as source, contextlib.ExitStack() as first:
        elder = first.enter_context(bridge_on(domain_id, connect=where, routes=make_routes("robot", STATES)))
        with bridge_on(domain_id, connect=where, routes=make_routes("robot", STATES)) as younger:
            assert wait_for(lambda: source.writer.matched == 2 and heard(elder) and heard(younger))
            assert "standing by for 1 of 1 topics" in younger.note
            assert str(os.getpid()) in younger.note
            source.write(50, ticks)
            assert ticks == list(range(2, 102, 2))
            assert younger.routes[0].counts.passed == 0
            assert wait_for(lambda: younger.routes[0].counts.idle == 50)
            first.close()
            assert not elder.routes[0].active
            assert wait_for(lambda: younger.routes[0].active)
            assert younger.note == ""
            source.write(10, ticks)
            assert ticks == list(range(2, 122, 2))


def test_a_loop_through_one_domain_is_refused_before_anything_goes_round(domain_id):
    with router() as where, hearing(where) as ticks, Source(domain_id) as source:
        with (
            bridge_on(domain_id, connect=where, wait=False, settle_s=1.0, routes=make_routes("robot", STATES)) as robot,
            bridge_on(domain_id, connect=where, side="user", wait=False, routes=make_routes("user", STATES)) as user,
        ):
            assert wait_for(lambda: robot.ended)
            source.write(20)
            assert user.routes[0].counts.passed <= 20
        [error] = robot.ended
        assert isinstance(error, ConfigError)
        assert f"back into domain {domain_id}" in str(error)
        assert len(ticks) == len(set(ticks))


def test_what_a_bridge_sends_does_not_come_back_to_it(domain_id):
    where = free_endpoint()
    with Source(domain_id) as source, bridge_on(domain_id, listen=where) as bridge, hearing(where) as ticks:
        assert wait_for(lambda: source.writer.matched == 1 and heard(bridge))
        source.write(30, ticks)
        time.sleep(0.1)
        counts = {route.topic: route.counts for route in bridge.routes}
        assert counts["rt/lowstate"].passed == 30
        assert sum(c.passed + c.refused + c.idle for t, c in counts.items() if t != "rt/lowstate") == 0


def test_a_program_that_speaks_only_dds_reaches_a_robot_in_another_domain(domain_id, other_domain_id):
    where, there = free_endpoint(), other_domain_id
    with (
        Robot(domain_id) as robot,
        bridge_on(domain_id, listen=where),
        bridge_on(there, connect=where, side="user"),
        Go2.connect(Go2Config.loopback(there)) as go2,
    ):
        go2.set_motor_positions(GO2.pose("stand"), kp=60.0, kd=4.0)
        assert wait_for(lambda: robot.counters.commands > 0)
        assert go2.check_mode() == ""


# -- filters


def test_without_low_level_commands_the_sport_mode_is_still_reached(domain_id):
    where = free_endpoint()
    routes = make_routes("robot", deny=["rt/lowcmd"], rates={"rt/lowstate": 50.0})
    config = Go2Config(connect_timeout_s=15.0).with_zenoh_router(where)
    with Robot(domain_id, mode="normal") as robot, bridge_on(domain_id, listen=where, routes=routes) as bridge:
        with Go2.connect(config) as go2:
            go2.select_mode("normal")
            assert go2.check_mode() == "normal"
            go2.release_mode(lie_down=False)
            with pytest.raises(RfxConnectionError, match="nobody takes rt/lowcmd"):
                go2.set_motor_positions(GO2.pose("stand"))
        assert robot.counters.commands == robot.counters.ignored == 0
        [states] = [route.counts for route in bridge.routes if route.topic == "rt/lowstate"]
        assert states.thinned > states.passed > 0


# -- beginning and ending


def test_a_bridge_connects_again_when_its_router_is_back(domain_id):
    zenoh, where = load(), free_endpoint()

    def hub(ticks):
        session = open_session(listen=where)
        session.raw.declare_subscriber(
            "rt/lowstate", lambda sample: ticks.append(1), allowed_origin=zenoh.Locality.REMOTE
        )
        return session

    stop, first, second = threading.Event(), [], []
    carrier = child(domain_id, where, way="--connect", ready=False)  # nobody listens there yet
    with Source(domain_id) as source:

        def talk():
            while not stop.is_set():
                source.write(1)

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            assert "trying on" in carrier.stderr.readline()
            for ticks in (first, second):
                session = hub(ticks)
                assert wait_for(lambda ticks=ticks: len(ticks) > 5)
                session.close()
        finally:
            stop.set()
            talker.join()
            carrier.send_signal(signal.SIGINT)
            carrier.communicate(timeout=120)
    assert carrier.returncode == 0


def test_a_bridge_in_a_process_of_its_own_carries_and_ends_cleanly(domain_id):
    where = free_endpoint()
    carrier = child(domain_id, where, "--rate", "rt/sportmodestate=10", "--every", "0.5")
    try:
        config = Go2Config(connect_timeout_s=15.0).with_zenoh_router(where)
        with Robot(domain_id) as robot, Go2.connect(config) as go2:
            go2.set_motor_positions(GO2.pose("stand"))
            assert wait_for(lambda: robot.counters.commands > 0)
            time.sleep(0.6)
        carrier.send_signal(signal.SIGTERM)
        out, said = carrier.communicate(timeout=120)
    finally:
        carrier.kill()
    assert carrier.returncode == 0
    told = json.loads(out)
    assert told["topics"]["rt/lowcmd"]["passed"] >= 1
    assert told["topics"]["rt/lowcmd"]["refused"] == 0
    assert told["topics"]["rt/sportmodestate"]["thinned"] > 0
    assert "rt/lowstate" in said
    assert "Traceback" not in said


def test_a_killed_bridge_leaves_a_stale_client_and_a_robot_in_damping_until_the_next_one(domain_id):
    where = free_endpoint()
    carrier = child(domain_id, where)
    try:
        config = Go2Config(connect_timeout_s=15.0).with_zenoh_router(where)
        with Robot(domain_id) as robot, Go2.connect(config) as go2:
            deadline = time.monotonic() + 10
            while not robot.counters.commands and time.monotonic() < deadline:
                go2.set_motor_positions(GO2.pose("stand"))
            carrier.kill()
            carrier.wait(10)
            assert wait_for(lambda: not go2.is_connected())
            assert "stale" in repr(go2)
            assert wait_for(lambda: robot.counters.damped > 0)
            carrier.communicate()
            carrier = child(domain_id, where)
            assert wait_for(go2.is_connected)  # the client has found the next one by itself
            before = robot.counters.commands
            go2.set_motor_positions(GO2.pose("stand"))
            assert wait_for(lambda: robot.counters.commands > before)
    finally:
        carrier.kill()
        carrier.communicate()


def test_commanders_on_dds_are_named_to_clients_on_zenoh(domain_id):
    code = (
        "import sys\nfrom rfx.go2 import LowCmd\nfrom rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain\n"
        f"domain = CycloneDomain({domain_id}, LOOPBACK)\n"
        "writer = domain.writer('rt/lowcmd', LowCmd)\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    where = free_endpoint()
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        with bridge_on(domain_id, listen=where):
            backend = ZenohBackend(where)
            assert wait_for(lambda: any(f"process {other.pid}" in name for name in backend.other_commanders()))
            backend.disconnect()
    finally:
        other.communicate("", timeout=120)


def test_a_bridge_tells_what_it_does_and_can_be_closed_twice(domain_id):
    where = free_endpoint()
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        Bridge(domain, make_routes("robot", STATES), listen=where) as bridge,
    ):
        with open_session(connect=where, mode="client") as session:
            [reply] = session.raw.get("@rfx/bridge/*/*/*/*/status", timeout=5.0)
            told = json.loads(reply.ok.payload.to_bytes())
        assert (told["side"], told["domain"], list(told["topics"])) == ("robot", domain_id, STATES)
        assert "0 of 1 topics" in repr(bridge)
        bridge.close()
        bridge.close()
        bridge.run(threading.Event())  # has nothing left to do


def test_a_bridge_needs_somewhere_to_go(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        with pytest.raises(ConfigError, match="listen or to connect"):
            Bridge(domain, make_routes("robot"))
        where = free_endpoint()
        with open_session(listen=where), pytest.raises(RfxConnectionError, match="listen"):
            Bridge(domain, make_routes("robot"), listen=where)
        with pytest.raises(RfxConnectionError, match="answer"):
            Bridge(domain, make_routes("robot"), connect=where, timeout_s=0.3)


def test_the_examples_of_its_page_run(capsys):
    run_guide("bridge.md")
    told = capsys.readouterr().out
    assert told.startswith("zenoh\n")
    assert "Route(rt/lowstate, DDS -> Zenoh" in told
    assert "rt/lowcmd" not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "somewhere"], "endpoints"),
        (["--rate", "rt/lowstate"], "TOPIC=HZ"),
        (["--rate", "rt/lowstate=fast"], "TOPIC=HZ"),
        (["--allow", "rt/weather"], "rt/weather"),
        (["--seconds", "0"], "--seconds"),
        ([], "listen or to connect"),
    ],
)
def test_options_that_mean_nothing_are_refused(words, said, domain_id, capsys):
    assert main(["bridge", "--domain", str(domain_id), "--interface", LOOPBACK, *words]) == 1
    assert said in capsys.readouterr().err


def test_a_bridge_that_is_closed_while_it_looks_for_others_carries_nothing(domain_id, monkeypatch):
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        Bridge(domain, make_routes("robot", STATES), listen=free_endpoint(), settle_s=0.0) as bridge,
    ):
        look = domain.writers

        def closes(topics):
            bridge.close()
            return look(topics)

        monkeypatch.setattr(domain, "writers", closes)
        bridge.run(threading.Event())
        assert not any(route.active for route in bridge.routes)


def test_a_bridge_that_has_run_carries_nothing_any_more(domain_id):
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        Bridge(domain, make_routes("robot", STATES), listen=free_endpoint(), settle_s=0.0) as bridge,
    ):
        stop = threading.Event()
        thread = threading.Thread(target=bridge.run, args=(stop,))
        thread.start()
        assert wait_for(lambda: bridge.routes[0].active)
        stop.set()
        thread.join(10)
        assert not bridge.routes[0].active
