"""`rfx robot simulate --view`: what is kept while the robot runs, and the pictures and plots that are made of it."""

import io
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rfx.cli import main, robot_view
from rfx.cli.joint_plots import joint_bytes, limits_of, thin
from rfx.cli.path_plots import footsteps, path_bytes
from rfx.cli.robot_view import frame_rows, summarise, write_view
from rfx.cli.tape import Motion, Tape
from rfx.errors import ConfigError, InvalidValueError
from rfx.robots.go2 import GO2
from rfx.sim import make_plant
from rfx.sim.gait import feet_of

STAND = GO2.pose("stand")
FILES = {"robot.png", "robot.gif", "path.png", "body.png", "joints.png", "summary.json", "report.html"}


def state_at(step, **changes):
    values = {
        "time": 0.002 * step,
        "position": np.array([0.01 * step, 0.0, 0.3]),
        "quaternion": np.array([1.0, 0.0, 0.0, 0.0]),
        "velocity": np.array([5.0, 0.0, 0.0]),
        "q": STAND.copy(),
        "dq": np.zeros(12),
        "tau_est": np.full(12, float(step)),
        "foot_force": np.zeros(4),
    }
    return SimpleNamespace(**{**values, **changes})


def walk(n=200):
    """A motion that goes one metre ahead and turns by a quarter; the front right foot comes down twice."""
    share = np.linspace(0, 1, n)
    force = np.full((n, 4), 40.0)
    force[n // 4 : n // 2, 0] = force[3 * n // 4 : 7 * n // 8, 0] = 0.0
    half = share * math.pi / 4
    return Motion(
        2.0 * share,
        np.stack([share, 0.0 * share, 0.0 * share + 0.3], axis=1),
        np.stack([np.cos(half), 0.0 * half, 0.0 * half, np.sin(half)], axis=1),
        np.tile([0.5, 0.0, 0.0], (n, 1)),
        np.tile(STAND, (n, 1)),
        np.zeros((n, 12)),
        np.full((n, 12), 3.0),
        force,
        [("stand", 0.0, 0.5), ("walk", 0.5, 2.0)],
    )


# -- the tape


def test_a_tape_keeps_one_state_of_five_as_it_was():
    tape = Tape()
    for step in range(23):
        tape.take(state_at(step), "stand")
    motion = tape.motion()
    np.testing.assert_allclose(motion.time_s, 0.01 * np.arange(5))
    np.testing.assert_allclose(motion.position[:, 0], 0.05 * np.arange(5))
    np.testing.assert_array_equal(motion.tau[:, 7], [0, 5, 10, 15, 20])
    np.testing.assert_array_equal(motion.q[3], STAND)
    assert [len(part) for part in motion[:8]] == [5] * 8


def test_a_long_run_costs_detail_and_not_memory():
    tape = Tape(every=1, most=64)
    for step in range(10_000):
        tape.take(state_at(step), "walk")
        assert len(tape) <= 64
    time_s = tape.motion().time_s
    assert time_s[0] == 0.0
    assert time_s[-1] > 0.95 * 0.002 * 10_000
    assert np.ptp(np.diff(time_s)) < 1e-9  # evenly spread to the end


def test_a_tape_keeps_when_the_mode_changed():
    tape = Tape()
    for step in range(30):
        tape.take(state_at(step), "idle" if step < 12 else "walk")
    assert tape.motion().modes == [("idle", 0.0, 0.024), ("walk", 0.024, pytest.approx(0.05))]


def test_an_empty_tape_is_an_empty_motion():
    motion = Tape().motion()
    assert len(motion.time_s) == 0
    assert motion.modes == []
    assert frame_rows(motion)[0].size == 0
    assert summarise(motion)["seconds"] == 0


@pytest.mark.parametrize("bad", [{"every": 0}, {"most": 1}])
def test_a_tape_that_keeps_nothing_is_refused(bad):
    with pytest.raises(InvalidValueError):
        Tape(**bad)


# -- the plots


def test_a_thinned_line_keeps_its_peaks():
    time_s = np.arange(10_000) * 0.01
    values = np.sin(time_s)
    values[[1234, 8765]] = 9.0, -7.0
    t, v = thin(time_s, values, 500)
    assert len(t) <= 500
    assert (v.max(), v.min()) == (9.0, -7.0)
    assert (np.diff(t) >= 0).all()
    np.testing.assert_array_equal(v, values[np.searchsorted(time_s, t)])


def test_a_short_line_is_left_as_it_is():
    time_s, values = np.arange(5.0), np.arange(5.0) ** 2
    assert thin(time_s, values)[1] is values


def test_footsteps_are_where_the_feet_came_down():
    motion = walk()
    steps = footsteps(motion)
    assert [leg for leg, _, _ in steps] == [0, 0]
    row = len(motion.time_s) // 2
    angle = motion.heading_rad[row]
    x, y, _ = feet_of(STAND)[0]
    there = motion.position[row, 0] + x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    assert steps[0][1:] == pytest.approx(there, abs=1e-9)


def test_limits_are_those_of_the_robot():
    by_name = {joint.name: limits_of(joint) for joint in GO2.joints}
    assert by_name["FR_thigh"][0] == (-1.5708, 3.4907)
    assert by_name["RL_thigh"][0] == (-0.5236, 4.5379)
    assert by_name["FL_calf"][1:] == [(-15.7, 15.7), (-45.43, 45.43)]


def test_a_run_without_a_single_sample_can_be_plotted():
    pytest.importorskip("matplotlib")
    motion = Tape().motion()
    assert path_bytes(motion)[1:4] == b"PNG"
    assert joint_bytes(motion.time_s, motion.q, motion.dq, motion.tau, [])[1:4] == b"PNG"


# -- the report


def test_summary_has_the_way_and_the_turn():
    summary = summarise(walk())
    assert summary["walked_m"] == pytest.approx(1.0)
    assert summary["turned_rad"] == pytest.approx(math.pi / 2, abs=1e-3)
    assert summary["end_position_m"] == [1.0, 0.0, 0.3]
    assert summary["peak_torque_nm"] == 3.0
    assert not summary["fell"]


def test_short_runs_are_shown_as_fast_as_they_were_and_long_ones_faster():
    rows, faster = frame_rows(walk())
    assert (len(rows), faster) == (16, 1.0)
    assert (rows[0], rows[-1]) == (0, 199)
    long = walk()._replace(time_s=np.linspace(0, 60.0, 200))
    rows, faster = frame_rows(long)
    assert len(rows) == robot_view.FRAMES
    assert faster == pytest.approx(60.0 / (robot_view.FRAMES / robot_view.RATE))


@pytest.fixture
def quick(monkeypatch):
    """Few frames, so that a test does not draw for long."""
    monkeypatch.setattr(robot_view, "FRAMES", 3)
    monkeypatch.setattr(robot_view, "WIDE", 80)
    monkeypatch.setattr(robot_view, "HIGH", 60)


def test_all_files_are_written_and_the_page_holds_every_picture(tmp_path, quick):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    written = write_view(walk(), {"description": "<a plant>"}, tmp_path / "out")
    assert {p.name for p in written} == FILES
    text = (tmp_path / "out" / "report.html").read_text()
    assert text.count("<figure>") == 5
    assert "&lt;a plant&gt;" in text
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["walked_m"] == pytest.approx(1.0)
    moving = image.open(io.BytesIO((tmp_path / "out" / "robot.gif").read_bytes()))
    assert moving.n_frames == 3
    first = np.asarray(moving.convert("RGB")).astype(int)
    moving.seek(2)
    assert np.abs(np.asarray(moving.convert("RGB")).astype(int) - first).max() > 40  # it has moved
    assert image.open(tmp_path / "out" / "robot.png").size == (3 * 80 + 2 * 6, 60)


def test_without_plotting_libraries_the_strip_is_still_there_and_the_page_says_so(tmp_path, quick, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    written = write_view(walk(), {}, tmp_path)
    assert {p.name for p in written} == {"robot.png", "summary.json", "report.html"}
    text = (tmp_path / "report.html").read_text()
    assert text.count("is left out") == 4
    assert "rfx[demo]" in text


def test_a_file_in_the_place_of_the_folder_is_refused_before_the_run(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="it is a file"):
        write_view(walk(), {}, tmp_path / "out")
    assert main(["robot", "simulate", "--view", "--out", str(tmp_path / "out")]) == 1
    assert "it is a file" in capsys.readouterr().err


def test_a_folder_without_a_view_is_refused(tmp_path, capsys):
    assert main(["robot", "simulate", "--out", str(tmp_path)]) == 1
    assert "--view" in capsys.readouterr().err


def test_a_simulated_robot_shows_itself(tmp_path, domain_id, quick, capsys):
    pytest.importorskip("matplotlib")
    options = ["--plant", "joint", "--domain", str(domain_id), "--seconds", "0.5", "--sport"]
    assert main(["robot", "simulate", *options, "--view", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["seconds"] == pytest.approx(0.49, abs=0.011)
    assert summary["modes"][0][0] == "joint lock"
    assert summary["robot"]["steps"] == 250
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_what_is_watched_is_the_true_state(domain_id):
    from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
    from rfx.go2.faults import Fault, Faults
    from rfx.go2.simulated import SimulatedGo2

    seen, plant = [], make_plant("joint")
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        faults = Faults([Fault("encoder", 0.0, where="FR")])
        SimulatedGo2(plant, domain, faults=faults, watch=seen.append).run(0.02)
    assert [state.steps for state in seen] == list(range(1, 11))
    assert seen[-1] == plant.state
