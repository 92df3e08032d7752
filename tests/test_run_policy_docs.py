"""docs/run_policy.md and the docstrings beside it: their examples run."""

import pytest
from guides import docstrings_hold, python_blocks, run_guide


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(python_blocks("run_policy.md")) == 3
    names = run_guide("run_policy.md")
    assert names["run"].ok
    assert names["run"].policy_steps == 20


@pytest.mark.parametrize("name", ["link", "low_frame", "command_source"])
def test_the_docstrings_hold(name):
    docstrings_hold(f"rfx.go2.{name}")
