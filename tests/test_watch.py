"""rfx.go2.watch and ``rfx robot watch``: the table, on a terminal and elsewhere."""

import io
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from rfx.cli import main
from rfx.cli.demo import child_environment
from rfx.cli.robot_watch import CLEAR_BELOW, ENTER, HOME, LEAVE, Screen
from rfx.go2 import topics
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.messages import LowState, SportModeState
from rfx.go2.watch import Watch


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr("rfx.go2.watch.time", made)
    return made


def row(watch, topic, **options):
    return next(line for line in watch.lines(**options) if line.startswith(topic)).split()


def test_rates_ages_and_wrong_messages_are_counted(clock):
    watch = Watch()
    for i in range(1000):
        clock.now = 100.0 + i / 500
        watch.heard(topics.LOW_STATE, 0, LowState(tick=2 * i).to_cdr())
    watch.heard(topics.LOW_STATE, 0, b"no state")
    clock.now += 0.01
    assert row(watch, topics.LOW_STATE, writers={topics.LOW_STATE: 1})[1:] == ["501.0", "10.0", "1001", "1", "1"]
    clock.now += 5.0
    assert row(watch, topics.LOW_STATE)[1:] == ["0.0", "5010.0", "1001", "1", "-", "late"]


def test_a_single_message_has_no_rate(clock):
    watch = Watch()
    watch.heard(topics.SPORT_MODE_STATE, 0, SportModeState().to_cdr())
    assert row(watch, topics.SPORT_MODE_STATE)[1] == "0.0"
    assert not watch.has_state


def test_a_wrong_checksum_shows_nothing_of_the_message():
    watch = Watch()
    data = bytearray(LowState(tick=5000).to_cdr())
    data[-1] ^= 1
    watch.heard(topics.LOW_STATE, 0, bytes(data))
    assert not watch.has_state
    assert watch.lines()[-1] == "no valid rt/lowstate yet"


def test_the_table_has_every_joint_with_its_numbers():
    watch = Watch()
    state = LowState(tick=5000)
    state.set_motors(q=[i / 10 for i in range(12)], dq=-1.5, tau_est=2.25, temperature=41)
    state.bms_state.soc = 77
    watch.heard(topics.LOW_STATE, 0, state.to_cdr())
    sport = SportModeState(position=(1.0, 2.0, 0.3), mode=3)
    watch.heard(topics.SPORT_MODE_STATE, 0, sport.to_cdr())
    lines = watch.lines()
    assert [line.split()[2:] for line in lines[-12:]] == [
        [f"{i / 10:.3f}", "-1.50", "2.25", "41", "0"] for i in range(12)
    ]
    assert any("tick 5.000 s" in line and "77 %" in line for line in lines)
    assert any("1.00     2.00     0.30" in line for line in lines)
    assert any("sport mode 3" in line for line in lines)


def test_a_terminal_is_drawn_in_place_and_left_as_it_was():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with Screen(stream) as screen:
        screen.show(["one"])
        screen.show(["two"])
    text = stream.getvalue()
    assert text.startswith(ENTER + HOME + "one")
    assert text.count(CLEAR_BELOW) == 2
    assert text.endswith(LEAVE)


def test_a_pipe_gets_no_escapes():
    stream = io.StringIO()
    with Screen(stream) as screen:
        screen.show(["one", "two"])
    assert stream.getvalue() == "one\ntwo\n\n"


@pytest.fixture
def robot(domain_id):
    """States at some hundred a second in a domain; its id."""
    stop = threading.Event()

    def publish():
        tick = 0
        while not stop.wait(0.005):
            writer.write(LowState(tick=tick).to_cdr())
            tick += 5

    with CycloneDomain(domain_id, LOOPBACK) as domain:
        writer = domain.writer(topics.LOW_STATE, LowState)
        thread = threading.Thread(target=publish)
        thread.start()
        yield domain_id
        stop.set()
        thread.join()


def watch_command(domain_id, *options):
    return [sys.executable, "-P", "-m", "rfx", "robot", "watch", "--domain", str(domain_id), *options]


def test_once_prints_one_table(robot):
    done = subprocess.run(
        watch_command(robot, "--once"), capture_output=True, text=True, env=child_environment(), timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("topic") == 1
    low = next(line for line in done.stdout.splitlines() if line.startswith(topics.LOW_STATE)).split()
    assert float(low[1]) > 10
    assert low[5] == "1"


def test_once_without_a_robot_says_so(domain_id, capsys):
    before = signal.getsignal(signal.SIGINT)
    assert main(["robot", "watch", "--domain", str(domain_id), "--once", "--seconds", "0.2"]) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert f"no valid state within 0.2 s in domain {domain_id}" in capsys.readouterr().err


def test_a_live_terminal_shows_the_table_and_is_given_back(robot):
    master, slave = pty.openpty()
    child = subprocess.Popen(watch_command(robot, "--seconds", "1.5"), stdout=slave, env=child_environment())
    os.close(slave)
    text = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(master)
    assert child.wait(30) == 0
    shown = text.decode()
    assert shown.count(HOME) >= 2
    assert "FR_hip" in shown
    assert shown.endswith(LEAVE)


def test_ctrl_c_ends_it(robot):
    child = subprocess.Popen(watch_command(robot), stdout=subprocess.PIPE, env=child_environment(), text=True)
    assert child.stdout.readline().startswith("topic")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 0
    child.stdout.close()
