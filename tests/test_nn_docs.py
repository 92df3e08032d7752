"""The examples of the documents about policies run, block after block, each document in a folder of its own."""

import pytest
import tinygrad_here  # noqa: F401
from guides import run_guide


@pytest.mark.parametrize("name", ["nn.md", "policy_files.md"])
def test_the_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_guide(name)
