"""rfx.go2.guard: every end of a program leaves a damped robot, and the handlers of signals that were there before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from recording_link import command, damps
from sender_parts import robot_of
from waiting import wait_for

from rfx.cli.skills import interrupt
from rfx.go2 import guard

CHILD = """
import os, signal, sys, threading, time
from recording_link import QUICK, RecordingLink, command, damps
from rfx.go2 import Go2

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup had it ignored
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
link = RecordingLink(published=lambda cmd: os.write(out, b"d" if damps(cmd) else b"c"))
go2 = Go2(QUICK, link)
go2._keep(link.latest())
def start():
    sender = go2.start_sending(ramp_s=0.0)
    go2.send(command())
    while sender.state != "sending":
        time.sleep(0.01)
    print("sending", flush=True)
"""


ENDINGS = {
    "exit": ("start()", None, 0),
    "SIGTERM": ("start()\ntime.sleep(60)", signal.SIGTERM, -signal.SIGTERM),
    "SIGINT": ("start()\ntime.sleep(60)", signal.SIGINT, -signal.SIGINT),
    "chained": (
        "signal.signal(signal.SIGTERM, lambda *a: (print('mine'), os._exit(7)))\nstart()\ntime.sleep(60)",
        signal.SIGTERM,
        7,
    ),
    "single": ("go2.send(command())\nprint('sending', flush=True)\ntime.sleep(60)", signal.SIGHUP, -signal.SIGHUP),
    "main thread": (
        "start()\ndef rest():\n    while go2.sender.state != 'damping': time.sleep(0.01)\n    time.sleep(0.1); os._exit(5)\n"
        "threading.Thread(target=rest).start()",
        None,
        5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ENDINGS)
def test_every_end_of_the_program_leaves_a_damped_robot(tmp_path, how):
    code, number, expected = ENDINGS[how]
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdout.readline() == "sending\n"
    if number is not None:
        child.send_signal(number)
    out, err = child.communicate(timeout=120)
    assert child.returncode == expected, err
    log = (tmp_path / "log").read_text()
    assert "c" in log
    assert log.endswith("d")
    assert ("mine" in out) == (how == "chained")
    assert ("KeyboardInterrupt" in err) == (how == "SIGINT")


def test_signal_handlers_are_put_back_when_the_last_robot_is_let_go():
    def mine(number, frame):
        raise AssertionError

    before = {number: signal.getsignal(number) for number in guard.SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, mine)
    try:
        robots = [robot_of()[1] for _ in range(2)]
        for go2 in robots:
            go2.send(command())
            assert guard.watched(go2)
        assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nothing would end
        robots[0].disconnect()
        assert signal.getsignal(signal.SIGTERM) is not mine
        robots[1].disconnect()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        for number, there in before.items():
            signal.signal(number, there)


def test_a_handler_that_came_later_stays():
    before = signal.getsignal(signal.SIGTERM)

    def later(number, frame):
        raise AssertionError

    try:
        _, go2 = robot_of()
        go2.send(command())
        signal.signal(signal.SIGTERM, later)
        go2.disconnect()
        assert signal.getsignal(signal.SIGTERM) is later
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_handed_on_to_another_brakes_once():
    braked, owner = [], object()
    before = signal.signal(signal.SIGTERM, interrupt)  # as Ctrl+C, for which there is a handler, too
    try:
        guard.watch(owner, braked.append)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert braked == ["SIGTERM"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert braked == ["SIGTERM", "SIGINT"]
    finally:
        guard.release(owner)
        signal.signal(signal.SIGTERM, before)


def test_handlers_that_call_each_other_end():
    before, called = signal.getsignal(signal.SIGTERM), []
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: called.append("first"))
        link, go2 = robot_of()
        go2.send(command())
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: (called.append("later"), ours(number, frame)))
        _, other = robot_of()
        other.send(command())
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_for(lambda: called == ["later", "first"])
        assert damps(link.sent()[-1])
        go2.disconnect()
        other.disconnect()
    finally:
        signal.signal(signal.SIGTERM, before)
        guard._before.clear()
