"""What an agent gets back from a call: never an exception, always something to go on with."""

import json
from dataclasses import dataclass
from typing import Any

from rfx.errors import RfxError
from rfx.skills.plain import to_json


class SkillError(RfxError, RuntimeError):
    """A skill says that it could not do what was asked: raised inside a skill, and told to the agent as it is.

    Parameters
    ----------
    message : str
        What went wrong.
    kind : {"failed", "limit", "busy", "arguments"}
        As in :class:`SkillResult`.
    hint : str
        What to do about it.
    value : object
        What became of it until then.
    """

    def __init__(self, message: str, kind: str = "failed", hint: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.kind, self.hint, self.value = kind, hint, value

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.kind, self.hint, self.value)


@dataclass(frozen=True)
class SkillResult:
    """The outcome of :meth:`SkillRegistry.execute`.

    Attributes
    ----------
    ok : bool
        Whether the skill did what was asked.
    value : object
        What it returned.
    kind : str
        Empty when ok; else "unknown skill", "arguments", "busy", "stopped", "timeout", "confirmation", "limit", "failed",
        "result" or "audit".
    error, hint : str
        What went wrong, and what to do about it.
    skill : str
        Its name, as it was asked for.
    call : int
        Number in the audit log.
    seconds : float
        How long it took.
    """

    ok: bool
    value: Any = None
    kind: str = ""
    error: str = ""
    hint: str = ""
    skill: str = ""
    call: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it: ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": ...}``."""
        if self.ok:
            return {"ok": True, "result": to_json(self.value)}
        found = {"ok": False, "kind": self.kind, "error": self.error, "hint": self.hint}
        if self.value is not None:
            found["result"] = to_json(self.value)
        return found

    def text(self) -> str:
        """Return it as JSON text for a model to read."""
        return json.dumps(self.to_dict(), allow_nan=False)


def refusal(kind: str, error: str, hint: str) -> SkillResult:
    """Return the result of a call that was not made, or not to its end."""
    return SkillResult(False, None, kind, error, hint)


def said(error: BaseException) -> str:
    """Return what an exception says, whatever its class is."""
    try:
        text = str(error)[:500]
    except Exception:
        text = "without a message"
    return f"{type(error).__name__}: {text}"
