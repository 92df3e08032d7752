"""``rfx demo`` as a user runs it: two processes, real DDS on loopback."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from waiting import wait_for

from rfx.cli.demo import child_environment, robot_command
from rfx.cli.demo_run import spread
from rfx.control import Histogram

SHORT = ["--seconds", "5", "--no-pictures", "--json"]


def demo_command(out, *options):
    return [sys.executable, "-P", "-m", "rfx", "demo", "--out", str(out), *SHORT, *options]


def run_demo(out, *options, timeout=120):
    return subprocess.run(
        demo_command(out, *options), capture_output=True, text=True, timeout=timeout, env=child_environment()
    )


def summary_of(result, code=0):
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    result = run_demo(out)
    return out, result, summary_of(result)


def test_the_robot_stands_and_never_falls(finished):
    _, _, summary = finished
    assert summary["verdict"]["passed"]
    assert summary["verdict"]["stood"]
    assert not summary["verdict"]["fell"]


def test_every_tick_of_the_plan_is_answered(finished):
    _, _, summary = finished
    assert summary["ticks"] == 2500
    assert summary["missed_ticks"] == 0


def test_the_envelope_finds_nothing_to_do(finished):
    _, _, summary = finished
    assert summary["safety"] == {}


def test_the_report_is_written(finished):
    out, _, summary = finished
    assert json.loads((out / "summary.json").read_text()) == summary
    assert "<html" in (out / "report.html").read_text()
    assert (out / "plots.png").stat().st_size > 10_000


def test_the_doctor_speaks_on_stderr_before_anything_else(finished):
    _, result, _ = finished
    assert "rfx" in result.stderr.splitlines()[0]
    assert "cyclonedds" in result.stderr


def test_lockstep_gives_the_same_trajectory_again(finished, tmp_path):
    _, _, summary = finished
    again = summary_of(run_demo(tmp_path))
    assert again["robot"]["reasons"] == summary["robot"]["reasons"] == ["the commander is gone"]
    assert again["trajectory_sha256"] == summary["trajectory_sha256"]


def test_a_push_too_strong_gives_a_fall_and_exit_code_1(tmp_path):
    summary = summary_of(run_demo(tmp_path, "--push", "900"), 1)
    assert summary["verdict"]["fell"]
    assert summary["safety"]["tilt"] or summary["safety"]["overspeed"]


def test_the_stand_in_serves_without_mujoco_and_says_so(tmp_path):
    summary = summary_of(run_demo(tmp_path, "--plant", "joint"))
    assert "fixed base" in summary["plant"]


def test_real_time_runs_to_its_end(tmp_path):
    result = run_demo(tmp_path, "--realtime")
    assert result.stdout, result.stderr  # a robot that falls, where the machine stalls, is a result, too
    summary = json.loads(result.stdout)
    assert summary["mode"] == "real time"
    assert summary["seconds"] == pytest.approx(5.0, abs=0.1)  # of the robot's time, however the machine stalls
    assert summary["ticks"] > 500


def test_bad_options_give_one_line_and_no_traceback(tmp_path):
    result = run_demo(tmp_path, "--push", "nan")
    assert result.returncode != 0
    assert "push" in result.stderr
    assert "Traceback" not in result.stderr


def robot_pid(out):
    log = out / "robot.pid"
    return int(log.read_text()) if log.exists() and log.read_text() else 0


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["kill", "term", "int"])
def test_a_killed_demo_leaves_a_damped_robot_that_ends(tmp_path, how):
    demo = subprocess.Popen(
        demo_command(tmp_path, "--seconds", "60"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )
    log = tmp_path / "robot.log"
    assert wait_for(lambda: log.exists() and "first command" in log.read_text())
    pid = robot_pid(tmp_path)
    assert alive(pid)
    demo.send_signal(how)
    demo.wait(timeout=20)
    assert demo.returncode != 0
    assert wait_for(lambda: not alive(pid))
    assert "damping" in log.read_text()


def test_a_killed_robot_ends_the_demo_with_a_clear_error(tmp_path):
    demo = subprocess.Popen(
        demo_command(tmp_path, "--seconds", "60"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    log = tmp_path / "robot.log"
    assert wait_for(lambda: log.exists() and "first command" in log.read_text())
    os.kill(robot_pid(tmp_path), signal.SIGKILL)
    _, text = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "robot process is gone" in text
    assert "signal 9" in text


def test_a_histogram_is_spread_out_to_its_values():
    histogram = Histogram()
    values = np.random.default_rng(0).integers(1000, 10**7, 500)
    for value in values:
        histogram.record(int(value))
    got = spread(histogram)
    np.testing.assert_allclose(got, np.sort(values), rtol=1 / 64)
    assert got[-1] == values.max()
    assert len(spread(Histogram())) == 0


def test_robot_command_spells_options():
    words = robot_command(domain=7, lockstep=True, tied=False, push=["1:2:3,4,5"], seconds=None)
    assert words[-5:] == ["--domain", "7", "--lockstep", "--push", "1:2:3,4,5"]
