"""The scripted server: it says what its script says, and refuses what the APIs would refuse."""

import copy
import json
import socket
import urllib.error
import urllib.request

import pytest

from rfx.errors import DTypeError, InvalidStateError, InvalidValueError
from rfx.skills import Reply, ScriptedServer, ServerTurn, ToolCall
from rfx.skills.scripted_rules import check_anthropic, check_chat, check_responses

CLAUDE = {"x-api-key": "a-key-for-tests", "anthropic-version": "2023-06-01"}
BEARER = {"authorization": "Bearer a-key-for-tests"}


def post(server, path, body, headers=BEARER):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, raw, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


SHAPE = {
    "type": "object",
    "properties": {"metres": {"type": "number"}, "gait": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["metres", "gait"],
    "additionalProperties": False,
}
FUNCTION = {"name": "walk", "description": "Walk.", "parameters": SHAPE, "strict": True}
ANTHROPIC = {
    "model": "m",
    "max_tokens": 10,
    "system": "Be careful.",
    "tools": [{"name": "walk", "description": "Walk.", "input_schema": SHAPE}],
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "walk", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok", "is_error": True}]},
        {"role": "user", "content": "and now?"},
    ],
}
CHAT_CALL = {"id": "a", "type": "function", "function": {"name": "walk", "arguments": "{}"}}
CHAT = {
    "model": "m",
    "max_completion_tokens": 10,
    "tools": [{"type": "function", "function": FUNCTION}],
    "messages": [
        {"role": "system", "content": "Be careful."},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
    ],
}
RESPONSES = {
    "model": "m",
    "max_output_tokens": 10,
    "store": False,
    "tools": [{"type": "function", **FUNCTION}],
    "input": [
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "a", "name": "walk", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "ok"},
    ],
}


def changed(body, *path, to):
    """The body with one part exchanged; ``...`` takes the part out."""
    body = copy.deepcopy(body)
    part = body
    for key in path[:-1]:
        part = part[key]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return body


def test_good_conversations_have_no_problems():
    assert check_anthropic(ANTHROPIC) == check_chat(CHAT) == check_responses(RESPONSES) == []


M, T = "messages", "tools"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], "no object"),
        (changed(ANTHROPIC, "model", to=""), "model"),
        (changed(ANTHROPIC, "max_tokens", to=...), "max_tokens is missing"),
        (changed(ANTHROPIC, "max_tokens", to=True), "max_tokens is no integer"),
        (changed(ANTHROPIC, "max_completion_tokens", to=5), "unknown keys"),
        (changed(ANTHROPIC, "stream", to=True), "streaming"),
        (changed(ANTHROPIC, M, to=[]), "messages"),
        (changed(ANTHROPIC, M, 0, "role", to="assistant"), "not the user's"),
        (changed(ANTHROPIC, M, 0, "role", to="tool"), "no role"),
        (changed(ANTHROPIC, M, 0, "content", to=""), "empty"),
        (changed(ANTHROPIC, M, 0, "content", to=[]), "no content"),
        (changed(ANTHROPIC, M, 0, "content", to=[{"type": "image"}]), "blocks"),
        (changed(ANTHROPIC, M, 1, "content", 0, "id", to="a b"), "no id of a call"),
        (changed(ANTHROPIC, M, 1, "content", 0, "name", to="w k"), "no name of a tool"),
        (changed(ANTHROPIC, M, 1, "content", 0, "input", to="{}"), "no object"),
        (changed(ANTHROPIC, M, 2, "content", 0, "tool_use_id", to="b"), "answered by"),
        (changed(ANTHROPIC, M, 2, "content", 0, "content", to=None), "no content"),
        (changed(ANTHROPIC, M, 2, "content", 0, "is_error", to="yes"), "is_error"),
        (changed(ANTHROPIC, M, to=ANTHROPIC[M][:2]), "no results"),
        (changed(ANTHROPIC, M, to=ANTHROPIC[M][:3] + ANTHROPIC[M][1:3]), "unique"),
        (changed(ANTHROPIC, M, to=ANTHROPIC[M][:2] + ANTHROPIC[M][:0:-1]), "first"),
        (changed(ANTHROPIC, T, to=[]), "tools"),
        (changed(ANTHROPIC, T, 0, "name", to="w" * 65), "no name of a tool"),
        (changed(ANTHROPIC, T, 0, "input_schema", "type", to="array"), "no object schema"),
        (changed(ANTHROPIC, T, to=ANTHROPIC[T] * 2), "one name"),
    ],
)
def test_a_wrong_request_to_anthropic_is_found(body, problem):
    assert problem in "; ".join(check_anthropic(body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (7, "no object"),
        (changed(CHAT, "max_completion_tokens", to=0), "max_completion_tokens"),
        (changed(CHAT, M, 1, "content", to=""), "says nothing"),
        (changed(CHAT, M, 1, "role", to="robot"), "no role"),
        (changed(CHAT, M, 2, "tool_calls", to=[]), "tool_calls is empty"),
        (changed(CHAT, M, 2, "tool_calls", to=[CHAT_CALL, CHAT_CALL]), "two calls"),
        (changed(CHAT, M, 2, "tool_calls", 0, "type", to="custom"), "no type function"),
        (changed(CHAT, M, 2, "tool_calls", 0, "id", to=""), "no id"),
        (changed(CHAT, M, 2, "tool_calls", 0, "function", "name", to="w k"), "no name of a function"),
        (changed(CHAT, M, 2, "tool_calls", 0, "function", "arguments", to="{"), "no JSON object"),
        (changed(CHAT, M, 2, "tool_calls", 0, "function", "arguments", to={}), "no JSON object"),
        (changed(CHAT, M, 3, "tool_call_id", to="b"), "answers no call"),
        (changed(CHAT, M, 3, "content", to=None), "no content"),
        (changed(CHAT, M, to=CHAT[M][:3]), "no results"),
        (changed(CHAT, M, to=CHAT[M][:3] + CHAT[M][:1]), "not answered before"),
        (changed(CHAT, M, to=CHAT[M][:2] + CHAT[M][3:]), "answers no call"),
        (changed(CHAT, T, 0, "type", to="custom"), "no type function"),
        (changed(CHAT, T, 0, "function", "parameters", to=...), "no object schema"),
        (changed(CHAT, T, 0, "function", "parameters", "required", to=["metres"]), "required"),
        (changed(CHAT, T, 0, "function", "parameters", "additionalProperties", to=...), "additionalProperties"),
        (changed(CHAT, T, 0, "function", "parameters", "default", to={}), "does not take default"),
        (changed(CHAT, T, 0, "function", "parameters", "properties", "metres", to={"type": "array"}), "no schema"),
    ],
)
def test_a_wrong_request_to_chat_is_found(body, problem):
    assert problem in "; ".join(check_chat(body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "no object"),
        (changed(RESPONSES, "input", to=[7]), "no object"),
        (changed(RESPONSES, "input", 0, "role", to="tool"), "role"),
        (changed(RESPONSES, "input", 0, "content", to=[]), "no content"),
        (changed(RESPONSES, "input", 1, "encrypted_content", to=...), "encrypted"),
        (changed(RESPONSES, "input", 1, "type", to="image"), "no item"),
        (changed(RESPONSES, "input", 2, "name", to=5), "no name"),
        (changed(RESPONSES, "input", 3, "call_id", to="b"), "answers no open call"),
        (changed(RESPONSES, "input", 3, "output", to=5), "no text"),
        (changed(RESPONSES, "input", to=RESPONSES["input"][:3]), "no output for the calls ['a']"),
        (changed(RESPONSES, "input", to=RESPONSES["input"] + RESPONSES["input"][2:3]), "two calls"),
        (changed(RESPONSES, "input", to=RESPONSES["input"] + RESPONSES["input"][3:]), "answers no open call"),
        (changed(RESPONSES, T, 0, "type", to=...), "no type function"),
    ],
)
def test_a_wrong_request_to_responses_is_found(body, problem):
    assert problem in "; ".join(check_responses(body))


def test_a_good_request_is_answered_in_the_words_of_its_api():
    script = [["Hm.", ToolCall("walk", {"metres": 1})]] * 3
    with ScriptedServer(script) as server:
        status, message = post(server, "/v1/messages", ANTHROPIC, CLAUDE)
        assert status == 200
        assert [b["type"] for b in message["content"]] == ["text", "tool_use"]
        assert message["stop_reason"] == "tool_use"
        status, completion = post(server, "/v1/chat/completions", CHAT)
        call = completion["choices"][0]["message"]["tool_calls"][0]
        assert (status, call["id"]) == (200, "call_2")
        assert json.loads(call["function"]["arguments"]) == {"metres": 1, "gait": None}  # strict: every key
        status, response = post(server, "/v1/responses", RESPONSES)
        assert [i["type"] for i in response["output"]] == ["message", "function_call"]
        assert [path for path, _ in server.requests] == ["/v1/messages", "/v1/chat/completions", "/v1/responses"]
        assert server.left == 0


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "said"),
    [
        ("/v1/messages", ANTHROPIC, BEARER, 401, "key"),
        ("/v1/responses", RESPONSES, {"authorization": "Bearer other"}, 401, "key"),
        ("/v1/nothing", {}, BEARER, 404, "there is no"),
        ("/v1/responses", b"{]", BEARER, 400, "no JSON"),
        ("/v1/responses", b'{"temperature": NaN}', BEARER, 400, "NaN is no JSON"),
        ("/v1/chat/completions", changed(CHAT, M, 2, "tool_calls", to=5), BEARER, 400, "wrong type"),
        ("/v1/messages", changed(ANTHROPIC, M, to=ANTHROPIC[M][:2]), CLAUDE, 400, "no results"),
    ],
)
def test_a_wrong_request_is_refused_and_told_at_the_end(path, body, headers, status, said):
    server = ScriptedServer(["Hello."])
    code, answer = post(server, path, body, headers)
    assert code == status
    assert said in answer["error"]["message"]
    assert server.left == 1
    with pytest.raises(InvalidStateError, match=said):
        server.__exit__(None, None, None)


def test_a_script_that_is_over_is_a_problem():
    server = ScriptedServer([])
    assert post(server, "/v1/responses", RESPONSES)[0] == 400
    server.close()
    with pytest.raises(InvalidStateError, match="script of 0 turns is over"):
        server.check()


def test_an_error_in_the_block_is_not_hidden_by_the_servers():
    server = ScriptedServer([])
    post(server, "/nothing", {})
    server.__exit__(ZeroDivisionError, ZeroDivisionError(), None)  # raises nothing of its own
    assert server.problems


def test_errors_of_the_script_have_the_form_of_the_api():
    with ScriptedServer([ServerTurn(status=429), ServerTurn(status=503, headers={"retry-after": "9"})]) as server:
        assert post(server, "/v1/messages", ANTHROPIC, CLAUDE)[1]["error"]["type"] == "rate_limit_error"
        status, answer = post(server, "/v1/responses", RESPONSES)
        assert (status, answer["error"]["type"]) == (503, "api_error")


def test_closing_does_not_wait_for_a_slow_turn():
    server = ScriptedServer([ServerTurn("Late.", delay=1000.0)])
    server.close()
    assert server.left == 1
    assert repr(server).endswith("0 requests, 1 turns left)")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"status": 99}, InvalidValueError),
        ({"delay": -1}, InvalidValueError),
        ({"delay": float("nan")}, InvalidValueError),
        ({"body": "text"}, DTypeError),
        ({"reply": 7}, DTypeError),
    ],
)
def test_turns_are_checked(wrong, error):
    with pytest.raises(error):
        ServerTurn(**wrong)


def test_a_script_is_a_list():
    with pytest.raises(DTypeError, match="list of turns"):
        ScriptedServer("Hello.")
    assert ServerTurn("Hello.").reply == Reply("Hello.")


def test_a_client_that_dies_in_the_middle_of_its_request_has_asked_nothing():
    with ScriptedServer(["Hello."]) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            head = "POST /responses HTTP/1.1\r\nAuthorization: Bearer a-key-for-tests\r\nContent-Length: 100\r\n\r\n"
            line.sendall(head.encode() + b'{"model": ')
            line.shutdown(socket.SHUT_WR)
            assert line.recv(100) == b""
        assert server.problems == []
        assert server.left == 1
