"""rfx.control.stats: what is reported, printed, drawn and pickled."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from rfx.control import ControlLoop, ControlLoopStats, ManualClock
from rfx.control.realtime import Right

ROOT = Path(__file__).parent.parent


@pytest.fixture
def stats():
    clock = ManualClock()
    works = [2, 14, 1, 36, 1]
    loop = ControlLoop(
        100, lambda i, dt: clock.advance_ns(works[i] * 1_000_000), name="walk", max_iterations=5, clock=clock
    )
    return loop.run()


def test_the_table_shows_counts_and_percentiles(stats):
    text = str(stats)
    assert "'walk' at 100 Hz, policy skip: 5 iterations, 2 overruns, 2 missed ticks" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[2:5]}
    assert rows["[us]"] == ["p50", "p90", "p99", "p99.9", "max", "mean"]
    assert float(rows["work"][4]) == 36000.0
    assert float(rows["work"][5]) == 10800.0
    assert text.endswith("real-time rights: none asked for")


def test_the_table_of_a_loop_that_never_ran_can_be_printed():
    assert "0 iterations" in str(ControlLoop(500, print).stats())


def test_as_dict_goes_through_json(stats):
    values = json.loads(json.dumps(stats.as_dict()))
    assert values["iterations"] == 5
    assert values["work"]["max_ns"] == 36_000_000
    assert values["max_iteration_time_ms"] == 36.0
    assert values["late_policy"] == "skip"


def test_pickle_keeps_everything(stats):
    again = pickle.loads(pickle.dumps(stats))
    assert again.as_dict() == stats.as_dict()
    assert again.lateness.state_dict() == stats.lateness.state_dict()


def test_statistics_do_not_change_while_the_loop_goes_on():
    pictures = []
    loop = ControlLoop(100, lambda i, dt: pictures.append(loop.stats()), max_iterations=3, clock=ManualClock())
    loop.run()
    assert [picture.iterations for picture in pictures] == [0, 1, 2]
    assert [picture.work.count for picture in pictures] == [0, 1, 2]


def test_rights_are_stated_plainly():
    right = Right("priority", "50", False, "Operation not permitted")
    stats = ControlLoopStats("walk", 500.0, rights=(right,))
    assert stats.rights_statement == "priority 50: not granted (Operation not permitted)"
    assert stats.as_dict()["rights"] == [
        {"name": "priority", "asked": "50", "granted": False, "detail": "Operation not permitted"}
    ]


def test_plot_draws_both_histograms_and_saves_a_picture(stats, tmp_path):
    pytest.importorskip("matplotlib")
    figure = stats.plot(tmp_path / "loop.png")
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["lateness", "work"]
    assert max(lines[1].get_ydata()) == 5
    assert (tmp_path / "loop.png").read_bytes().startswith(b"\x89PNG")


def test_the_room_loads_without_matplotlib():
    code = "import sys; from rfx.control import *; print('matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out == "False\n"
