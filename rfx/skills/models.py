"""Models behind the APIs of Anthropic and OpenAI: the one door to their client packages, which are optional.

Each class writes a :class:`Request` as its API wants it and reads the answer. Retries after 429 and 5xx are the
client's. Words and calls go both ways; images, audio and calls of tools that the provider runs are refused by name.
"""

import re
from abc import ABC, abstractmethod
from typing import Any

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, MissingDependencyError
from rfx.skills.formats import ToolFormats
from rfx.skills.messages import Answers, Instruction, Message, Model, Reply, Request, usage_of
from rfx.skills.plain import shown
from rfx.skills.wire import (
    content_text,
    dicts,
    joined,
    message_of,
    plain_answer,
    raw_blocks,
    sent_arguments,
    sent_arguments_text,
    sent_name,
    text_of,
)

_ANTHROPIC_STOPS = {
    "max_tokens": "length",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
    "pause_turn": "pause",
}
_CHAT_STOPS = {"length": "length", "content_filter": "refusal"}
_REASONS = re.compile(r"o\d|gpt-([5-9]|\d\d)")  # OpenAI's models that reason


def model_for(
    model: str | Model, *, api_key: str | None = None, base_url: str | None = None, client: Any = None
) -> Model:
    """Return the model that a string names, or the model itself.

    Parameters
    ----------
    model : str or Model
        ``"anthropic:NAME"``, ``"openai:NAME"``, ``"openai-chat:NAME"``, a name that begins with claude, gpt, chatgpt or
        o and a digit; or an object with ``name`` and ``reply``.
    api_key, base_url, client
        As :class:`AnthropicModel` takes them; only for a string.

    Raises
    ------
    ConfigError
        The string names no API, or there are options for a model that is finished.
    DTypeError
        Neither a string nor a model.
    MissingDependencyError
        The client library is not installed.
    """
    if not isinstance(model, str):
        if not callable(getattr(model, "reply", None)) or not isinstance(getattr(model, "name", None), str):
            raise DTypeError(f"expected a model with a name and a method reply, got {shown(model)}")
        if (api_key, base_url, client) != (None, None, None):
            raise ConfigError("expected no api_key, base_url and client for a finished model")
        return model
    prefix, colon, name = model.partition(":")
    if not colon or prefix not in _CLASSES:
        prefix, name = _guess(model), model
    if prefix not in _CLASSES or not name:
        raise ConfigError(f"expected a model as {', '.join(f'{p}:NAME' for p in _CLASSES)}, got {shown(model)}")
    return _CLASSES[prefix](name, api_key=api_key, base_url=base_url, client=client)


def _guess(model: str) -> str:
    if model.startswith("claude"):
        return "anthropic"
    return "openai" if re.match(r"gpt|chatgpt|o\d", model) else ""


class ApiModel(ABC):
    """What the three have in common.

    Parameters
    ----------
    model : str
        The API's name of the model.
    client : object, optional
        A client of the package; made without it.
    api_key, base_url : str, optional
        For a client that is made; its environment variables count without them.
    options : dict, optional
        Further keys of each request (``temperature``, ``thinking``, ...); None as a value takes a key out.
    """

    prefix = ""

    def __init__(
        self,
        model: str,
        *,
        client: Any = None,
        api_key: str | None = None,
        base_url: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        for key, value in (("api_key", api_key), ("base_url", base_url)):
            if value is not None and (not isinstance(value, str) or not value):
                raise DTypeError(f"expected {key} to be a string that is not empty, got {type(value).__name__}")
        if client is not None and (api_key is not None or base_url is not None):
            raise ConfigError("expected either a client or its api_key and base_url, got both")
        if not isinstance(model, str) or not model:
            raise DTypeError(f"expected the name of a model, got {shown(model)}")
        self.model, self.options = model, dict(options or {})
        self.client = self._connect(api_key, base_url) if client is None else client

    @property
    def name(self) -> str:
        """Prefix and model."""
        return f"{self.prefix}:{self.model}"

    @property
    def api_key(self) -> str | None:
        """The client's key, so that transcripts can hide it."""
        key = getattr(self.client, "api_key", None)
        return key if isinstance(key, str) else None

    def reply(self, request: Request) -> Reply:
        """Ask the API. Raises what the client raises, and CodecError for an answer that is none."""
        body = {**self.write(request), **self.options}
        body = {key: value for key, value in body.items() if value is not None}
        return self.read(plain_answer(self._send(body, request.timeout)), request.tools)

    @abstractmethod
    def write(self, request: Request) -> dict[str, Any]:
        """Return the body of the request."""

    @abstractmethod
    def read(self, answer: dict[str, Any], tools: ToolFormats) -> Reply:
        """Return the answer as a reply."""

    @abstractmethod
    def _send(self, body: dict[str, Any], timeout: float) -> Any:
        """Let the client ask."""

    @abstractmethod
    def _connect(self, api_key: str | None, base_url: str | None) -> Any:
        """Return a client."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"


class AnthropicModel(ApiModel):
    """A model behind Anthropic's Messages API. Parameters as in :class:`ApiModel`."""

    prefix = "anthropic"

    def write(self, request: Request) -> dict[str, Any]:
        """Return the body of the request."""
        body: dict[str, Any] = {"model": self.model, "max_tokens": request.max_tokens}
        body["system"] = request.system or None
        body["messages"] = [m for given in request.messages if (m := self._message(given, request.tools))["content"]]
        body["tools"] = request.tools.to_anthropic() or None
        return body

    def _message(self, given: Message, tools: ToolFormats) -> dict[str, Any]:
        if isinstance(given, Instruction):
            return {"role": "user", "content": given.text}
        if isinstance(given, Answers):
            return {"role": "user", "content": [tools.result_to_anthropic(c, r) for c, r in given.results]}
        calls = iter(given.calls)
        blocks: list[dict[str, Any]] = []
        for block in raw_blocks(given, self.prefix, "text", "tool_use"):
            if block["type"] == "tool_use":
                call = next(calls)
                sent = {"id": call.id, "name": sent_name(call), "input": sent_arguments(call)}
                blocks.append({"type": "tool_use", **sent})
            elif block["type"] != "text" or block["text"].strip():  # the API takes no empty words
                blocks.append(block)
        return {"role": "assistant", "content": blocks}

    def read(self, answer: dict[str, Any], tools: ToolFormats) -> Reply:
        """Return the answer as a reply."""
        blocks = dicts(answer, "content")
        said, calls = [], []
        for block in blocks:
            kind = block.get("type")
            if kind == "text":
                said.append(text_of(block, "text"))
            elif kind == "tool_use":
                calls.append(tools.call_from_anthropic(block))
            elif kind not in ("thinking", "redacted_thinking"):
                raise CodecError(f"expected text, thinking and tool_use, got a block {shown(kind)}, which is not taken")
        stop = _ANTHROPIC_STOPS.get(str(answer.get("stop_reason")), "calls" if calls else "end")
        cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
        usage = usage_of(answer.get("usage"), "input_tokens", *cached, output_key="output_tokens")
        return Reply(joined(said), tuple(calls), stop, usage, (self.prefix, blocks))

    def _send(self, body: dict[str, Any], timeout: float) -> Any:
        return self.client.messages.create(**body, timeout=timeout)

    def _connect(self, api_key: str | None, base_url: str | None) -> Any:
        try:
            import anthropic
        except ImportError:
            raise _missing("anthropic") from None
        return anthropic.Anthropic(api_key=api_key, base_url=base_url)


class OpenAIModel(ApiModel):
    """What OpenAI's two APIs have in common: the client, and strict tools.

    Parameters
    ----------
    strict : bool
        Ask for strict mode where a skill can be expressed in it.
    limits : bool
        Keep limits of numbers in strict schemas; some servers refuse them.
    """

    def __init__(self, model: str, *, strict: bool = True, limits: bool = True, **options: Any) -> None:
        self.strict, self.limits = strict, limits
        super().__init__(model, **options)

    def _connect(self, api_key: str | None, base_url: str | None) -> Any:
        try:
            import openai
        except ImportError:
            raise _missing("openai") from None
        try:
            return openai.OpenAI(api_key=api_key, base_url=base_url)
        except openai.OpenAIError as error:
            raise ConfigError(f"expected what the OpenAI client needs, got: {error}") from None


class OpenAIChatModel(OpenAIModel):
    """A model behind OpenAI's Chat Completions API or a server that speaks it. Parameters as in :class:`OpenAIModel`."""

    prefix = "openai-chat"

    def write(self, request: Request) -> dict[str, Any]:
        """Return the body of the request."""
        body: dict[str, Any] = {"model": self.model, "max_completion_tokens": request.max_tokens}
        messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
        for given in request.messages:
            if isinstance(given, Instruction):
                messages.append({"role": "user", "content": given.text})
            elif isinstance(given, Answers):
                messages += [request.tools.result_to_openai_chat(c, r) for c, r in given.results]
            elif given.text or given.calls:
                messages.append(self._assistant(given))
        body["messages"] = messages
        body["tools"] = request.tools.to_openai_chat(self.strict, limits=self.limits) or None
        return body

    def _assistant(self, given: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": given.text or None}
        raw = [b for b in raw_blocks(given, self.prefix, "text", "function") if b["type"] == "function"]
        calls = []
        for call, block in zip(given.calls, raw, strict=True):
            function = {"name": sent_name(call), "arguments": sent_arguments_text(call, block.get("function"))}
            calls.append({**block, "id": call.id, "function": function})  # some servers want back what they added
        return {**message, "tool_calls": calls} if calls else message

    def read(self, answer: dict[str, Any], tools: ToolFormats) -> Reply:
        """Return the answer as a reply."""
        choices = dicts(answer, "choices")
        message = choices[0].get("message") if choices else None
        if not isinstance(message, dict):
            raise CodecError(f"expected a choice with a message, got {shown(choices[0] if choices else None)}")
        for kind in ("audio", "function_call"):
            if message.get(kind):
                raise CodecError(f"expected words and tool calls, got {kind!r}, which is not taken")
        raw = dicts(message, "tool_calls") if message.get("tool_calls") else []
        for block in raw:
            if block.get("type", "function") != "function":
                raise CodecError(f"expected calls of functions, got {shown(block.get('type'))}, which is not taken")
        calls = tuple(tools.call_from_openai_chat(block) for block in raw)
        text, refusal = content_text(message.get("content")), text_of(message, "refusal")
        stop = _CHAT_STOPS.get(str(choices[0].get("finish_reason")), "calls" if calls else "end")
        usage = usage_of(answer.get("usage"), "prompt_tokens", output_key="completion_tokens")
        kept = [{**block, "type": "function"} for block in raw]
        return Reply(text or refusal, calls, "refusal" if refusal else stop, usage, (self.prefix, kept))

    def _send(self, body: dict[str, Any], timeout: float) -> Any:
        return self.client.chat.completions.create(**body, timeout=timeout)


class OpenAIResponsesModel(OpenAIModel):
    """A model behind OpenAI's Responses API, with nothing stored there. Parameters as in :class:`OpenAIModel`."""

    prefix = "openai"

    def write(self, request: Request) -> dict[str, Any]:
        """Return the body of the request."""
        body: dict[str, Any] = {"model": self.model, "max_output_tokens": request.max_tokens, "store": False}
        body["instructions"] = request.system or None
        if _REASONS.match(self.model) and "chat" not in self.model:
            body["include"] = ["reasoning.encrypted_content"]  # to send the reasoning back, since nothing is stored
        items: list[dict[str, Any]] = []
        for given in request.messages:
            if isinstance(given, Instruction):
                items.append({"role": "user", "content": given.text})
            elif isinstance(given, Answers):
                items += [request.tools.result_to_openai_responses(c, r) for c, r in given.results]
            else:
                items += self._items(given)
        body["input"] = items
        body["tools"] = request.tools.to_openai_responses(self.strict, limits=self.limits) or None
        return body

    def _items(self, given: Reply) -> list[dict[str, Any]]:
        calls = iter(given.calls)
        items: list[dict[str, Any]] = []
        for item in raw_blocks(given, self.prefix, "text", "function_call"):
            if item["type"] == "function_call":
                call = next(calls)
                sent = {"call_id": call.id, "name": sent_name(call), "arguments": sent_arguments_text(call, item)}
                items.append({"type": "function_call", **sent})
            elif item["type"] == "text":
                items.append({"role": "assistant", "content": item["text"]})
            elif item["type"] == "message" or item.get("encrypted_content"):
                items.append(item)
        return items

    def read(self, answer: dict[str, Any], tools: ToolFormats) -> Reply:
        """Return the answer as a reply."""
        status = answer.get("status")
        if status not in (None, "completed", "incomplete"):
            raise InvalidStateError(f"expected a finished response, got {shown(status)}: {shown(message_of(answer))}")
        items = dicts(answer, "output")
        said, calls, refused = [], [], False
        for item in items:
            kind = item.get("type")
            if kind == "function_call":
                calls.append(tools.call_from_openai_responses(item))
            elif kind == "message":
                for part in dicts(item, "content"):
                    if part.get("type") not in ("output_text", "refusal"):
                        raise CodecError(f"expected words, got a part {shown(part.get('type'))}, which is not taken")
                    refused |= part["type"] == "refusal"
                    said.append(text_of(part, "refusal" if part["type"] == "refusal" else "text"))
            elif kind != "reasoning":
                raise CodecError(f"expected words and function calls, got an item {shown(kind)}, which is not taken")
        stop = "calls" if calls else "end"
        if status == "incomplete":
            details = answer.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            stop = "refusal" if reason == "content_filter" else "length"
        usage = usage_of(answer.get("usage"), "input_tokens", output_key="output_tokens")
        return Reply(joined(said), tuple(calls), "refusal" if refused else stop, usage, (self.prefix, items))

    def _send(self, body: dict[str, Any], timeout: float) -> Any:
        return self.client.responses.create(**body, timeout=timeout)


_CLASSES: dict[str, type[ApiModel]] = {c.prefix: c for c in (AnthropicModel, OpenAIResponsesModel, OpenAIChatModel)}


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(f"a model of this kind needs the package {package}: `pip install 'rfx[agent]'`")
