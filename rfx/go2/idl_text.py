"""The messages' definitions as OMG IDL text, for tools that decode a recording without us."""

from typing import Any

from rfx.go2.rpc import Envelope

_NAMES = {
    "u8": "octet",
    "u16": "unsigned short",
    "u32": "unsigned long",
    "i16": "short",
    "i32": "long",
    "i64": "long long",
    "f32": "float",
    "bool": "boolean",
}


def idl_text(message: Any) -> str:
    """Return the IDL of one of our message classes and of all that it is made of, the parts first."""
    done: dict[str, str] = {}
    _define(message, done)
    return "\n".join(done.values())


def _define(message: Any, done: dict[str, str]) -> None:
    if message.TYPE_NAME in done:
        return
    lines = []
    if issubclass(message, Envelope):
        _define(message.HEADER, done)
        lines = [f"{message.HEADER.TYPE_NAME} header;", f"string {message.TEXT};", "sequence<octet> binary;"]
    else:
        for name, field in message.LAYOUT.fields.items():
            if isinstance(field.kind, type):
                _define(field.kind, done)
                kind = field.kind.TYPE_NAME  # type: ignore[attr-defined]
            else:
                kind = _NAMES[field.kind]
            lines.append(f"{kind} {name}[{field.count}];" if field.count else f"{kind} {name};")
    *modules, name = message.TYPE_NAME.split("::")
    opening = " ".join(f"module {m} {{" for m in modules)
    body = "".join(f"  {line}\n" for line in lines)
    done[message.TYPE_NAME] = f"{opening}\nstruct {name} {{\n{body}}};\n{'};' * len(modules)}\n"
