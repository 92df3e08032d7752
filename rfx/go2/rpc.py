"""Requests to the robot's services and their responses: a fixed header, a string and some octets."""

import struct
from typing import Any, ClassVar, Self

from rfx.errors import CodecError, DTypeError, InvalidValueError
from rfx.go2.octets import as_bytes
from rfx.go2.types import RequestHeader, ResponseHeader
from rfx.go2.wire import Struct

LITTLE = b"\x00\x01\x00\x00"


class Envelope:
    """Header, text and octets; the header is a live message, the text and the octets are replaced whole."""

    __slots__ = ("_binary", "_text", "header")
    HEADER: ClassVar[type[Struct]]
    TYPE_NAME: ClassVar[str]
    TEXT: ClassVar[str]

    def __init__(self, header: Any = None, text: str = "", binary: bytes = b"") -> None:
        if header is not None and type(header) is not self.HEADER:
            raise DTypeError(f"expected header to be a {self.HEADER.__name__}, got {type(header).__name__}")
        self.header = self.HEADER() if header is None else header
        self._text = checked_text(text, self.TEXT)
        self._binary = bytes(as_bytes(binary))

    @property
    def binary(self) -> bytes:
        """The octets."""
        return self._binary

    @binary.setter
    def binary(self, value: bytes) -> None:
        self._binary = bytes(as_bytes(value))

    def to_cdr(self) -> bytes:
        """Return the message as CDR bytes: header 00 01 00 00 and a little-endian XCDR1 body."""
        body = bytearray(self.header.to_cdr()[4:])
        text = self._text.encode() + b"\0"
        body += bytes(-len(body) % 4) + struct.pack("<I", len(text)) + text
        body += bytes(-len(body) % 4) + struct.pack("<I", len(self._binary)) + self._binary
        return LITTLE + bytes(body)

    @classmethod
    def from_cdr(cls, data: Any) -> Self:
        """Return the message that these CDR bytes hold, header included; CodecError where they are not one."""
        source = bytes(as_bytes(data))
        fixed = cls.HEADER.CDR_SIZE
        if len(source) < fixed:
            raise CodecError(f"expected {cls.__name__} in at least {fixed + 9} bytes of CDR, got {len(source)}")
        header = cls.HEADER.from_cdr(source[:fixed])
        order = "<" if source[1] == 1 else ">"
        raw, position = cls._block(source, fixed, order, cls.TEXT)
        if not raw or raw[-1] != 0 or b"\0" in raw[:-1]:
            raise CodecError(f"expected {cls.TEXT} of {cls.__name__} to end with its only NUL")
        try:
            text = raw[:-1].decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"expected {cls.TEXT} of {cls.__name__} to be UTF-8: {error}") from error
        binary, position = cls._block(source, position, order, "binary")
        if len(source) not in (position, position + -position % 4):
            raise CodecError(f"expected {cls.__name__} in {position} bytes of CDR, got {len(source)}")
        return cls(header, text, binary)

    @classmethod
    def _block(cls, source: bytes, position: int, order: str, name: str) -> tuple[bytes, int]:
        """Return a counted run of octets and where it ends."""
        start = position + -position % 4
        if start + 4 > len(source):
            raise CodecError(f"expected the length of {name} of {cls.__name__} at {start}, got {len(source)} bytes")
        (n,) = struct.unpack_from(order + "I", source, start)
        end = start + 4 + n
        if end > len(source):
            raise CodecError(
                f"expected {name} of {cls.__name__} to have {n} octets, {len(source) - start - 4} are left"
            )
        return source[start + 4 : end], end

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self.header, self._text, self._binary) == (other.header, other._text, other._binary)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_cdr, (self.to_cdr(),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.header!r}, {self.TEXT}={self._text!r}, binary={len(self._binary)} octets)"


class Request(Envelope):
    """A call of a service: ``header.identity.api_id`` says which function, ``parameter`` is JSON text."""

    __slots__ = ()
    header: RequestHeader
    HEADER = RequestHeader
    TYPE_NAME = "unitree_api::msg::dds_::Request_"
    TEXT = "parameter"

    def __init__(self, header: RequestHeader | None = None, parameter: str = "", binary: bytes = b"") -> None:
        super().__init__(header, parameter, binary)

    @property
    def parameter(self) -> str:
        """The text."""
        return self._text

    @parameter.setter
    def parameter(self, value: str) -> None:
        self._text = checked_text(value, "parameter")


class Response(Envelope):
    """What a service answers: ``header.status.code`` is 0 for success, ``data`` is JSON text."""

    __slots__ = ()
    header: ResponseHeader
    HEADER = ResponseHeader
    TYPE_NAME = "unitree_api::msg::dds_::Response_"
    TEXT = "data"

    def __init__(self, header: ResponseHeader | None = None, data: str = "", binary: bytes = b"") -> None:
        super().__init__(header, data, binary)

    @property
    def data(self) -> str:
        """The text."""
        return self._text

    @data.setter
    def data(self, value: str) -> None:
        self._text = checked_text(value, "data")


def checked_text(value: str, name: str) -> str:
    """Return text that CDR can carry: no NUL, no lone surrogates."""
    if not isinstance(value, str):
        raise DTypeError(f"expected {name} to be a string, got {type(value).__name__}")
    if "\0" in value:
        raise InvalidValueError(f"expected {name} without NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"expected {name} to be valid text: {error}") from error
    return value
