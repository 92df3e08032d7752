"""A server on this machine that speaks three APIs and says what it was told to say, for tests without a network."""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rfx.arrays import integer, number
from rfx.errors import DTypeError, InvalidStateError
from rfx.skills.formats import ToolCall
from rfx.skills.messages import Reply
from rfx.skills.mock import as_reply
from rfx.skills.plain import shown
from rfx.skills.scripted_rules import check_anthropic, check_chat, check_responses

_LONGEST = 64 * 1024 * 1024
_SOON = {"retry-after-ms": "1"}  # clients wait this long before they try again


@dataclass(frozen=True)
class ServerTurn:
    """One answer of the server.

    Attributes
    ----------
    reply : str, ToolCall, list of both or Reply
        What the model says. The arguments of a call may be a string: they are sent as they are.
    status : int
        HTTP status. From 400 on an error is sent in place of the reply.
    delay : float
        Seconds before the answer.
    headers : dict
        Further headers.
    body : bytes, optional
        Sent in place of everything.
    cut : bool
        Close the connection in the middle of the body.
    """

    reply: Any = ""
    status: int = 200
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "reply", as_reply(self.reply))
        object.__setattr__(self, "status", integer(self.status, "status", minimum=200, maximum=599))
        object.__setattr__(self, "delay", number(self.delay, "delay", minimum=0.0))
        if self.body is not None and not isinstance(self.body, bytes):
            raise DTypeError(f"expected body to be bytes, got {shown(self.body)}")


class ScriptedServer:
    """A model server with a script, on 127.0.0.1 only.

    It answers ``.../messages`` (Anthropic), ``.../chat/completions`` and ``.../responses`` (OpenAI), checks every
    request against the rules of its API, answers a wrong one with status 400, and says so at the end.

    Parameters
    ----------
    script : iterable
        Each a :class:`ServerTurn`, or what its ``reply`` takes.
    key : str
        The key that clients must send.

    Attributes
    ----------
    requests : list of (str, dict)
        Path and body of each request that came.
    problems : list of str
        What was wrong with them.

    Examples
    --------
    >>> with ScriptedServer(["Hello."]) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, script: Iterable[Any], *, key: str = "a-key-for-tests") -> None:
        if isinstance(script, str):
            raise DTypeError(f"expected a list of turns, got the string {shown(script)}")
        turns = [one if isinstance(one, ServerTurn) else ServerTurn(one) for one in script]
        self.key = key
        self.requests: list[tuple[str, Any]] = []
        self.problems: list[str] = []
        self._turns, self._given, self._number = turns, 0, 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        work = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=work, name="scripted", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What clients take as ``base_url``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def left(self) -> int:
        """How many turns of the script have not been asked for."""
        return len(self._turns) - self._given

    def close(self) -> None:
        """Close the server. Requests that wait are dropped."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def check(self) -> None:
        """Raise InvalidStateError if a request was wrong."""
        if self.problems:
            raise InvalidStateError(f"expected requests that keep to the API, got: {'; '.join(self.problems)}")

    def __enter__(self) -> "ScriptedServer":
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close()
        if kind is None:
            self.check()

    def __repr__(self) -> str:
        return f"ScriptedServer({self.url}, {len(self.requests)} requests, {self.left} turns left)"

    def _answer(self, path: str, headers: Any, raw: bytes) -> tuple[int, bytes, dict[str, str], bool]:
        """Return status, body, headers, and whether to cut the body short."""
        route = next((r for r in _ROUTES if path.split("?")[0].endswith(r)), None)
        if route is None:
            return self._refuse(404, "", f"there is no {path} here")
        rules, write, authorized = _ROUTES[route]
        if not authorized(headers, self.key):
            return self._refuse(401, route, f"{route}: the key is wrong or missing", "authentication_error")
        try:
            body = json.loads(raw, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            return self._refuse(400, route, f"{route}: the body is no JSON: {error}")
        with self._lock:
            self.requests.append((path, body))
        try:
            problems = rules(body)
        except (AttributeError, TypeError, KeyError) as error:
            problems = [f"a part has a wrong type: {error}"]
        if problems:
            return self._refuse(400, route, f"{route}: {'; '.join(problems)}")
        with self._lock:
            if not self.left:
                return self._refuse(400, route, f"{route}: the script of {len(self._turns)} turns is over")
            turn, self._given = self._turns[self._given], self._given + 1
        self._closing.wait(turn.delay)
        if turn.body is not None:
            return turn.status, turn.body, turn.headers, turn.cut
        if turn.status >= 400:
            said = _error(route, "rate_limit_error" if turn.status == 429 else "api_error", "as the script says")
            return turn.status, json.dumps(said).encode(), {**_SOON, **turn.headers}, turn.cut
        return turn.status, json.dumps(write(self._numbered(turn.reply), body)).encode(), turn.headers, turn.cut

    def _refuse(
        self, status: int, route: str, sentence: str, kind: str = "invalid_request_error"
    ) -> tuple[int, bytes, dict[str, str], bool]:
        self.problems.append(sentence)
        return status, json.dumps(_error(route, kind, sentence)).encode(), {"x-should-retry": "false"}, False

    def _numbered(self, reply: Reply) -> Reply:
        """Give calls without an id one that has not been given before."""
        calls = []
        with self._lock:
            for call in reply.calls:
                self._number += 1
                calls.append(ToolCall(call.name, call.arguments, call.id or f"call_{self._number}"))
        return Reply(reply.text, tuple(calls), reply.stop, reply.usage)


class _Handler(BaseHTTPRequestHandler):
    owner: ScriptedServer

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LONGEST:
            self.send_error(411 if not length.isdigit() else 413)
            return
        try:
            raw = self.rfile.read(int(length))
        except OSError:
            raw = b""
        if len(raw) < int(length):  # the client went away in the middle
            self.close_connection = True
            return
        status, body, headers, cut = self.owner._answer(self.path, self.headers, raw)
        try:
            self.send_response(status)
            for key, value in {"content-type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
        except OSError:  # the client went away
            pass
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _error(route: str, kind: str, sentence: str) -> dict[str, Any]:
    if route == "/messages":
        return {"type": "error", "error": {"type": kind, "message": sentence}}
    return {"error": {"type": kind, "message": sentence, "param": None, "code": None}}


def _bearer(headers: Any, key: str) -> bool:
    return headers.get("authorization") == f"Bearer {key}"


def _api_key(headers: Any, key: str) -> bool:
    either = headers.get("x-api-key") == key or _bearer(headers, key)  # clients before and after version 2
    return bool(either and headers.get("anthropic-version"))


def _anthropic(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in reply.calls]
    reasons = {
        "end": "end_turn",
        "calls": "tool_use",
        "length": "max_tokens",
        "context": "model_context_window_exceeded",
        "pause": "pause_turn",
        "refusal": "refusal",
    }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": reasons[reply.stop],
        "stop_sequence": None,
        "usage": {"input_tokens": reply.usage.input, "output_tokens": reply.usage.output},
    }


def _arguments(call: ToolCall, tools: list[dict[str, Any]]) -> str:
    """Return arguments as OpenAI's models send them: in strict mode every key is given, null where none is meant."""
    if isinstance(call.arguments, str):
        return call.arguments
    strict = next((t for t in tools if t.get("name") == call.name and t.get("strict")), None)
    if strict is None or not isinstance(call.arguments, dict):
        return json.dumps(call.arguments)
    return json.dumps({**dict.fromkeys(strict["parameters"]["properties"]), **call.arguments})


def _chat(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    tools = [t["function"] for t in body.get("tools", [])]
    calls = []
    for call in reply.calls:
        function = {"name": call.name, "arguments": _arguments(call, tools)}
        calls.append({"id": call.id, "type": "function", "function": function})
    if calls:
        message["tool_calls"] = calls
    reasons = {"calls": "tool_calls", "length": "length", "refusal": "content_filter"}
    choice = {"index": 0, "finish_reason": reasons.get(reply.stop, "stop"), "message": message, "logprobs": None}
    used = {"prompt_tokens": reply.usage.input, "completion_tokens": reply.usage.output}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return {**head, "choices": [choice], "usage": {**used, "total_tokens": reply.usage.total}}


def _responses(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    status = "incomplete" if reply.stop in ("length", "refusal") else "completed"
    output: list[dict[str, Any]] = []
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part]})
    for number_, call in enumerate(reply.calls, 1):
        given = {"call_id": call.id, "name": call.name, "arguments": _arguments(call, body.get("tools", []))}
        output.append({"type": "function_call", "id": f"fc_{number_}", "status": status, **given})
    reason = {"length": "max_output_tokens", "refusal": "content_filter"}.get(reply.stop)
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "usage": {
            "input_tokens": reply.usage.input,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.usage.total,
        },
    }


# path -> (its rules, how it writes a reply, whether a request has the key)
_ROUTES: dict[str, tuple[Callable[[Any], list[str]], Callable[[Reply, dict[str, Any]], Any], Callable[..., bool]]] = {
    "/messages": (check_anthropic, _anthropic, _api_key),
    "/chat/completions": (check_chat, _chat, _bearer),
    "/responses": (check_responses, _responses, _bearer),
}
