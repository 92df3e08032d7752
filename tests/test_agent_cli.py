"""``rfx agent``: what it prints, what it writes, and its exit code."""

import io
import signal

import pytest

from rfx.cli import main
from rfx.skills import ScriptedServer, ServerTurn, ToolCall, Transcript

pytest.importorskip("openai")

REPORT = ToolCall("report_state", {})


@pytest.fixture
def rfx_agent(monkeypatch, tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def command(script, *words):
        with ScriptedServer(script) as server:
            monkeypatch.setenv("OPENAI_API_KEY", server.key)
            return main(["agent", "--model", "openai-chat:m", "--base-url", server.url, "--robot", "point", *words])

    yield command
    signal.signal(signal.SIGTERM, before)


def test_it_prints_what_happens_and_writes_the_transcript(rfx_agent, tmp_path, capsys):
    files = ["--transcript", str(tmp_path / "t.jsonl"), "--audit", str(tmp_path / "a.jsonl")]
    walk = ToolCall("walk", {"distance": 1.0})
    assert rfx_agent([["Let me see.", REPORT], walk, "It lies."], *files, "how is it?") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["> how is it?", "Let me see."]
    assert lines[2].startswith("  report_state: {'x': 0.0,")
    assert lines[3].startswith("  walk: failed:")
    assert lines[4] == "It lies."
    assert lines[5].startswith("done (3 turns, 2 calls, 0 + 0 tokens, ")
    assert Transcript.load(tmp_path / "t.jsonl").ended == "done"
    assert '"skill": "report_state"' in (tmp_path / "a.jsonl").read_text()


def test_lines_of_standard_input_are_one_conversation(rfx_agent, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("how is it?\n\nand now?\n"))
    assert rfx_agent([REPORT, "It lies.", "It still lies."]) == 0
    out = capsys.readouterr().out
    assert out.count("done (") == 2
    assert "It still lies." in out


def test_a_run_that_does_not_finish_is_an_error(rfx_agent, capsys):
    assert rfx_agent([ServerTurn(status=400)], "go") == 1
    assert "model: the model failed: BadRequestError" in capsys.readouterr().out


def test_a_wrong_model_is_told_in_one_line(capsys):
    assert main(["agent", "--model", "llama", "go"]) == 1
    assert capsys.readouterr().err.startswith("rfx: expected a model as anthropic:NAME")
