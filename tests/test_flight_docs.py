"""docs/flight_log.md: its examples run, block after block."""

import re
from pathlib import Path

GUIDE = Path(__file__).parent.parent / "docs" / "flight_log.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    scope = {"__name__": "docs_of_the_flight_log"}
    for block in blocks:
        exec(compile(block, GUIDE.name, "exec"), scope)
