"""The audit log: what was asked for, by whom, and what became of it."""

import json
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from rfx.arrays import integer
from rfx.errors import InvalidStateError
from rfx.skills.plain import to_json


@dataclass(frozen=True)
class AuditEntry:
    """One call that has ended.

    Attributes
    ----------
    call : int
        Number of the call, from 1.
    time_ns : int
        When it came, nanoseconds since 1970.
    caller, skill : str
        Who asked for what.
    arguments : object
        As they came, long ones cut short.
    ok : bool
        Whether it did what was asked.
    kind, error : str
        Why not.
    seconds : float
        From asking to answer.
    """

    call: int
    time_ns: int
    caller: str
    skill: str
    arguments: Any
    ok: bool
    kind: str
    error: str
    seconds: float


class AuditLog:
    """The last ``size`` calls in memory, and all of them in a JSON Lines file if one is named.

    In the file each call has a line ``"event": "begin"`` and a line ``"event": "end"``, each handed to the system at
    once. The first is there before anything runs, but for skills that stop: these run first and are written then.

    Parameters
    ----------
    path : path-like, optional
        Appended to. The folder must exist.
    size : int
        Entries kept in memory, at least 1.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, size: int = 1000) -> None:
        self._entries: deque[AuditEntry] = deque(maxlen=integer(size, "size", minimum=1))
        self._lock = threading.Lock()
        self._numbers, self._counting = 0, threading.Lock()  # of its own: a number is there while the disk hangs
        self._notes: deque[dict[str, Any]] = deque(maxlen=size)
        self.path = None if path is None else os.fspath(path)
        self._file = None if path is None else open(path, "a", encoding="utf-8")  # noqa: SIM115

    def number(self) -> int:
        """Return the number of a call that has come."""
        with self._counting:
            self._numbers += 1
            return self._numbers

    def begin(self, call: dict[str, Any]) -> bool:
        """Write down what is asked for, and return whether that could be done."""
        with self._lock:
            return self._write({"event": "begin", **call})

    def end(self, entry: AuditEntry) -> None:
        """Keep a call that has ended."""
        with self._lock:
            self._entries.append(entry)
            self._write({"event": "end", **vars(entry)})

    def note(self, event: str, **what: Any) -> bool:
        """Write down something that is no call, with the time; returns whether that could be done."""
        line = {"event": event, "time_ns": time.time_ns(), **to_json(what, items=32, text=300)}
        with self._lock:
            self._notes.append(line)
            return self._write(line)

    def notes(self) -> list[dict[str, Any]]:
        """Return the notes in memory, oldest first."""
        with self._lock:
            return list(self._notes)

    def entries(self) -> list[AuditEntry]:
        """Return what is in memory, oldest first."""
        with self._lock:
            return list(self._entries)

    def close(self) -> None:
        """Close the file. Later calls stay in memory; while a file is named, nothing may move without it."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"AuditLog({len(self)} calls in memory{f', {self.path}' if self.path else ''})"

    def __reduce__(self) -> Any:
        raise InvalidStateError("expected an audit log to stay where its file is, got a request to copy it")

    def _write(self, line: dict[str, Any]) -> bool:
        if self._file is None:
            return True
        try:
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()
        except (OSError, ValueError):  # a full disk, a closed file
            return False
        return True
