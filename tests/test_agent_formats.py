"""What goes to an API and comes from it, format by format: thinking, refusals, answers that are none, names and keys."""

import json
import sys

import pytest
from agent_wire_parts import Robot

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, MissingDependencyError
from rfx.skills import (
    Answers,
    AnthropicModel,
    Instruction,
    OpenAIChatModel,
    OpenAIResponsesModel,
    Reply,
    Request,
    SkillRegistry,
    SkillResult,
    ToolCall,
    Usage,
    model_for,
    scripted,
)
from rfx.skills.messages import STOPS
from rfx.skills.scripted_rules import check_anthropic, check_chat, check_responses

pytest.importorskip("anthropic")
pytest.importorskip("openai")


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
