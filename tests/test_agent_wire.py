"""The loop over the real client packages and a server on this machine, which checks every request."""

import pytest
from agent_wire_parts import Gait, Point, Robot

from rfx.skills import (
    Agent,
    AgentConfig,
    MockAgent,
    Reply,
    ScriptedServer,
    ServerTurn,
    ToolCall,
    Transcript,
    Usage,
    model_for,
)

pytest.importorskip("anthropic")
pytest.importorskip("openai")

KEY = "a-key-for-tests"
MODELS = ["anthropic:claude-x", "openai:gpt-5-x", "openai-chat:gpt-x"]


@pytest.fixture(scope="module", params=MODELS)
def clients(request):
    """The name of a model, and what makes a client for a server: clients are slow to make, so they are shared."""
    made = model_for(request.param, api_key=KEY, base_url="http://127.0.0.1:1")

    def connect(server, **options):
        return type(made)(made.model, client=made.client.with_options(base_url=server.url, **options))

    return connect


SCENARIO = [
    Reply(
        "First some steps.",
        (ToolCall("walk", {"metres": 1.0}), ToolCall("walk", {"metres": 9.0})),
        "calls",
        Usage(9, 3),
    ),
    [ToolCall("wolk", {}), ToolCall("label", {"names": {"a": "b"}})],
    [ToolCall("go_to", {"points": [{"x": 1.0, "y": 2.0}, {"x": 0.5, "y": 0.0}], "speed": 0.5})],
    [ToolCall("walk", '{"metres": 1.0', "broken-1")],
    ToolCall("walk", {"metres": 0.5, "gait": "walk"}),
    Reply("All done.", (), "end", Usage(20, 5)),
]
DONE = [
    ("walk", 1.0, Gait.TROT),
    ("go_to", [Point(1.0, 2.0), Point(0.5, 0.0)], 0.5),
    ("walk", 0.5, Gait.WALK),
    "halt",
]


def test_one_scenario_gives_the_same_calls_and_the_same_transcript_everywhere(clients):
    robot, twin = Robot(), Robot()
    with ScriptedServer(SCENARIO) as server:
        result = Agent(clients(server), robot=robot).run("walk about")
        assert server.left == 0
    assert result.ok, result.error
    assert (result.text, result.turns, result.calls, result.usage) == ("All done.", 6, 7, Usage(29, 8))
    assert robot.seen == DONE
    mocked = MockAgent(robot=twin, replies=SCENARIO).run("walk about")
    assert twin.seen == DONE
    assert result.transcript.outline() == mocked.transcript.outline()
    assert [kind for *_, kind in result.transcript.calls] == ["", "arguments", "unknown skill", "", "", "arguments", ""]


def test_a_transcript_replays_without_the_api(clients, tmp_path):
    with ScriptedServer(SCENARIO) as server:
        result = Agent(clients(server), robot=Robot()).run("walk about")
    result.transcript.save(tmp_path / "run.jsonl")
    again = Robot()
    replayed = Agent(Transcript.load(tmp_path / "run.jsonl").model(), robot=again).run("walk about")
    assert again.seen == DONE
    assert replayed.transcript.outline() == result.transcript.outline()


def test_a_second_run_goes_on_with_the_conversation(clients):
    with ScriptedServer([ToolCall("walk", {"metres": 1.0}), "Walked.", "One metre."]) as server:
        agent = Agent(clients(server), robot=Robot())
        assert agent.run("how far was it?", after=agent.run("walk")).text == "One metre."


def test_repeated_and_strange_ids_are_exchanged_before_they_are_sent_back(clients):
    calls = [ToolCall("walk", {"metres": 1.0}, given) for given in ("a", "a", "b c", "x" * 80)]
    robot = Robot()
    with ScriptedServer([calls, "Done."]) as server:
        assert Agent(clients(server), robot=robot).run("go").ok
    assert len(robot.seen) == 4  # three of them, and the stop


def test_names_that_no_skill_can_have_are_answered(clients):
    calls = [ToolCall("fly to the moon!", {}), ToolCall("x" * 200, {})]
    with ScriptedServer([calls, "Done."]) as server:
        result = Agent(clients(server), robot=Robot()).run("go")
    assert result.ok, result.error
    assert [kind for *_, kind in result.transcript.calls] == ["unknown skill", "unknown skill"]


@pytest.mark.parametrize("arguments", ["", "[1, 2]", "{", '{"metres": NaN}'])
def test_arguments_that_are_no_object_are_answered(clients, arguments):
    robot = Robot()
    with ScriptedServer([ToolCall("walk", arguments), "Done."]) as server:
        result = Agent(clients(server), robot=robot).run("go")
    assert result.ok, result.error
    assert [kind for *_, kind in result.transcript.calls] == ["arguments"]
    assert robot.seen == ["halt"]


@pytest.mark.parametrize("stop", ["length", "refusal"])
def test_replies_that_end_early_are_told_apart(clients, stop):
    with ScriptedServer([Reply("Once upon", (), stop)]) as server:
        result = Agent(clients(server), robot=Robot()).run("go")
    assert (result.ended, result.text) == (stop, "Once upon")


def test_a_reply_cut_off_in_a_call_is_answered_and_the_run_goes_on(clients):
    cut = Reply("", (ToolCall("walk", {"metres": 1.0}),), "length")
    robot = Robot()
    with ScriptedServer([cut, "Too long for me."]) as server:
        result = Agent(clients(server), robot=robot).run("go")
    assert result.ok, result.error
    assert result.transcript.calls[0][3] == "truncated"
    assert robot.seen == ["halt"]


def test_clients_try_again_after_429_and_500(clients):
    turns = [ServerTurn(status=429), ServerTurn(status=500), ServerTurn("Hello.")]
    with ScriptedServer(turns) as server:
        result = Agent(clients(server, max_retries=2), robot=Robot()).run("go")
        assert len(server.requests) == 3
    assert (result.ok, result.turns) == (True, 1)


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        (ServerTurn(status=429), "RateLimitError"),
        (ServerTurn(status=500), "InternalServerError"),
        (ServerTurn(body=b"<html>gone</html>", headers={"content-type": "text/html"}), "expected an answer of the API"),
        (ServerTurn(body=b"{]"), "Error"),
        (ServerTurn(body=b"[]"), "Error"),
        (ServerTurn(body=b'{"content": 7, "choices": [7], "output": {}}'), "expected"),
        (ServerTurn(body=b"{}"), "expected"),
        (ServerTurn("Hello.", cut=True), "APIConnectionError"),
    ],
)
def test_what_a_server_does_wrong_ends_the_run_and_stops_the_robot(clients, turn, error):
    robot = Robot()
    with ScriptedServer([turn]) as server:
        result = Agent(clients(server, max_retries=0), robot=robot).run("go")
    assert result.ended == "model"
    assert error in result.error
    assert robot.seen == ["halt"]


def test_a_slow_server_does_not_hold_the_run(clients):
    config = AgentConfig(max_seconds=0.2)
    with ScriptedServer([ServerTurn("Too late.", delay=30.0)]) as server:
        result = Agent(clients(server, max_retries=0), robot=Robot(), config=config).run("go")
    assert result.ended in ("time", "model")  # the client has the same limit, and either may be first
    assert not result.ok


def test_the_key_is_nowhere_in_a_transcript(clients, tmp_path):
    leak = ServerTurn(status=400, body=f'{{"error": {{"message": "bad key {KEY}", "type": "x"}}}}'.encode())
    with ScriptedServer([leak]) as server:
        agent = Agent(clients(server), robot=Robot())
        result = agent.run(f"my key is {KEY}")
    result.transcript.save(tmp_path / "run.jsonl")
    assert "bad key [key]" in result.error
    assert KEY not in (tmp_path / "run.jsonl").read_text()
    assert KEY not in repr(agent) + repr(agent.model) + repr(result.transcript)


def test_no_skill_is_offered_that_the_api_would_refuse(clients):
    """The server checks strict schemas by rules of its own; here the tools come in as they are sent."""
    with ScriptedServer(["Hello."]) as server:
        Agent(clients(server), robot=Robot()).run("go")
        tools = server.requests[0][1]["tools"]
    strict = [t.get("function", t).get("strict", False) for t in tools]
    named = {t.get("function", t)["name"]: s for t, s in zip(tools, strict, strict=True)}
    assert set(named) == {"walk", "go_to", "label", "halt"}
    assert not named["label"]
