"""Transcripts: what is kept, what is hidden, and what comes back from a file."""

import json
import math
import os
import threading

import pytest

from rfx.errors import CodecError
from rfx.skills import MockAgent, Reply, ToolCall, Transcript, Usage, skill


@skill(effects="reads")
def add(a: float, b: float) -> float:
    """Add."""
    return a + b


@pytest.fixture
def transcript():
    script = [
        Reply("Adding.", (ToolCall("add", {"a": 1, "b": 2}, "x"), ToolCall("add", "{", "y")), "calls", Usage(7, 2)),
        "It is 3 – three.",
    ]
    return MockAgent([add], script).run("add 1 and 2").transcript


def test_it_says_what_happened(transcript):
    assert [e.kind for e in transcript] == ["instruction", "reply", "result", "result", "reply", "stop", "end"]
    assert [e.turn for e in transcript] == [0, 1, 1, 1, 2, 2, 2]
    assert transcript.about["skills"] == ["add"]
    assert transcript.about["limits"]["max_turns"] == 20
    assert transcript.calls == [("add", {"a": 1, "b": 2}, True, ""), ("add", "{", False, "arguments")]
    assert transcript.entries[1].data["usage"] == {"input": 7, "output": 2}
    assert transcript.entries[2].data["call"] == 1
    assert all(a.time_ns <= b.time_ns for a, b in zip(transcript.entries, transcript.entries[1:], strict=False))
    assert repr(transcript) == "Transcript(2 replies, 2 calls, done)"
    assert len(transcript) == 7


def test_a_file_brings_it_back(transcript, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("older")
    transcript.save(path)
    assert Transcript.load(path) == transcript
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]
    assert Transcript.load(path) != Transcript()


def test_it_replays(transcript):
    again = MockAgent([add], transcript.replies()).run("add 1 and 2")
    assert again.transcript.outline() == transcript.outline()
    assert again.usage == Usage(7, 2)
    assert repr(transcript.model()) == "MockModel('replay of mock', asked 0 times)"


def test_keys_are_hidden_wherever_they_are():
    transcript = Transcript({"key": "hunter2"}, secrets=["hunter2", ""])
    data = {"text": "hunter2 and sk-ant-abcdefgh1234", "calls": [{"hunter2": ["Bearer abc.def-ghi123"]}]}
    entry = transcript.add("instruction", 0, data)
    assert entry.data == {"text": "[key] and [key]", "calls": [{"[key]": ["[key]"]}]}
    assert transcript.about == {"key": "[key]"}


def test_words_that_only_look_a_little_like_keys_stay():
    text = "a task-oriented desk-lamp, risk-averse; bearer of news; sk-8"
    assert Transcript().hidden(text) == text


def test_what_json_does_not_have_can_be_saved(tmp_path):
    transcript = Transcript({"lone": "\ud800", "breaks": "a\u2028b\x85c\x0bd\re\n"})
    transcript.add("instruction", 0, {"text": math.nan, "more": {1: object(), "deep": [[[]]]}})
    transcript.save(tmp_path / "odd.jsonl")
    assert Transcript.load(tmp_path / "odd.jsonl") == transcript
    assert transcript.entries[0].data["text"] == "NaN"


HEAD = {"format": "rfx-transcript", "version": 1, "about": {}}
ENTRY = {"kind": "end", "turn": 1, "time_ns": 5, "seconds": 0.5, "data": {"ended": "done"}}


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([], 1),
        ([{"format": "other"}], 1),
        ([{**HEAD, "version": 2}], 1),
        ([{**HEAD, "about": []}], 1),
        ([7], 1),
        ([HEAD, 7], 2),
        ([HEAD, ENTRY, {**ENTRY, "kind": "dance"}], 3),
        ([HEAD, {**ENTRY, "turn": "1"}], 2),
        ([HEAD, {**ENTRY, "more": 1}], 2),
        ([HEAD, {**ENTRY, "kind": "result"}], 2),
        ([HEAD, {**ENTRY, "kind": "reply", "data": {"text": "hi", "calls": [7], "stop": "end", "usage": {}}}], 2),
        ([HEAD, {**ENTRY, "kind": "reply", "data": {"text": "hi", "calls": [], "stop": "tired", "usage": {}}}], 2),
    ],
)
def test_a_file_that_is_no_transcript_is_refused_with_its_line(tmp_path, lines, number):
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CodecError, match=f"line {number}"):
        Transcript.load(path)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[" * 100_000, b"{"])
def test_bytes_that_are_no_transcript_are_refused(tmp_path, raw):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(raw)
    with pytest.raises(CodecError):
        Transcript.load(path)


def test_saving_twice_at_once_leaves_one_of_the_two_whole_and_nothing_beside_it(tmp_path, monkeypatch):
    path, go = tmp_path / "run.jsonl", threading.Barrier(2)
    real = os.replace

    def together(*words):
        go.wait(20)  # both have written
        real(*words)

    monkeypatch.setattr("rfx.skills.transcript.os.replace", together)
    made = [Transcript({"model": name * 5000}) for name in "ab"]
    threads = [threading.Thread(target=one.save, args=(path,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Transcript.load(path) in made
    assert os.listdir(tmp_path) == ["run.jsonl"]


def test_saving_that_is_interrupted_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rfx.skills.transcript.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Transcript().save(tmp_path / "run.jsonl")
    assert os.listdir(tmp_path) == []
