"""Signals at awkward moments, and ends that wait for nobody."""

import json
import signal
import subprocess
import sys

import pytest

from rfx.cli.demo import child_environment, robot_command
from rfx.cli.robot_log import stop_on_signals


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_of_a_wait_for_the_event_that_it_sets_does_not_hang(number):
    code = f"""
import signal
from rfx.cli.robot_log import stop_on_signals
with stop_on_signals() as stop:
    with stop._cond:  # as in the middle of Event.wait
        signal.raise_signal(signal.{number})
    assert stop.wait(20)
print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=40, env=child_environment()
    )
    assert (done.stdout, done.returncode) == ("ended\n", 0)


def test_a_second_ctrl_c_ends_what_does_not_end_by_itself():
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.wait(20)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_robot_that_ends_before_its_parent_ends_in_good_order(domain_id):
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
    words = robot_command(domain=domain_id, plant="joint", seconds=0.1, tied=True)
    child = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment(), text=True
    )
    try:  # its standard input stays open
        lines = child.stdout.read().splitlines()
        said = child.stderr.read()
        assert child.wait(60) == 0, said
        assert json.loads(lines[-1])["mode"] == "waiting"
        assert "Fatal" not in said
    finally:
        child.kill()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()
