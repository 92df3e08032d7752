"""Models that say what they were told to say, for tests and for replays."""

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from rfx.errors import DTypeError, InvalidStateError
from rfx.skills.formats import ToolCall
from rfx.skills.messages import Reply, Request
from rfx.skills.plain import shown

# Words, a call, several of both, a finished reply, an error to raise, or a function of the request that returns one.
Scripted: TypeAlias = "str | ToolCall | list[str | ToolCall] | Reply | BaseException | Callable[[Request], Any]"


def as_reply(given: Any) -> Reply:
    """Return words, calls or both as a reply.

    Raises
    ------
    DTypeError
        It is none of these.
    """
    if isinstance(given, Reply):
        return given
    parts = given if isinstance(given, (list, tuple)) else [given]
    if not all(isinstance(p, (str, ToolCall)) for p in parts):
        raise DTypeError(f"expected words, calls or a Reply in a script, got {shown(given)}")
    calls = tuple(p for p in parts if isinstance(p, ToolCall))
    text = " ".join(p for p in parts if isinstance(p, str))
    return Reply(text, calls, "calls" if calls else "end")


class MockModel:
    """A model that gives scripted replies and keeps what it was asked.

    Parameters
    ----------
    replies : iterable
        Each a string (words that end the run), a :class:`ToolCall`, a list of both, a :class:`Reply`, an exception to
        raise, or a function of the :class:`Request` that returns one of these. May be endless.
    name : str
        For transcripts.

    Attributes
    ----------
    requests : list of Request
        What it was asked, oldest first.

    Examples
    --------
    >>> MockModel([ToolCall("walk", {"metres": 1.0}), "Done."])
    MockModel('mock', asked 0 times)
    """

    def __init__(self, replies: Iterable[Scripted], *, name: str = "mock") -> None:
        if isinstance(replies, str):
            raise DTypeError(f"expected a list of replies, got the string {shown(replies)}")
        self.name = name
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._replies = iter(replies)

    def reply(self, request: Request) -> Reply:
        """Give the next reply.

        Raises
        ------
        InvalidStateError
            The script is over.
        """
        with self._lock:
            self.requests.append(request)
            nothing = object()
            given: Any = next(self._replies, nothing)
        if given is nothing:
            raise InvalidStateError(f"expected no more than {len(self.requests) - 1} requests, got one more")
        if callable(given) and not isinstance(given, type):
            given = given(request)
        if isinstance(given, BaseException):
            raise given
        return as_reply(given)

    def __repr__(self) -> str:
        return f"MockModel({self.name!r}, asked {len(self.requests)} times)"
