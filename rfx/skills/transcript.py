"""The transcript: everything that was said and done in a run, without keys, as JSON Lines."""

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rfx.errors import CodecError, DTypeError
from rfx.skills.formats import ToolCall
from rfx.skills.messages import Reply, Usage
from rfx.skills.plain import shown, to_json

if TYPE_CHECKING:
    from rfx.skills.mock import MockModel

FORMAT, VERSION = "rfx-transcript", 1
KINDS = ("instruction", "reply", "result", "stop", "end")
HIDDEN = "[key]"
_SECRET = re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


@dataclass(frozen=True)
class TranscriptEntry:
    """One thing that happened.

    Attributes
    ----------
    kind : str
        "instruction", "reply" (of the model), "result" (of one call), "stop" (the agent stopped the robot) or "end".
    turn : int
        How many times the model had been asked.
    time_ns : int
        When, nanoseconds since 1970.
    seconds : float
        How long it took.
    data : dict
        As JSON can hold it: of an instruction ``text``; of a reply ``text``, ``calls`` (``name``, ``arguments``,
        ``id``), ``stop`` and ``usage``; of a result ``id``, ``skill``, ``call`` (number in the audit log) and what the
        model got; of a stop ``reason`` and ``results``; of the end ``ended``, ``error`` and ``usage``.
    """

    kind: str
    turn: int
    time_ns: int
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)


class Transcript:
    """What happened in one run, in order.

    Parameters
    ----------
    about : dict
        Model, system prompt, names of the skills and limits.
    secrets : iterable of str
        Whatever contains one of these gets "[key]" in its place; what looks like a key does so in any case.
    """

    def __init__(self, about: dict[str, Any] | None = None, *, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(s for s in secrets if s)
        self._entries: list[TranscriptEntry] = []
        self.about: dict[str, Any] = self.hidden(to_json({} if about is None else about))

    def add(self, kind: str, turn: int, data: dict[str, Any], seconds: float = 0.0) -> TranscriptEntry:
        """Write down what happened now, and return it."""
        plain = self.hidden(to_json(data, depth=24))
        entry = TranscriptEntry(kind, turn, time.time_ns(), float(seconds), plain)
        self._entries.append(entry)
        return entry

    def hidden(self, value: Any) -> Any:
        """Return plain data with its keys hidden."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, HIDDEN)
            return _SECRET.sub(HIDDEN, value)
        if isinstance(value, dict):
            return {self.hidden(k): self.hidden(v) for k, v in value.items()}
        return [self.hidden(v) for v in value] if isinstance(value, list) else value

    @property
    def entries(self) -> list[TranscriptEntry]:
        """What happened, oldest first."""
        return list(self._entries)

    @property
    def ended(self) -> str:
        """Why the run ended, or an empty string while it goes on."""
        last = self._entries[-1] if self._entries else None
        return last.data.get("ended", "") if last is not None and last.kind == "end" else ""

    @property
    def calls(self) -> list[tuple[str, Any, bool, str]]:
        """Every call of the model that was answered: skill, arguments, ok, kind."""
        asked = {c["id"]: c for e in self._entries if e.kind == "reply" for c in e.data["calls"]}
        results = [e.data for e in self._entries if e.kind == "result"]
        return [(r["skill"], asked.get(r["id"], {}).get("arguments"), r["ok"], r.get("kind", "")) for r in results]

    def outline(self) -> list[tuple[Any, ...]]:
        """Return what happened without times, ids and tokens, to compare two runs."""
        kept = {
            "instruction": ("text",),
            "reply": ("text", "stop"),
            "result": ("skill", "ok", "kind", "error", "result"),
            "stop": ("reason",),
            "end": ("ended",),
        }
        lines: list[tuple[Any, ...]] = []
        for entry in self._entries:
            line = [entry.kind, *(entry.data.get(key) for key in kept[entry.kind])]
            if entry.kind == "reply":
                line.append([(c["name"], c["arguments"]) for c in entry.data["calls"]])
            lines.append(tuple(line))
        return lines

    def replies(self) -> list[Reply]:
        """Return what the model said, as replies that a :class:`MockModel` can give again."""
        return [_reply(entry.data) for entry in self._entries if entry.kind == "reply"]

    def model(self) -> "MockModel":
        """Return a model that says the same again."""
        from rfx.skills.mock import MockModel

        return MockModel(self.replies(), name=f"replay of {self.about.get('model', 'a transcript')}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON Lines, one header and one line for each entry. An older file of that name is replaced."""
        lines = [{"format": FORMAT, "version": VERSION, "about": self.about}, *(asdict(e) for e in self._entries)]
        text = "".join(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n" for line in lines)
        beside = f"{os.fspath(path)}.{os.getpid()}-{threading.get_ident()}.part"  # nobody else writes there
        try:
            with open(beside, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.remove(beside)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Transcript":
        """Read what :meth:`save` wrote.

        Raises
        ------
        CodecError
            It is no transcript: the message says which line.
        """
        with open(path, encoding="utf-8") as file:
            try:
                lines = file.read().removesuffix("\n").split("\n")
            except UnicodeDecodeError as error:
                raise CodecError(f"expected a transcript in UTF-8, got {error}") from None
        head = _line(lines[0], 1)
        if head.get("format") != FORMAT or head.get("version") != VERSION or not isinstance(head.get("about"), dict):
            raise CodecError(f"expected line 1 to say {FORMAT!r} version {VERSION}, got {shown(lines[0])}")
        made = cls(head["about"])
        for number, line in enumerate(lines[1:], 2):
            made._entries.append(_entry(_line(line, number), number))
        return made

    def __iter__(self) -> Iterator[TranscriptEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transcript):
            return NotImplemented
        return self.about == other.about and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        turns = sum(e.kind == "reply" for e in self._entries)
        calls = sum(e.kind == "result" for e in self._entries)
        return f"Transcript({turns} replies, {calls} calls, {self.ended or 'going on'})"


def reply_data(reply: Reply) -> dict[str, Any]:
    """Return what a transcript keeps of a reply."""
    calls = [{"name": c.name, "arguments": c.arguments, "id": c.id} for c in reply.calls]
    return {"text": reply.text, "calls": calls, "stop": reply.stop, "usage": asdict(reply.usage)}


def _reply(data: dict[str, Any]) -> Reply:
    calls = tuple(ToolCall(c["name"], c["arguments"], c["id"]) for c in data["calls"])
    return Reply(data["text"], calls, data["stop"], Usage(**data["usage"]))


def _line(text: str, number: int) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise CodecError(f"expected line {number} to be JSON, got {shown(text)}") from None
    if not isinstance(read, dict):
        raise CodecError(f"expected line {number} to be an object, got {shown(read)}")
    return read


def _entry(read: dict[str, Any], number: int) -> TranscriptEntry:
    kinds = {"kind": str, "turn": int, "time_ns": int, "seconds": (int, float), "data": dict}
    wrong = [k for k, t in kinds.items() if not isinstance(read.get(k), t)]  # type: ignore[arg-type]
    if wrong or set(read) != set(kinds) or read["kind"] not in KINDS:
        raise CodecError(
            f"expected line {number} to be an entry of a transcript, got {shown(read)} ({', '.join(wrong)})"
        )
    try:
        if read["kind"] == "reply":
            _reply(read["data"])
        if read["kind"] == "result":
            _ = read["data"]["skill"], read["data"]["id"], read["data"]["ok"]
    except (KeyError, TypeError, ValueError, DTypeError) as error:
        raise CodecError(
            f"expected line {number} to hold a {read['kind']}, got {type(error).__name__}: {error}"
        ) from None
    return TranscriptEntry(**read)
