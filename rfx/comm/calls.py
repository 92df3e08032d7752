"""What client and server of a service say to each other, and the errors that come of it.

Requests go out under ``<key>/request``, answers under ``<key>/reply/<client>``. A frame, little endian::

    0    2 bytes   "RS"
    2    uint8     version, 1
    3    uint8     kind: request 1, cancel 2; accepted 3, working 4, answer 5, failed 6
    4    uint32    request: for how many ms the caller waits; accepted .. failed: which server says so
    8    8 bytes   which client asked
    16   uint64    its number of the call, from 1
    24             a value (rfx.comm.values): request and answer; failed: {"kind", "message", "base": str}
"""

import struct
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from rfx import arrays, errors
from rfx.comm.keys import KeyExpr
from rfx.errors import CodecError, InvalidValueError, RfxConnectionError, RfxError

HEAD = struct.Struct("<2sBBI8sQ")
VERSION = 1
LONGEST_S = 1e6
_MOST_TEXT = 4000  # characters of an error's message


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    CANCEL = 2
    ACCEPTED = 3
    WORKING = 4
    ANSWER = 5
    FAILED = 6


class Frame(NamedTuple):
    """A frame, apart from the value behind it."""

    kind: Kind
    number: int  # the uint32 at 4
    client: bytes
    call: int


class ServiceError(RfxError):
    """A service's handler raised, or refused. What it raised says which error this is, too.

    Where the handler raised an error of :mod:`rfx.errors`, or a ValueError, TypeError, KeyError, LookupError, RuntimeError or
    TimeoutError, or a subclass of one, what the caller gets is both a ServiceError and that error.

    Attributes
    ----------
    kind : str
        Name of the class that was raised at the server.
    base : str
        Name of the nearest class of it that callers know, or "".
    message : str
        Its text.
    key : str
        Of the service.
    """

    kind = ""
    base = ""
    message = ""
    key = ""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (self.key, self.kind, self.message, self.base)


class ServiceGoneError(RfxConnectionError):
    """The server took the call and has closed or died since."""


def seal(kind: Kind, number: int, client: bytes, call: int, body: bytes = b"") -> bytes:
    """Return a frame's bytes."""
    return HEAD.pack(b"RS", VERSION, kind, number, client, call) + body


def unseal(payload: Any, limit: int) -> tuple[Frame, memoryview]:
    """Return a frame and what is behind it; CodecError where these bytes are none."""
    try:
        view = memoryview(payload).cast("B")
    except (TypeError, ValueError) as error:
        raise CodecError(f"expected contiguous bytes, got {type(payload).__name__}") from error
    if not HEAD.size <= len(view) <= HEAD.size + limit:
        raise CodecError(f"expected a frame of {HEAD.size} to {HEAD.size + limit} bytes, got {len(view)}")
    magic, version, kind, number, client, call = HEAD.unpack_from(view)
    if magic != b"RS" or version != VERSION or kind not in list(Kind):
        raise CodecError(f"expected a frame of version {VERSION}, got {bytes(view[:4])!r}")
    return Frame(Kind(kind), number, client, call), view[HEAD.size :]


def service_key(key: str) -> str:
    """Return the key of a service; InvalidValueError for a pattern."""
    expression = KeyExpr(key)
    if expression.is_pattern:
        raise InvalidValueError(f"expected the key of one service, got the pattern {str(expression)!r}")
    return str(expression)


def request_key(key: str) -> str:
    """Where requests go."""
    return f"{key}/request"


def reply_key(key: str, client: bytes) -> str:
    """Where the answers to a client go."""
    return f"{key}/reply/{client.hex()}"


def checked_timeout(timeout: float) -> float:
    """Return seconds above 0."""
    return arrays.number(timeout, "timeout", above=0.0, maximum=LONGEST_S)


def told(error: BaseException) -> dict[str, str]:
    """Return what a failed frame carries for an error. Of one that came by a service it is what that service said."""
    if isinstance(error, ServiceError):
        kind, base, text = error.kind, error.base, error.message
    else:
        names = [c.__name__ for c in type(error).__mro__]
        kind, base = names[0], next((name for name in names if name in _KNOWN), "")
        try:
            text = str(error.args[0]) if isinstance(error, KeyError) and len(error.args) == 1 else str(error)
        except Exception as worse:  # an error that cannot say what it is
            text = f"(its text raises {type(worse).__name__})"
        text = text.encode(errors="replace").decode()  # a value holds no half of a surrogate pair
    return {"kind": kind[:100], "base": base, "message": text[:_MOST_TEXT]}


_KNOWN: dict[str, type[Exception]] = {
    **{c.__name__: c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, RfxError)},
    **{c.__name__: c for c in (ValueError, TypeError, KeyError, LookupError, RuntimeError, TimeoutError)},
    "ServiceGoneError": ServiceGoneError,
}


@cache
def _class_of(base: str) -> type[ServiceError]:
    known = _KNOWN.get(base)
    if known is None or known is RfxError:
        return ServiceError
    return type("ServiceError", (ServiceError, known), {"__module__": __name__, "__doc__": ServiceError.__doc__})


def rebuilt(key: str, kind: str, message: str, base: str = "") -> ServiceError:
    """Return the error of a failed frame; only names of a fixed list choose a class."""
    made = _class_of(base if base in _KNOWN else "")
    error = made(f"service {key}: {kind}: {message}")
    error.kind, error.base, error.message, error.key = kind, base, message, key
    return error
