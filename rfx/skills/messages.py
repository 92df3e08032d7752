"""What goes to a model and what comes back, in words of our own: the formats of the APIs are in models.py."""

import re
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from rfx.errors import ConfigError, DTypeError
from rfx.skills.formats import ToolCall, ToolFormats
from rfx.skills.plain import shown
from rfx.skills.result import SkillResult

# Why a reply ends: it is complete, it asks for calls, it reached its length, the model refuses, the conversation is
# too long for the model, it wants to go on with the same turn.
STOPS = ("end", "calls", "length", "refusal", "context", "pause")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # what all APIs take


@dataclass(frozen=True)
class Usage:
    """Tokens that a reply took.

    Attributes
    ----------
    input, output : int
        Not negative; 0 where the API does not say.
    """

    input: int = 0
    output: int = 0

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise DTypeError(f"expected {name} tokens to be an int of at least 0, got {shown(value)}")

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.input + other.input, self.output + other.output)


def usage_of(given: Any, input_key: str, *more: str, output_key: str) -> Usage:
    """Return the usage out of what an API says; what is no count of tokens is taken for 0."""
    said = given if isinstance(given, dict) else {}

    def count(key: str) -> int:
        value = said.get(key)
        return value if type(value) is int and value > 0 else 0

    return Usage(sum(count(key) for key in (input_key, *more)), count(output_key))


@dataclass(frozen=True)
class Instruction:
    """What a person says."""

    text: str


@dataclass(frozen=True)
class Reply:
    """What a model says.

    Attributes
    ----------
    text : str
        Its words, empty where it has none.
    calls : tuple of ToolCall
        What it asks for.
    stop : str
        Why it ends: "end", "calls", "length", "refusal", "context" or "pause".
    usage : Usage
        Tokens taken.
    raw : tuple of str and list, optional
        The format and its blocks, to be sent back as they came. Not kept in transcripts.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: str = "end"
    usage: Usage = Usage()
    raw: tuple[str, list[dict[str, Any]]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise DTypeError(f"expected the text of a reply to be a string, got {shown(self.text)}")
        if not isinstance(self.calls, tuple) or not all(isinstance(c, ToolCall) for c in self.calls):
            raise DTypeError(f"expected the calls of a reply to be a tuple of ToolCall, got {shown(self.calls)}")
        if self.stop not in STOPS:
            raise ConfigError(f"expected a reply to stop for one of {', '.join(STOPS)}, got {shown(self.stop)}")
        if not isinstance(self.usage, Usage):
            raise DTypeError(f"expected the usage of a reply to be a Usage, got {shown(self.usage)}")


@dataclass(frozen=True)
class Answers:
    """What became of the calls of the reply before: one result for each, in order."""

    results: tuple[tuple[ToolCall, SkillResult], ...]


Message: TypeAlias = Instruction | Reply | Answers


@dataclass(frozen=True)
class Request:
    """What a model is asked.

    Attributes
    ----------
    system : str
        Who the model is and what it must keep to.
    messages : tuple of Instruction, Reply and Answers
        The conversation, oldest first.
    tools : ToolFormats
        The registry: writes tool lists, reads calls, writes answers.
    max_tokens : int
        Longest reply.
    timeout : float
        Seconds in which the reply is of use.
    """

    system: str
    messages: tuple[Message, ...]
    tools: ToolFormats
    max_tokens: int
    timeout: float


class Model(Protocol):
    """Whatever can answer: a client of an API, a script, a class of the user's.

    ``reply`` runs in a thread of its own and may take its time; what it raises ends the run. A late reply is dropped.
    """

    @property
    def name(self) -> str:
        """For transcripts."""
        ...

    def reply(self, request: Request) -> Reply:
        """Answer the last message."""
        ...


def with_own_ids(reply: Reply, used: set[str]) -> tuple[Reply, list[bool]]:
    """Give every call an id that the conversation has not seen, and say which calls have that of one before them.

    Some servers count from the beginning in every reply: an id of an earlier reply is exchanged, and the call is good.
    Twice the same id in one reply is one call that came twice.

    Parameters
    ----------
    reply : Reply
        As the model gave it.
    used : set of str
        Ids so far; those of this reply are added.

    Returns
    -------
    tuple
        The reply with ids that all APIs take, and for each call whether one before it in the reply has its id.
    """
    calls: list[ToolCall] = []
    repeated: list[bool] = []
    here: set[str] = set()
    for call in reply.calls:
        given = call.id if isinstance(call.id, str) and _CALL_ID.fullmatch(call.id) else ""
        repeated.append(bool(given) and given in here)
        here.add(given)
        name, number = given, len(used)
        while not name or name in used:
            number += 1
            name = f"call_{number}"
        used.add(name)
        calls.append(replace(call, id=name))
    return replace(reply, calls=tuple(calls)), repeated
