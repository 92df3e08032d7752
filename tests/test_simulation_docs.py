"""docs/simulation.md: its examples run, and its table of gaits says what the gaits are."""

import re

import pytest
from guides import DOCS, run_guide

from rfx.sim.gaits import GAITS


def test_the_examples_of_the_page_run():
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    names = run_guide("simulation.md")
    assert names["picture"].shape == (360, 480, 3)
    assert names["state"].position[0] > 0.3  # two seconds of walking
    assert names["velocity"].shape == (3,)


def test_the_table_of_gaits_is_that_of_the_code():
    text = (DOCS / "simulation.md").read_text()
    for gait in GAITS:
        line = re.search(rf"^\| `{gait.name}` \| ([\d.]+) s, (\d+) % \| .* \| ([\d., ]+) \|$", text, re.MULTILINE)
        assert float(line[1]) == gait.period
        assert int(line[2]) == round(100 * gait.duty)
        assert [float(v) for v in line[3].split(",")] == [gait.vx[1], gait.vy[1], gait.vyaw[1]]
