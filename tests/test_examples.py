"""Every example runs to its end."""

import subprocess
import sys
from pathlib import Path

import pytest

from rfx.cli.demo import child_environment

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path, tmp_path):
    result = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=child_environment()
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert len(path.read_text().splitlines()) < 80
    if "dqn" in path.stem:  # it has learned: chance lasts some 20 steps
        assert float(result.stdout.split()[-2]) > 60
    if "run_policy" in path.stem:  # it has walked
        assert float(result.stdout.split()[-3]) > 0.5
