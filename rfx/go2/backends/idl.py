"""Unitree's messages as cyclonedds IDL classes, made from the same field lists as ours.

Octets are declared as ``byte``: cyclonedds 11 announces ``uint8`` in a way that ends every 0.10 peer, the robot's
included. The wire format is the same.
"""

import dataclasses
import functools
import types as pytypes
from typing import Any

from rfx.errors import DTypeError, MissingDependencyError
from rfx.go2 import messages
from rfx.go2.rpc import Envelope
from rfx.go2.wire import Struct

try:
    from cyclonedds.idl import IdlStruct, annotations, types
except ImportError as error:
    raise MissingDependencyError(
        "DDS needs cyclonedds, which has no wheel for every platform: `pip install 'cyclonedds>=11.0.1,<12'` "
        f"on CPython 3.11 to 3.13 ({error})"
    ) from error

_NUMBERS = {
    "u8": types.byte,
    "u16": types.uint16,
    "u32": types.uint32,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "f32": types.float32,
    "bool": bool,
}


@functools.cache
def idl_class(message: Any) -> Any:
    """Return the IDL class of one of our message classes."""
    if issubclass(message, Envelope):
        header = idl_class(message.HEADER)
        fields = {"header": header, message.TEXT: str, "binary": types.sequence[types.byte]}
    else:
        fields = {}
        for name, field in message.LAYOUT.fields.items():
            kind = idl_class(field.kind) if isinstance(field.kind, type) else _NUMBERS[field.kind]
            fields[name] = types.array[kind, field.count] if field.count else kind

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = fields
        namespace["__module__"] = __name__

    made = pytypes.new_class(message.__name__, (IdlStruct,), {"typename": message.TYPE_NAME.replace("::", ".")}, fill)
    return annotations.final(annotations.autoid("sequential")(dataclasses.dataclass(made)))


def to_idl(message: Any) -> Any:
    """Return the IDL object that holds the same as one of our messages."""
    kind: Any = type(message)
    if isinstance(message, Envelope):
        made = idl_class(kind)
        text = getattr(message, message.TEXT)
        return made(to_idl(message.header), text, list(message.binary))
    if not isinstance(message, Struct):
        raise DTypeError(f"expected a message, got {type(message).__name__}")
    values = []
    for name, field in kind.LAYOUT.fields.items():
        value = getattr(message, name)
        if isinstance(field.kind, type):
            value = [to_idl(v) for v in value] if field.count else to_idl(value)
        if field.count:
            value = bytes(value) if field.kind == "u8" else list(value)
        values.append(value)
    return idl_class(kind)(*values)


def from_idl(message: Any, sample: Any) -> Any:
    """Return our message of that class from an IDL object."""
    return message.from_cdr(sample.serialize(use_version_2=False))


LowCmd = idl_class(messages.LowCmd)
LowState = idl_class(messages.LowState)
SportModeState = idl_class(messages.SportModeState)
WirelessController = idl_class(messages.WirelessController)
Request = idl_class(messages.Request)
Response = idl_class(messages.Response)
