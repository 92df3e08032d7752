"""Tool lists keep to the rules of their formats, and calls come back from them."""

import dataclasses
import enum
import json
import re
import types
from typing import Annotated, Literal

import pytest

from rfx.errors import CodecError, ConfigError
from rfx.skills import Bound, Length, SkillRegistry, ToolCall, skill

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
KEY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
STRICT_KEYS = {"type", "enum", "anyOf", "items", "properties", "required", "additionalProperties", "description"}
STRICT_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}


class Gait(enum.Enum):
    TROT = "trot"
    WALK = "walk"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5


@skill
def walk(
    speed: Annotated[float, Bound(ge=-0.5, le=0.5, unit="m/s")],
    gait: Gait = Gait.TROT,
    to: Point | None = None,
    note: Annotated[str, Length(0, 80)] = "",
) -> str:
    """Walk.

    Parameters
    ----------
    speed : float
        How fast.
    """
    return f"{speed} {gait} {to} {note}"


@skill
def path(points: Annotated[list[Point], Length(1, 5)], mode: tuple[int, Literal["a", "b"]] = (1, "a")) -> list[Point]:
    return points


@skill(effects="reads")
def labels(names: dict[str, int]) -> Point:
    return Point(len(names))


@skill(effects="stops")
def stop() -> None: ...


@pytest.fixture
def registry():
    return SkillRegistry([walk, path, labels, stop])


def schemas_in(schema):
    yield schema
    for one in [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *schema.get("prefixItems", [])]:
        yield from schemas_in(one)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from schemas_in(schema[key])


def check_strict(schema, limits):
    assert schema["type"] == "object"
    for one in schemas_in(schema):
        assert set(one) <= STRICT_KEYS | (STRICT_LIMITS if limits else set())
        assert "type" in one or "anyOf" in one
        if one.get("type") == "array":
            assert "items" in one
        if one.get("type") == "object":
            assert one["additionalProperties"] is False
            assert one["required"] == list(one["properties"])


@pytest.mark.parametrize("limits", [True, False])
def test_openai_strict_schemas_keep_to_strict_mode(registry, limits):
    tools = registry.to_openai_chat(limits=limits)
    assert [t["function"]["strict"] for t in tools] == [True, True, False, True]
    for tool in tools:
        assert set(tool) == {"type", "function"}
        assert set(tool["function"]) == {"name", "description", "parameters", "strict"}
        assert NAME.match(tool["function"]["name"])
        if tool["function"]["strict"]:
            check_strict(tool["function"]["parameters"], limits)


def test_responses_are_flat_and_say_the_same(registry):
    chat, flat = registry.to_openai_chat(), registry.to_openai_responses()
    assert flat == [{"type": "function", **t["function"]} for t in chat]


def test_what_strict_mode_cannot_say_is_said_in_words(registry):
    properties = registry.to_openai_responses()[0]["parameters"]["properties"]
    assert properties["speed"]["minimum"] == -0.5
    assert properties["note"]["anyOf"][0]["type"] == "string"
    assert "null for the default, ''." in properties["note"]["description"]
    assert "At most this many characters: 80." in properties["note"]["description"]
    assert properties["to"]["anyOf"][1] == {"type": "null"}
    plain = registry.to_openai_responses(limits=False)[0]["parameters"]["properties"]["speed"]
    assert plain == {"type": "number", "description": "How fast. In m/s. At least -0.5. At most 0.5."}
    mode = registry.to_openai_responses()[1]["parameters"]["properties"]["mode"]
    assert "In this order: integer, string." in mode["description"]


def test_without_strict_the_schema_is_the_skills_own(registry):
    tools = registry.to_openai_chat(strict=False)
    assert [t["function"]["parameters"] for t in tools] == [s.parameters for s in registry]
    assert not any(t["function"]["strict"] for t in tools)


def test_openai_limits_are_kept():
    def f() -> None: ...

    registry = SkillRegistry([skill(name=f"f{i}", description="x" * 2000)(f) for i in range(129)])
    with pytest.raises(ConfigError, match="at most 128"):
        registry.to_openai_chat()
    tools = registry.to_openai_chat(skills=registry.skills[:128])
    assert len(tools) == 128
    assert len(tools[0]["function"]["description"]) == 1024


def test_a_schema_too_large_for_strict_mode_is_not_strict():
    many = Literal[tuple(f"n{i}" for i in range(1001))]  # type: ignore[valid-type]

    def f(x): ...

    f.__annotations__["x"] = many
    assert SkillRegistry([skill(f)]).to_openai_chat()[0]["function"]["strict"] is False


def test_anthropic_and_mcp_tools_are_valid_json_schema(registry):
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator.check_schema
    for tool in registry.to_anthropic():
        assert set(tool) == {"name", "description", "input_schema"}
        assert tool["input_schema"]["type"] == "object"
        assert all(KEY.match(k) for s in schemas_in(tool["input_schema"]) for k in s.get("properties", {}))
        check(tool["input_schema"])
    for tool in registry.to_mcp():
        assert tool["inputSchema"]["type"] == "object"
        check(tool["inputSchema"])
        if "outputSchema" in tool:
            assert tool["outputSchema"]["type"] == "object"
            check(tool["outputSchema"])
    for tool in registry.to_openai_responses():
        check(tool["parameters"])


def test_mcp_annotations_say_what_a_skill_does(registry):
    tools = {t["name"]: t["annotations"] for t in registry.to_mcp()}
    assert tools["walk"] == {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": False,
    }
    assert tools["labels"]["readOnlyHint"]
    assert not tools["stop"]["destructiveHint"]
    assert tools["stop"]["idempotentHint"]


def test_openai_calls_come_back_without_the_nulls_of_strict_mode(registry):
    text = json.dumps({"speed": 0.1, "gait": None, "to": {"x": 1, "y": None}, "note": None})
    chat = {"id": "c1", "type": "function", "function": {"name": "walk", "arguments": text}}
    call = registry.call_from_openai_chat(chat)
    assert call == ToolCall("walk", {"speed": 0.1, "to": {"x": 1}}, "c1")
    item = {"type": "function_call", "call_id": "c1", "name": "walk", "arguments": text}
    assert registry.call_from_openai_responses(item) == call
    result = registry.execute(call.name, call.arguments)
    assert result.value == "0.1 Gait.TROT Point(x=1.0, y=0.5) "
    body = json.dumps({"ok": True, "result": result.value})
    assert registry.result_to_openai_chat(call, result) == {"role": "tool", "tool_call_id": "c1", "content": body}
    answer = {"type": "function_call_output", "call_id": "c1", "output": body}
    assert registry.result_to_openai_responses(call, result) == answer


def test_a_null_that_the_skill_takes_stays():
    @skill(effects="reads")
    def f(x: int | None = 3) -> str:
        return str(x)

    registry = SkillRegistry([f])
    call = registry.call_from_openai_responses(
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"x": null}'}
    )
    assert registry.execute(call.name, call.arguments).value == "None"


def test_nulls_in_lists_of_objects_are_taken_out_too(registry):
    text = json.dumps({"points": [{"x": 1, "y": None}], "mode": None})
    chat = {"id": "1", "function": {"name": "path", "arguments": text}}
    assert registry.call_from_openai_chat(chat).arguments == {"points": [{"x": 1}]}


def test_anthropic_blocks_come_and_go(registry):
    block = {"type": "tool_use", "id": "t1", "name": "walk", "input": {"speed": 7}}
    call = registry.call_from_anthropic(types.SimpleNamespace(**block))
    assert call == registry.call_from_anthropic(block) == ToolCall("walk", {"speed": 7}, "t1")
    answer = registry.result_to_anthropic(call, registry.execute(call.name, call.arguments))
    assert (answer["type"], answer["tool_use_id"], answer["is_error"]) == ("tool_result", "t1", True)
    assert "at most 0.5" in json.loads(answer["content"])["error"]
    good = registry.result_to_anthropic(call, registry.execute("walk", {"speed": 0}))
    assert "is_error" not in good


def test_mcp_results_fit_their_output_schema(registry):
    jsonschema = pytest.importorskip("jsonschema")
    outputs = {t["name"]: t.get("outputSchema") for t in registry.to_mcp()}
    arguments = {"walk": {"speed": 0}, "path": {"points": [{"x": 1}]}, "labels": {"names": {"a": 1}}, "stop": {}}
    for name, given in arguments.items():
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": given}}
        call = registry.call_from_mcp(request)
        assert call == registry.call_from_mcp(request["params"]) == ToolCall(name, given)
        answer = registry.result_to_mcp(call, registry.execute(call.name, call.arguments))
        assert answer["isError"] is False
        assert json.loads(answer["content"][0]["text"])["ok"] is True
        assert ("structuredContent" in answer) == (outputs[name] is not None)
        if outputs[name] is not None:
            jsonschema.validate(answer["structuredContent"], outputs[name])


def test_mcp_errors_are_results(registry):
    call = registry.call_from_mcp({"name": "labels"})
    answer = registry.result_to_mcp(call, registry.execute(call.name, call.arguments))
    assert answer["isError"] is True
    assert "structuredContent" not in answer


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, "null", '"x"', "NaN"])
def test_arguments_that_are_no_object_become_an_answer(registry, text):
    call = registry.call_from_openai_chat({"id": "1", "function": {"name": "walk", "arguments": text}})
    assert registry.execute(call.name, call.arguments).kind == "arguments"


def test_no_text_at_all_stands_for_no_arguments(registry):
    call = registry.call_from_openai_chat({"id": "1", "function": {"name": "stop", "arguments": ""}})
    assert registry.execute(call.name, call.arguments).ok


def test_what_is_no_tool_call_is_refused(registry):
    for read, bad in [
        (registry.call_from_openai_chat, {"id": "1"}),
        (registry.call_from_openai_chat, {"id": 1, "function": {"name": "f", "arguments": ""}}),
        (registry.call_from_openai_responses, {"type": "message"}),
        (registry.call_from_anthropic, {"type": "text", "text": "hello"}),
        (registry.call_from_anthropic, 5),
        (registry.call_from_mcp, {"method": "tools/list", "params": {}}),
        (registry.call_from_mcp, {}),
    ]:
        with pytest.raises(CodecError, match="expected"):
            read(bad)
