"""docs/flight_log.md: its examples run, block after block."""

from guides import python_blocks, run_guide


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(python_blocks("flight_log.md")) == 5
    run_guide("flight_log.md")
