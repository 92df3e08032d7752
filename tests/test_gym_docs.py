"""docs/envs.md: its examples run."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "envs.md"


def test_the_examples_of_the_guide_run():
    pytest.importorskip("gymnasium", minversion="1.1")
    names = {"__name__": "guide"}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert len(blocks) >= 4
    assert names["envs"].num_envs == 8
