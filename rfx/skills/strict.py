"""The part of JSON Schema that OpenAI's strict mode takes, and how ours is put into it.

Facts (structured outputs guide): every object has ``additionalProperties: false`` and lists all its properties as
required; what is optional is nullable instead; a schema has at most 10 levels, 5000 properties, 1000 enum values and
120 000 characters in names and enum values. Keywords outside the list below are refused, so they become words.
"""

from collections.abc import Iterator
from typing import Any

from rfx.skills.plain import shown

LEVELS, PROPERTIES, ENUMS, CHARACTERS = 10, 5000, 1000, 120_000
KEPT = {"type", "enum", "anyOf", "items", "properties", "required", "additionalProperties", "description"}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minItems": "at least this many items:",
    "maxItems": "at most this many items:",
}
_WORDS = LIMITS | {"minLength": "at least this many characters:", "maxLength": "at most this many characters:"}


class _NotStrict(Exception):
    """The schema says what strict mode cannot say."""


def strict_schema(schema: dict[str, Any], limits: bool = True) -> dict[str, Any] | None:
    """Return ``schema`` for strict mode, or None where that mode cannot express it (free keys, too large).

    Parameters
    ----------
    schema : dict
        As :attr:`Skill.parameters` writes it.
    limits : bool
        Keep the limits of numbers and arrays as keywords. Some servers refuse them; without, they become words.
    """
    try:
        result = _strict(schema, limits)
    except _NotStrict:
        return None
    levels = _levels(result)
    properties = sum(len(s.get("properties", ())) for s in _all(result))
    values = [v for s in _all(result) for v in s.get("enum", ())]
    names = [name for s in _all(result) for name in s.get("properties", ())]
    characters = sum(len(str(v)) for v in values) + sum(map(len, names))
    fits = levels <= LEVELS and properties <= PROPERTIES and len(values) <= ENUMS and characters <= CHARACTERS
    return result if fits else None


def _strict(schema: dict[str, Any], limits: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    notes = []
    for key, value in schema.items():
        if key in ("properties", "required", "additionalProperties", "description", "default"):
            continue
        if key == "anyOf":
            result[key] = [_strict(s, limits) for s in value]
        elif key == "items":
            if value is not False:  # False follows prefixItems, which sets the length too
                result[key] = _strict(value, limits)
        elif key == "prefixItems":
            result["items"] = {"anyOf": _distinct([_strict(s, limits) for s in value])}
            notes.append("In this order: " + ", ".join(_kind_word(s) for s in value) + ".")
        elif key in KEPT or (limits and key in LIMITS):
            result[key] = value
        elif key in _WORDS:
            notes.append(f"{_WORDS[key].capitalize()} {value}.")
        else:
            raise _NotStrict(key)
    if schema.get("type") == "object":
        result |= _strict_object(schema, limits)
    text = " ".join(part for part in (schema.get("description", ""), *notes) if part)
    return {**result, "description": text} if text else result


def _strict_object(schema: dict[str, Any], limits: bool) -> dict[str, Any]:
    if schema.get("additionalProperties") is not False:
        raise _NotStrict("free keys")
    properties = {}
    for name, one in schema["properties"].items():
        made = _strict(one, limits)
        if name not in schema["required"]:
            made = _nullable(made, one.get("default"), _takes_null(one))
        properties[name] = made
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _nullable(made: dict[str, Any], default: Any, already: bool) -> dict[str, Any]:
    text = [made.pop("description")] if "description" in made else []
    text.append(f"Default: {shown(default)}." if already else f"null for the default, {shown(default)}.")
    return {**(made if already else {"anyOf": [made, {"type": "null"}]}), "description": " ".join(text)}


def _takes_null(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type", ())
    own = "null" in ([kinds] if isinstance(kinds, str) else kinds)
    return own or any(_takes_null(s) for s in schema.get("anyOf", ()))


def _distinct(schemas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for one in schemas:
        if one not in result:
            result.append(one)
    return result


def _kind_word(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "one of several kinds")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _below(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from schema.get("properties", {}).values()
    yield from schema.get("anyOf", ())
    if "items" in schema:
        yield schema["items"]


def _all(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for one in _below(schema):
        yield from _all(one)


def _levels(schema: dict[str, Any]) -> int:
    deeper = max((_levels(s) for s in _below(schema)), default=0)
    return deeper + (1 if schema.get("type") in ("object", "array") else 0)
