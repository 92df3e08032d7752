"""``rfx doctor --robot``: what it finds at the other end of an interface, one line each, with the way out."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from simulated_robots import simulated
from waiting import wait_for

from rfx.cli import doctor_robot, main
from rfx.cli.demo import child_environment
from rfx.cli.doctor_robot import Heard, Interface
from rfx.errors import RfxTimeoutError
from rfx.go2 import Fault, Faults, LowState, topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.messages import SportModeState

ETH = Interface("eth0", True, True, False, True, "192.168.123.222")


def run(*words):
    """The exit code and the checks by name."""
    command = [sys.executable, "-m", "rfx", "doctor", "--robot", LOOPBACK, "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=child_environment())
    assert "Traceback" not in done.stderr
    return done.returncode, {c["name"]: c for c in json.loads(done.stdout)}


# -- against a robot


def test_a_healthy_robot_in_another_process_is_found_well(domain_id):
    command = [sys.executable, "-m", "rfx", "robot", "simulate", "--domain", str(domain_id), "--interface", LOOPBACK]
    robot = subprocess.Popen(
        [*command, "--plant", "joint", "--sport"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )
    try:
        robot.stdout.readline()
        code, checks = run("--domain", str(domain_id), "--patience", "15")
    finally:
        robot.send_signal(signal.SIGTERM)
        robot.communicate(timeout=20)
    failed = [c for c in checks.values() if c["status"] == "fail"]
    assert (code, failed) == (0, [])
    assert "checksums right" in checks["low state"]["detail"]
    assert checks["motion mode"]["detail"].startswith("normal:")
    assert checks["sport state"]["detail"].startswith("JOINT_LOCK")
    assert checks["battery"]["detail"].startswith("100 %, 28.8 V")
    assert "35 C" in checks["temperatures"]["detail"]
    assert checks["commanders"]["status"] == checks["motors"]["status"] == "ok"
    assert {"dds", "real time", "zenoh", "ticks", "age"} <= checks.keys()


def test_without_a_robot_it_fails_and_says_what_to_do(domain_id, capsys):
    words = ["doctor", "--robot", LOOPBACK, "--json", "--domain", str(domain_id), "--patience", "0.3"]
    assert main(words) == 1
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)}
    assert f"no rt/lowstate within 0.3 s in domain {domain_id} on {LOOPBACK}; nobody" in checks["low state"]["detail"]
    assert "--domain" in checks["low state"]["fix"]
    assert "battery" not in checks


def test_damaged_states_fail_and_a_commander_in_another_process_is_named(domain_id):
    code = (
        "import sys\nfrom rfx.go2 import LowCmd\nfrom rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain\n"
        f"domain = CycloneDomain({domain_id}, LOOPBACK)\n"
        "writer = domain.writer('rt/lowcmd', LowCmd)\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        with simulated(domain_id, faults=Faults([Fault("corrupt", 0.0, where="lowstate", share=0.3)])):
            found = {c.name: c for c in doctor_robot.check_robot(LOOPBACK, domain_id, 15.0)}
    finally:
        other.communicate("", timeout=20)
    assert found["commanders"].status == "warn"
    assert f"process {other.pid}" in found["commanders"].detail
    assert "take_low_level" in found["commanders"].fix
    assert found["motion mode"].detail.startswith("released")
    assert found["low state"].status == "fail"
    assert "refused" in found["low state"].detail


def test_a_robot_that_falls_silent_while_it_is_looked_at_fails(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer, reader = domain.writer(topics.LOW_STATE, LowState), domain.reader(topics.LOW_STATE, LowState, depth=64)
        assert wait_for(lambda: writer.matched and reader.matched)
        for tick in range(0, 20, 2):
            writer.write(LowState(tick=tick).to_cdr())
        heard = doctor_robot.listen(reader, 5.0, seconds=0.4)
    assert heard.ticks == list(range(0, 20, 2))
    assert doctor_robot.check_age(heard).status == "fail"
    assert doctor_robot.check_ticks(heard).status == "ok"


def test_an_interface_that_is_not_there_names_those_that_are(capsys):
    assert main(["doctor", "--robot", "eth77"]) == 1
    [line] = capsys.readouterr().out.strip().splitlines()
    assert "no eth77; this machine has" in line
    assert LOOPBACK in line.partition("->")[2]


@pytest.mark.parametrize("words", [("--domain", "231"), ("--patience", "0"), ("--patience", "nan")])
def test_options_out_of_range_are_refused(words, capsys):
    assert main(["doctor", "--robot", LOOPBACK, *words]) == 1
    assert words[0] in capsys.readouterr().err


# -- line by line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked about its interfaces")
def test_the_loopback_interface_is_known():
    found = doctor_robot.look(LOOPBACK)
    assert found == Interface(LOOPBACK, True, True, True, found.multicast, "127.0.0.1")
    assert doctor_robot.check_address(found).status == doctor_robot.check_multicast(found).status == "ok"


@pytest.mark.parametrize(
    ("check", "change", "status", "words"),
    [
        ("interface", {}, "ok", "eth0 is up"),
        ("interface", {"up": False}, "fail", "ip link set eth0 up"),
        ("interface", {"carrier": False}, "fail", "plug the cable in"),
        ("address", {}, "ok", "192.168.123.222"),
        ("address", {"address": ""}, "fail", "ip addr add 192.168.123.222/24 dev eth0"),
        ("address", {"address": "10.0.0.5"}, "warn", "192.168.123.0/24"),
        ("address", {"address": "192.168.123.161"}, "fail", "robot's own"),
        ("multicast", {"multicast": False}, "fail", "multicast on"),
    ],
)
def test_what_the_system_says_of_an_interface_becomes_a_line(check, change, status, words):
    found = getattr(doctor_robot, f"check_{check}")(ETH._replace(**change))
    assert found.status == status
    assert words in found.detail + found.fix


@pytest.mark.parametrize(("echo", "status"), [(True, "ok"), (False, "warn"), (OSError("no such device"), "fail")])
def test_multicast_is_tried_out(monkeypatch, echo, status):
    def answer(address):
        assert address == ETH.address
        if isinstance(echo, OSError):
            raise echo
        return echo

    monkeypatch.setattr(doctor_robot, "_echo", answer)
    assert doctor_robot.check_multicast(ETH).status == status


def test_what_is_sent_to_the_group_on_loopback_comes_back():
    assert doctor_robot._echo("127.0.0.1")


def states(ticks, period=0.002, newest=None):
    times = list(np.arange(len(ticks)) * period)
    return Heard(times, list(ticks), newest or LowState(), 0, "", times[-1] + period)


@pytest.mark.parametrize(
    ("ticks", "status", "words"),
    [
        (range(0, 1000, 2), "ok", "0 of 500 states missing"),
        ([*range(0, 400, 2), *range(500, 1000, 2)], "warn", "50 of 500 states missing"),
        ([*range(1000, 2000, 2), *range(0, 1000, 2)], "warn", "1 steps backwards"),
        ([8] * 100, "warn", "the tick stands at 8"),
        ([8], "warn", "the tick stands at 8"),
    ],
)
def test_missing_states_are_counted_by_the_robots_own_clock(ticks, status, words):
    found = doctor_robot.check_ticks(states(ticks))
    assert found.status == status
    assert words in found.detail


def test_rates_and_sources_of_states():
    def check(heard, sources=("robot (process 1 on go2)",)):
        return doctor_robot.check_states(heard, list(sources), "domain 0 on eth0", 3.0)

    assert check(states(range(0, 1000, 2))).status == "ok"
    assert "100 Hz" in check(states(range(0, 200, 2), period=0.01)).detail
    assert check(states(range(0, 200, 2), period=0.01)).status == "warn"
    assert "2 write it: a, b" in check(states(range(0, 1000, 2)), ("a", "b")).detail
    assert check(Heard([], [], None, 7, "checksum 1 where 2 is right", 3.0)).fix.startswith("another firmware")
    assert "announced by a" in check(Heard([], [], None, 0, "", 3.0), ("a",)).detail


def test_a_motion_mode_that_nobody_tells_is_a_warning():
    found = doctor_robot.check_mode(RfxTimeoutError("no answer"))
    assert (found.status, found.detail) == ("warn", "no answer")


@pytest.mark.parametrize(("percent", "status"), [(80, "ok"), (20, "warn"), (5, "fail")])
def test_the_battery(percent, status):
    low = LowState(power_v=28.0)
    low.bms_state.soc = percent
    found = doctor_robot.check_battery(low)
    assert (found.status, bool(found.fix)) == (status, status != "ok")


@pytest.mark.parametrize(("degrees", "status"), [(40, "ok"), (70, "warn"), (90, "fail")])
def test_the_hottest_motor_is_named(degrees, status):
    low = LowState()
    low.motor_state[5].temperature = degrees
    found = doctor_robot.check_temperatures(low)
    assert found.status == status
    assert f"FL_calf {degrees} C" in found.detail


def test_motors_that_are_off_or_lost_are_named():
    low = LowState()
    low.set_motors(mode=1)
    assert doctor_robot.check_motors(low).status == "ok"
    low.motor_state[4].lost = 17
    assert "FL_thigh 17" in doctor_robot.check_motors(low).detail
    low.motor_state[0].mode = 0
    assert "not enabled: FR_hip" in doctor_robot.check_motors(low).detail


def test_an_error_of_the_sport_mode_is_a_warning():
    assert doctor_robot.check_sport(None).status == "warn"
    assert doctor_robot.check_sport(SportModeState(mode=1)).detail.startswith("BALANCE_STAND")
    assert doctor_robot.check_sport(SportModeState(mode=7, error_code=1)).fix.startswith("recovery_stand")
