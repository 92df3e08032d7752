"""The examples of docs/skills.md run, block after block, and say what they say there."""

from guides import comments_hold


def test_the_examples_run_and_their_comments_are_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert comments_hold("skills.md") >= 18
