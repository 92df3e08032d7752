"""The rules of three APIs for a conversation with tools, checked as strictly as the APIs themselves do.

Facts: the guides to tool use and the API references of Anthropic and OpenAI. Each function returns sentences about
what is wrong with a request, and none for a good one. Nothing here is shared with what writes the requests.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ANTHROPIC_KEYS = (
    "model max_tokens messages system tools tool_choice temperature top_p top_k stop_sequences metadata thinking stream "
    "service_tier container output_config cache_control speed"
)
_CHAT_KEYS = (
    "model messages tools tool_choice parallel_tool_calls max_completion_tokens max_tokens temperature top_p stop seed "
    "reasoning_effort response_format store metadata service_tier verbosity stream n user"
)
_RESPONSES_KEYS = (
    "model input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p reasoning text "
    "store include metadata service_tier truncation stream user previous_response_id"
)
_STRICT = (
    "type enum anyOf items properties required additionalProperties description minimum maximum exclusiveMinimum "
    "exclusiveMaximum minItems maxItems pattern format multipleOf const"
)


class _Check:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def expect(self, good: Any, sentence: str) -> bool:
        if not good:
            self.problems.append(sentence)
        return bool(good)

    def body(self, body: Any, keys: str, tokens: Iterable[str], messages: str) -> list[dict[str, Any]]:
        """Check what all three have in common, and return the conversation."""
        if not self.expect(isinstance(body, dict), "the body is no object"):
            return []
        unknown = sorted(set(body) - set(keys.split()))
        self.expect(not unknown, f"unknown keys: {', '.join(unknown)}")
        self.expect(isinstance(body.get("model"), str) and body["model"], "model is no name")
        self.expect(not body.get("stream"), "streaming is not served here")
        for key in tokens:
            value = body.get(key, 1)
            self.expect(type(value) is int and value >= 1, f"{key} is no integer of at least 1")
        found = body.get(messages)
        if not self.expect(isinstance(found, list) and found, f"{messages} is no list or empty"):
            return []
        return [m for m in found if self.expect(isinstance(m, dict), f"{messages} holds what is no object")]

    def tools(self, body: Any, schema: str, inner: str = "") -> None:
        """Check the list of tools; ``inner`` is the key below which a tool is described."""
        tools = body.get("tools", []) if isinstance(body, dict) else []
        if "tools" in body and not self.expect(isinstance(tools, list) and tools, "tools is no list or empty"):
            return
        names = []
        for tool in tools:
            if inner or schema == "parameters":
                self.expect(tool.get("type") == "function", "a tool has no type function")
            one = tool.get(inner, {}) if inner else tool
            name, shape = one.get("name"), one.get(schema)
            names.append(name)
            self.expect(isinstance(name, str) and _NAME.fullmatch(name), f"{name!r} is no name of a tool")
            fine = isinstance(shape, dict) and shape.get("type") == "object"
            if self.expect(fine, f"{name}: no object schema") and one.get("strict"):
                self.strict(shape, str(name))
        self.expect(len(names) == len(set(names)), "two tools have one name")

    def strict(self, schema: Any, where: str) -> None:
        """Check a schema of strict mode."""
        if not self.expect(isinstance(schema, dict), f"{where}: no schema"):
            return
        unknown = sorted(set(schema) - set(_STRICT.split()))
        self.expect(not unknown, f"{where}: strict mode does not take {', '.join(unknown)}")
        if schema.get("type") == "object":
            properties = schema.get("properties", {})
            self.expect(schema.get("additionalProperties") is False, f"{where}: additionalProperties is not false")
            self.expect(sorted(schema.get("required", [])) == sorted(properties), f"{where}: not all keys are required")
            for key, value in properties.items():
                self.strict(value, f"{where}.{key}")
        if schema.get("type") == "array":
            self.strict(schema.get("items"), f"{where}[]")
        for value in schema.get("anyOf", []):
            self.strict(value, where)

    def call(self, name: Any, arguments: Any, call: Any) -> None:
        """Check a call of an OpenAI conversation."""
        self.expect(isinstance(call, str) and call, "a call has no id")
        self.expect(isinstance(name, str) and _NAME.fullmatch(name), f"{name!r} is no name of a function")
        self.expect(_is_object(arguments), f"the arguments of {name!r} are no JSON object in a string")


def _is_object(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def check_anthropic(body: Any) -> list[str]:
    """Return what is wrong with a request to ``/v1/messages``."""
    check = _Check()
    messages = check.body(body, _ANTHROPIC_KEYS, ("max_tokens",), "messages")
    if not isinstance(body, dict):
        return check.problems
    check.expect("max_tokens" in body, "max_tokens is missing")
    check.expect(isinstance(body.get("system", ""), str | list), "system is no text")
    check.tools(body, "input_schema")
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        check.expect(role in ("user", "assistant"), f"{role!r} is no role")
        blocks: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not check.expect(isinstance(blocks, list) and blocks, f"a message of {role} has no content"):
            continue
        if turns and turns[-1][0] == role:  # the API joins them
            turns[-1][1].extend(blocks)
        else:
            turns.append((str(role), list(blocks)))
    check.expect(turns and turns[0][0] == "user", "the first message is not the user's")
    seen: set[str] = set()
    open_calls: list[str] = []
    for role, blocks in turns:
        kinds = [b.get("type") for b in blocks]
        for block in blocks:
            if block.get("type") == "text":
                check.expect(str(block.get("text", "")).strip(), "a text block is empty")
        if role == "assistant":
            check.expect(set(kinds) <= {"text", "tool_use", "thinking", "redacted_thinking"}, f"blocks {kinds}")
            open_calls = [str(b.get("id")) for b in blocks if b.get("type") == "tool_use"]
            for block in blocks:
                if block.get("type") == "tool_use":
                    name, call = block.get("name"), str(block.get("id"))
                    check.expect(_NAME.fullmatch(str(name)), f"{name!r} is no name of a tool")
                    check.expect(re.fullmatch(r"[A-Za-z0-9_-]+", call), f"{call!r} is no id of a call")
                    check.expect(call not in seen, f"tool_use ids must be unique: {call}")
                    check.expect(isinstance(block.get("input"), dict), f"the input of {call} is no object")
                    seen.add(call)
            continue
        check.expect(set(kinds) <= {"text", "tool_result"}, f"blocks {kinds} of the user")
        answered = [str(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"]
        check.expect(sorted(answered) == sorted(open_calls), f"calls {open_calls} are answered by results {answered}")
        check.expect(kinds[: len(answered)] == ["tool_result"] * len(answered), "results do not come first")
        for block in blocks:
            if block.get("type") == "tool_result":
                check.expect(isinstance(block.get("content"), str | list), "a result has no content")
                check.expect(isinstance(block.get("is_error", False), bool), "is_error is no bool")
        open_calls = []
    check.expect(not open_calls, f"calls {open_calls} have no results")
    return check.problems


def check_chat(body: Any) -> list[str]:
    """Return what is wrong with a request to ``/v1/chat/completions``."""
    check = _Check()
    messages = check.body(body, _CHAT_KEYS, ("max_completion_tokens", "max_tokens"), "messages")
    if not isinstance(body, dict):
        return check.problems
    check.tools(body, "parameters", "function")
    open_calls: list[str] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role == "tool":
            call = message.get("tool_call_id")
            if check.expect(call in open_calls, f"the result {call!r} answers no call before it"):
                open_calls.remove(str(call))
            check.expect(isinstance(content, str | list), "a result has no content")
            continue
        check.expect(not open_calls, f"calls {open_calls} are not answered before the next message")
        check.expect(role in ("system", "developer", "user", "assistant"), f"{role!r} is no role")
        calls = message.get("tool_calls", [])
        words = isinstance(content, str) and content
        check.expect(words or (role == "assistant" and calls), f"{role} says nothing")
        check.expect("tool_calls" not in message or calls, "tool_calls is empty")
        open_calls = []
        for call in calls:
            function = call.get("function", {})
            check.expect(call.get("type") == "function", "a call has no type function")
            check.call(function.get("name"), function.get("arguments"), call.get("id"))
            check.expect(call.get("id") not in open_calls, f"two calls have the id {call.get('id')}")
            open_calls.append(str(call.get("id")))
    check.expect(not open_calls, f"calls {open_calls} have no results")
    return check.problems


def check_responses(body: Any) -> list[str]:
    """Return what is wrong with a request to ``/v1/responses``."""
    check = _Check()
    items = check.body(body, _RESPONSES_KEYS, ("max_output_tokens",), "input")
    if not isinstance(body, dict):
        return check.problems
    check.tools(body, "parameters")
    calls: list[str] = []
    answered: list[str] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            check.expect(item.get("role") in ("user", "assistant", "system", "developer"), f"role {item.get('role')!r}")
            check.expect(item.get("content"), "a message has no content")
        elif kind == "function_call":
            check.call(item.get("name"), item.get("arguments"), item.get("call_id"))
            check.expect(item.get("call_id") not in calls, f"two calls have the id {item.get('call_id')}")
            calls.append(str(item.get("call_id")))
        elif kind == "function_call_output":
            call = str(item.get("call_id"))
            check.expect(call in calls and call not in answered, f"the output {call!r} answers no open call before it")
            check.expect(isinstance(item.get("output"), str | list), "an output is no text")
            answered.append(call)
        elif kind == "reasoning":
            kept = item.get("encrypted_content") or body.get("store", True)
            check.expect(kept, "reasoning comes back without its encrypted content, and nothing is stored")
        else:
            check.expect(False, f"{kind!r} is no item of an input here")
    check.expect(set(calls) <= set(answered), f"no output for the calls {sorted(set(calls) - set(answered))}")
    return check.problems


def _no_constant(name: str) -> Any:
    raise ValueError(name)
