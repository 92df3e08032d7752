"""The loop over the real client packages and a server on this machine, which checks every request."""

import enum
import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, MissingDependencyError
from rfx.skills import (
    Agent,
    AgentConfig,
    Answers,
    AnthropicModel,
    Bound,
    Instruction,
    MockAgent,
    OpenAIChatModel,
    OpenAIResponsesModel,
    Reply,
    Request,
    ScriptedServer,
    ServerTurn,
    SkillRegistry,
    SkillResult,
    ToolCall,
    Transcript,
    Usage,
    model_for,
    scripted,
    skill,
)
from rfx.skills.messages import STOPS
from rfx.skills.scripted_rules import check_anthropic, check_chat, check_responses

pytest.importorskip("anthropic")
pytest.importorskip("openai")

KEY = "a-key-for-tests"
MODELS = ["anthropic:claude-x", "openai:gpt-5-x", "openai-chat:gpt-x"]


class Gait(enum.Enum):
    TROT = "trot"
    WALK = "walk"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Robot:
    def __init__(self):
        self.seen: list[Any] = []

    @skill
    def walk(self, metres: Annotated[float, Bound(ge=-2, le=2, unit="m")], gait: Gait = Gait.TROT) -> str:
        """Walk straight on."""
        self.seen.append(("walk", metres, gait))
        return f"walked {metres:g} m"

    @skill
    def go_to(self, points: list[Point], speed: float | None = None) -> int:
        """Visit points."""
        self.seen.append(("go_to", points, speed))
        return len(points)

    @skill(effects="reads")
    def label(self, names: dict[str, str]) -> None:
        """Name things: free keys, which strict mode cannot say."""

    @skill(effects="stops")
    def halt(self) -> None:
        """Stop at once."""
        self.seen.append("halt")


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


def request_of(*messages):
    return Request("Be careful.", messages, SkillRegistry([Robot().walk]), 100, 5.0)


class Recorder:
    """Stands for a client, and gives what it was told to."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.messages = self.responses = self.completions = self.chat = self

    def create(self, **body):
        self.asked.append(body)
        return self.answer


def test_thinking_goes_back_as_it_came():
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "abc"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": " "},
        {"type": "tool_use", "id": "t1", "name": "walk", "input": {"metres": 1}},
    ]
    client = Recorder({"content": blocks, "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4}})
    model = AnthropicModel("claude-x", client=client, options={"temperature": 0.5, "system": None})
    reply = model.reply(request_of(Instruction("go")))
    assert (reply.calls, reply.usage) == ((ToolCall("walk", {"metres": 1}, "t1"),), Usage(3, 4))
    model.reply(request_of(Instruction("go"), reply))
    assert client.asked[1]["messages"][1]["content"] == [*blocks[:2], blocks[3]]
    assert client.asked[1]["temperature"] == 0.5
    assert "system" not in client.asked[1]
    assert client.asked[1]["timeout"] == 5.0


def test_reasoning_goes_back_with_its_encrypted_content_only():
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "walk",
            "arguments": '{"metres":1,"gait":null}',
        },
    ]
    client = Recorder({"status": "completed", "output": items})
    model = OpenAIResponsesModel("gpt-5.5", client=client)
    reply = model.reply(request_of(Instruction("go")))
    assert reply.calls == (ToolCall("walk", {"metres": 1}, "c1"),)
    model.reply(request_of(Instruction("go"), reply))
    sent = client.asked[1]
    call = {"type": "function_call", "call_id": "c1", "name": "walk", "arguments": '{"metres":1,"gait":null}'}
    assert sent["input"][1:] == [items[0], items[2], call]
    assert (sent["store"], sent["include"]) == (False, ["reasoning.encrypted_content"])
    OpenAIResponsesModel("gpt-4.1", client=client).reply(request_of(Instruction("go")))
    assert "include" not in client.asked[2]


def test_what_a_server_adds_to_a_call_goes_back():
    block = {"id": "c1", "type": "function", "index": 0, "function": {"name": "walk", "arguments": '{"metres": 1}'}}
    client = Recorder({"choices": [{"message": {"tool_calls": [{**block, "extra_content": {"signature": "abc"}}]}}]})
    model = OpenAIChatModel("x", client=client)
    model.reply(request_of(Instruction("go"), model.reply(request_of(Instruction("go")))))
    assert client.asked[1]["messages"][2]["tool_calls"] == [{**block, "extra_content": {"signature": "abc"}}]


def test_a_conversation_can_go_on_with_another_api():
    reply = Reply("Hm.", (ToolCall("walk", {"metres": 1.0}, "t1"),), "calls", raw=("elsewhere", [{"type": "odd"}]))
    request = request_of(Instruction("go"), reply)
    call = {"id": "t1", "name": "walk", "input": {"metres": 1.0}}
    blocks = [{"type": "text", "text": "Hm."}, {"type": "tool_use", **call}]
    client = Recorder(None)
    assert AnthropicModel("x", client=client).write(request)["messages"][1]["content"] == blocks
    chat = OpenAIChatModel("x", client=client).write(request)["messages"][2]
    assert chat["content"] == "Hm."
    assert json.loads(chat["tool_calls"][0]["function"]["arguments"]) == {"metres": 1.0}
    items = OpenAIResponsesModel("x", client=client).write(request)["input"]
    assert items[1] == {"role": "assistant", "content": "Hm."}
    assert items[2]["call_id"] == "t1"


MESSAGE = {"role": "assistant", "content": None}


@pytest.mark.parametrize(
    ("cls", "answer", "named"),
    [
        (AnthropicModel, {"content": [{"type": "server_tool_use"}]}, "'server_tool_use'"),
        (AnthropicModel, {"content": [{"type": "image"}]}, "'image'"),
        (AnthropicModel, {"content": [{"type": "text", "text": 5}]}, "'text'"),
        (AnthropicModel, {"content": [{"type": "tool_use", "id": "a", "name": 5, "input": {}}]}, "'name'"),
        (OpenAIChatModel, {"choices": []}, "a choice with a message"),
        (OpenAIChatModel, {"choices": [{"message": {**MESSAGE, "audio": {"id": "a"}}}]}, "'audio'"),
        (OpenAIChatModel, {"choices": [{"message": {"content": [{"type": "image_url"}]}}]}, "'image_url'"),
        (OpenAIChatModel, {"choices": [{"message": {"tool_calls": [{"type": "custom"}]}}]}, "'custom'"),
        (OpenAIChatModel, {"choices": [{"message": {"tool_calls": [{"type": "function"}]}}]}, "'function'"),
        (OpenAIResponsesModel, {"output": [{"type": "image_generation_call"}]}, "'image_generation_call'"),
        (OpenAIResponsesModel, {"output": [{"type": "message", "content": [{"type": "odd"}]}]}, "'odd'"),
    ],
)
def test_what_is_neither_words_nor_calls_is_refused_by_name(cls, answer, named):
    with pytest.raises(CodecError, match=named):
        cls("x", client=Recorder(answer)).reply(request_of(Instruction("go")))


def test_a_response_that_failed_says_why():
    answer = {"status": "failed", "error": {"code": "server_error", "message": "no room"}, "output": []}
    with pytest.raises(InvalidStateError, match="no room"):
        OpenAIResponsesModel("x", client=Recorder(answer)).reply(request_of(Instruction("go")))


@pytest.mark.parametrize(
    ("cls", "answer"),
    [
        (OpenAIChatModel, {"choices": [{"message": {"refusal": "No."}, "finish_reason": "stop"}]}),
        (
            OpenAIResponsesModel,
            {
                "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}],
                "status": "completed",
            },
        ),
        (AnthropicModel, {"content": [{"type": "text", "text": "No."}], "stop_reason": "refusal"}),
    ],
)
def test_a_refusal_is_one_in_every_format(cls, answer):
    reply = cls("x", client=Recorder(answer)).reply(request_of(Instruction("go")))
    assert (reply.stop, reply.text) == ("refusal", "No.")


@pytest.mark.parametrize(
    "usage", [None, 5, {"input_tokens": -3}, {"input_tokens": float("nan")}, {"prompt_tokens": "9"}]
)
def test_usage_that_is_none_counts_as_nothing(usage):
    answer = {"content": [], "choices": [{"message": {"content": "Hi."}}], "output": [], "usage": usage}
    for cls in (AnthropicModel, OpenAIChatModel, OpenAIResponsesModel):
        assert cls("x", client=Recorder(answer)).reply(request_of(Instruction("go"))).usage == Usage()


def test_parts_of_a_chat_message_are_joined():
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there."}]
    answer = {"choices": [{"message": {"content": parts}}]}
    assert OpenAIChatModel("x", client=Recorder(answer)).reply(request_of(Instruction("go"))).text == "Hello\nthere."


@pytest.mark.parametrize(
    ("given", "cls"),
    [
        ("anthropic:claude-x", AnthropicModel),
        ("claude-x", AnthropicModel),
        ("openai:my-model", OpenAIResponsesModel),
        ("gpt-5", OpenAIResponsesModel),
        ("o4-mini", OpenAIResponsesModel),
        ("openai-chat:org/model:7b", OpenAIChatModel),
    ],
)
def test_a_model_is_chosen_by_its_name(given, cls):
    model = model_for(given, client=Recorder(None))
    assert type(model) is cls
    assert model.name.endswith(given.removeprefix("openai-chat:"))


@pytest.mark.parametrize("given", ["llama", "anthropic:", "", "mistral:7b", ":x"])
def test_a_name_of_no_api_is_refused(given):
    with pytest.raises(ConfigError, match="anthropic:NAME"):
        model_for(given)


def test_a_client_and_a_key_exclude_each_other():
    with pytest.raises(ConfigError, match="either a client"):
        model_for("claude-x", client=Recorder(None), api_key="k")
    with pytest.raises(DTypeError, match="api_key") as caught:
        model_for("claude-x", api_key=b"secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("package", "name"), [("anthropic", "claude-x"), ("openai", "gpt-x")])
def test_without_the_package_the_extra_is_named(monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"rfx\[agent\]"):
        model_for(name)


def test_openai_without_a_key_says_so(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        model_for("gpt-x")


CONVERSATION = (
    Instruction("go"),
    Reply("Hm.", (ToolCall("walk", {"metres": 1.0}, "t1"), ToolCall("fly!", "{", "t2")), "calls"),
    Answers(((ToolCall("walk", {}, "t1"), SkillResult(True, 1)), (ToolCall("fly!", "{", "t2"), SkillResult(False)))),
    Reply("", (), "pause"),
    Reply("Done."),
    Instruction("and back"),
)


def test_requests_are_what_the_packages_own_types_say():
    """The packages describe a request as typed dicts; pydantic reads these as an oracle, message by message."""
    import anthropic.types as a
    import openai.types.chat as c
    import openai.types.responses as r
    import pydantic

    request = Request("Be careful.", CONVERSATION, SkillRegistry([Robot().walk, Robot().label]), 100, 5.0)
    item = r.response_input_item_param.ResponseInputItemParam
    for cls, rules, key, kind, tool in [
        (AnthropicModel, check_anthropic, "messages", a.MessageParam, a.ToolParam),
        (OpenAIChatModel, check_chat, "messages", c.ChatCompletionMessageParam, c.ChatCompletionFunctionToolParam),
        (OpenAIResponsesModel, check_responses, "input", item, r.FunctionToolParam),
    ]:
        body = json.loads(json.dumps(cls("gpt-5", client=Recorder(None)).write(request)))
        assert rules(body) == []
        assert len(body[key]) >= 5
        assert len(body["tools"]) == 2
        for types, several in ((pydantic.TypeAdapter(kind), body[key]), (pydantic.TypeAdapter(tool), body["tools"])):
            for one in several:
                assert set(types.validate_python(one)) == set(one)


@pytest.mark.parametrize("stop", STOPS)
def test_answers_of_the_scripted_server_are_what_the_packages_own_types_say(stop):
    import anthropic.types
    import openai.types.chat
    import openai.types.responses

    calls = (ToolCall("walk", {"metres": 1.0}, "t1"), ToolCall("walk", {}, "t2")) if stop == "calls" else ()
    reply, body = Reply("Hm.", calls, stop, Usage(3, 4)), {"model": "m", "tools": []}
    message = anthropic.types.Message.model_validate(scripted._anthropic(reply, body), strict=True)
    assert message.content[0].text == "Hm."
    completion = openai.types.chat.ChatCompletion.model_validate(scripted._chat(reply, body), strict=True)
    assert completion.choices[0].message.content == "Hm."
    response = openai.types.responses.Response.model_validate(scripted._responses(reply, body))
    assert response.output_text == "Hm."
