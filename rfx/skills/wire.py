"""Reading the answers of APIs part by part, and writing calls as the APIs take them back."""

import json
import re
from typing import Any

from rfx.errors import CodecError
from rfx.skills.formats import ToolCall
from rfx.skills.messages import Reply
from rfx.skills.plain import shown, to_json


def plain_answer(answer: Any) -> dict[str, Any]:
    """Return what a client gave as a dict."""
    if callable(getattr(answer, "to_dict", None)):
        answer = answer.to_dict(mode="json", exclude_none=True, warnings=False)
    if not isinstance(answer, dict):
        raise CodecError(f"expected an answer of the API, got {shown(answer)}")
    return answer


def dicts(thing: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a part that is a list of objects. Raises CodecError for others, as all of these do."""
    found = thing.get(key)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CodecError(f"expected {key!r} of an answer to be a list of objects, got {shown(found)}")
    return found


def text_of(thing: dict[str, Any], key: str) -> str:
    """Return a part that is a string, or an empty one where there is none."""
    found = thing.get(key)
    if not isinstance(found, str | None):
        raise CodecError(f"expected {key!r} of an answer to be a string, got {shown(found)}")
    return found or ""


def content_text(content: Any) -> str:
    """Return the content of a chat message, which some servers give in parts."""
    if not isinstance(content, list):
        return text_of({"content": content}, "content")
    parts = dicts({"content": content}, "content")
    for part in parts:
        if part.get("type") != "text":
            raise CodecError(f"expected words, got a part {shown(part.get('type'))}, which is not taken")
    return joined([text_of(part, "text") for part in parts])


def joined(words: list[str]) -> str:
    """Return the words of several blocks as one text."""
    return "\n".join(w for w in words if w)


def message_of(answer: dict[str, Any]) -> Any:
    """Return what an answer says about its error."""
    error = answer.get("error")
    return error.get("message") if isinstance(error, dict) else error


def raw_blocks(given: Reply, prefix: str, text: str, call: str) -> list[dict[str, Any]]:
    """Return the blocks of a reply as they came, or made of its words and calls where another format gave it."""
    if given.raw is not None and given.raw[0] == prefix:
        return given.raw[1]
    words: list[dict[str, Any]] = [{"type": text, "text": given.text}] if given.text else []
    return words + [{"type": call} for _ in given.calls]


def sent_name(call: ToolCall) -> str:
    """Return the name of a call as every API takes it back, also one that no skill has."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", str(call.name))[:64] or "unknown"


def sent_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments as an object, which the APIs want back also where none came."""
    plain = to_json(call.arguments)
    return plain if isinstance(plain, dict) else {"unreadable": plain}


def sent_arguments_text(call: ToolCall, came: Any) -> str:
    """Return the arguments as text: as it came where it can be read."""
    text: Any = came.get("arguments") if isinstance(came, dict) else None
    return text if _is_object(text) else json.dumps(sent_arguments(call), allow_nan=False)


def _is_object(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and infinities, which Python reads and JSON does not have
