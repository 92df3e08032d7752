"""The examples of the documents about policies run, block after block, each document in a folder of its own."""

import re
from pathlib import Path

import pytest
import tinygrad_here  # noqa: F401

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["nn.md", "policy_files.md"])
def test_the_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    scope = {"__name__": "docs_of_policies"}
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
