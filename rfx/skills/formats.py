"""Tool lists and tool calls in four formats: OpenAI Chat, OpenAI Responses, Anthropic Messages and MCP.

Names are at most 64 of ``A-Z a-z 0-9 _ -`` and keys at most 64 of the same and ``.``, which all four take. Schemas
are JSON Schema 2020-12 with an object at the root.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rfx.errors import CodecError, ConfigError
from rfx.skills.decorator import Skill
from rfx.skills.kinds import Record
from rfx.skills.plain import shown, to_json
from rfx.skills.result import SkillResult
from rfx.skills.strict import strict_schema

OPENAI_TOOLS, OPENAI_DESCRIPTION = 128, 1024  # what its API refuses more of


@dataclass(frozen=True)
class ToolCall:
    """What a model asks for.

    Attributes
    ----------
    name : str
        Name of the skill.
    arguments : object
        A dict; what could not be read as JSON stays the string that came, which ``execute`` refuses with a message.
    id : str
        To which the answer belongs; empty in MCP.
    """

    name: str
    arguments: Any
    id: str = ""


class ToolFormats:
    """The formats, for whoever has ``skills`` and ``get`` (the registry)."""

    @property
    def skills(self) -> list[Skill]:
        """All skills."""
        return []

    def get(self, name: str) -> Skill | None:
        """Return the skill of that name, or None."""
        return next((s for s in self.skills if s.name == name), None)

    def to_openai_chat(
        self, strict: bool = True, *, limits: bool = True, skills: Iterable[Skill] | None = None
    ) -> list[dict[str, Any]]:
        """Return the ``tools`` of OpenAI Chat Completions.

        Parameters
        ----------
        strict : bool
            Ask for strict mode where a skill can be expressed in it; one with free keys (``dict[str, X]``) cannot and
            gets ``"strict": false``.
        limits : bool
            In strict mode, keep limits of numbers and arrays as keywords; False turns them into words.
        skills : iterable of Skill, optional
            Only these, from :meth:`SkillRegistry.filter` for example.

        Raises
        ------
        ConfigError
            More than 128 skills.
        """
        return [{"type": "function", "function": f} for f in self._openai(strict, limits, skills)]

    def to_openai_responses(
        self, strict: bool = True, *, limits: bool = True, skills: Iterable[Skill] | None = None
    ) -> list[dict[str, Any]]:
        """Return the ``tools`` of OpenAI Responses. Parameters as in :meth:`to_openai_chat`."""
        return [{"type": "function", **f} for f in self._openai(strict, limits, skills)]

    def _openai(self, strict: bool, limits: bool, skills: Iterable[Skill] | None) -> list[dict[str, Any]]:
        chosen = self.skills if skills is None else list(skills)
        if len(chosen) > OPENAI_TOOLS:
            raise ConfigError(f"expected at most {OPENAI_TOOLS} skills for OpenAI, got {len(chosen)}; filter them")
        result = []
        for one in chosen:
            schema = strict_schema(one.parameters, limits) if strict else None
            text = one.description
            text = text if len(text) <= OPENAI_DESCRIPTION else text[: OPENAI_DESCRIPTION - 3] + "..."
            made = {"name": one.name, "description": text, "parameters": schema or one.parameters}
            result.append({**made, "strict": schema is not None})
        return result

    def to_anthropic(self, *, skills: Iterable[Skill] | None = None) -> list[dict[str, Any]]:
        """Return the ``tools`` of Anthropic Messages."""
        chosen = self.skills if skills is None else skills
        return [{"name": s.name, "description": s.description, "input_schema": s.parameters} for s in chosen]

    def to_mcp(self, *, skills: Iterable[Skill] | None = None) -> list[dict[str, Any]]:
        """Return the ``tools`` of an MCP ``tools/list`` result, with output schemas and annotations."""
        return [_mcp_tool(s) for s in (self.skills if skills is None else skills)]

    def call_from_openai_chat(self, call: Any) -> ToolCall:
        """Read one of ``message.tool_calls``, a dict or an object of the client library.

        Nulls that stand for defaults in strict mode are taken out.

        Raises
        ------
        CodecError
            It is no tool call.
        """
        function = _part(call, "function")
        return self._call(_text(function, "name"), _part(function, "arguments"), _text(call, "id"), nulls=True)

    def call_from_openai_responses(self, item: Any) -> ToolCall:
        """Read a ``function_call`` item of the output, a dict or an object. Raises CodecError if it is none."""
        _typed(item, "function_call")
        return self._call(_text(item, "name"), _part(item, "arguments"), _text(item, "call_id"), nulls=True)

    def call_from_anthropic(self, block: Any) -> ToolCall:
        """Read a ``tool_use`` block of a message, a dict or an object. Raises CodecError if it is none."""
        _typed(block, "tool_use")
        return self._call(_text(block, "name"), _part(block, "input"), _text(block, "id"), nulls=False)

    def call_from_mcp(self, request: Any) -> ToolCall:
        """Read the ``params`` of ``tools/call``, or the whole request. Raises CodecError if it is none."""
        if isinstance(request, dict) and "params" in request:
            if request.get("method") != "tools/call":
                raise CodecError(f"expected the method 'tools/call', got {shown(request.get('method'))}")
            request = request["params"]
        arguments = _part(request, "arguments", None)
        return self._call(_text(request, "name"), {} if arguments is None else arguments, "", nulls=False)

    def _call(self, name: str, arguments: Any, call: str, nulls: bool) -> ToolCall:
        read = _arguments(arguments)
        found = self.get(name)
        if nulls and found is not None:
            read = found.arguments.without_nulls(read)
        return ToolCall(name, read, call)

    def result_to_openai_chat(self, call: ToolCall, result: SkillResult) -> dict[str, Any]:
        """Return the message that answers a call."""
        return {"role": "tool", "tool_call_id": call.id, "content": result.text()}

    def result_to_openai_responses(self, call: ToolCall, result: SkillResult) -> dict[str, Any]:
        """Return the input item that answers a call."""
        return {"type": "function_call_output", "call_id": call.id, "output": result.text()}

    def result_to_anthropic(self, call: ToolCall, result: SkillResult) -> dict[str, Any]:
        """Return the ``tool_result`` block that answers a call."""
        answer = {"type": "tool_result", "tool_use_id": call.id, "content": result.text()}
        return answer if result.ok else {**answer, "is_error": True}

    def result_to_mcp(self, call: ToolCall, result: SkillResult) -> dict[str, Any]:
        """Return the result of ``tools/call``, with structured content where the skill has an output schema."""
        answer: dict[str, Any] = {"content": [{"type": "text", "text": result.text()}], "isError": not result.ok}
        found = self.get(call.name)
        if result.ok and found is not None and found.returns is not None:
            value = to_json(result.value)
            answer["structuredContent"] = value if isinstance(found.returns, Record) else {"result": value}
        return answer


def _mcp_tool(one: Skill) -> dict[str, Any]:
    reads = one.effects == {"reads"}
    tool = {
        "name": one.name,
        "title": one.name.replace("_", " ").replace("-", " ").capitalize(),
        "description": one.description,
        "inputSchema": one.parameters,
        "annotations": {
            "readOnlyHint": reads,
            "destructiveHint": one.moves,
            "idempotentHint": reads or one.stops,
            "openWorldHint": False,
        },
    }
    if one.returns is not None:
        schema = one.returns.schema()
        if not isinstance(one.returns, Record):
            keys = {"properties": {"result": schema}, "required": ["result"], "additionalProperties": False}
            schema = {"type": "object", **keys}
        tool["outputSchema"] = schema
    return tool


_NONE: Any = object()


def _part(thing: Any, name: str, default: Any = _NONE) -> Any:
    value = thing.get(name, default) if isinstance(thing, dict) else getattr(thing, name, default)
    if value is _NONE:
        raise CodecError(f"expected a tool call with {name!r}, got {shown(thing)} without it")
    return value


def _text(thing: Any, name: str) -> str:
    value = _part(thing, name)
    if not isinstance(value, str):
        raise CodecError(f"expected {name!r} of a tool call to be a string, got {shown(value)}")
    return value


def _typed(thing: Any, kind: str) -> None:
    if _part(thing, "type") != kind:
        raise CodecError(f"expected a tool call of type {kind!r}, got {shown(_part(thing, 'type'))}")


def _arguments(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given) if given.strip() else {}
    except (ValueError, RecursionError):  # execute says what is wrong, so that the model can correct it
        return given
