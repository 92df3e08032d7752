"""Who may move now: one call at a time, and a stop before all of them."""

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rfx.skills.cancel import CancelToken

STOPPED = "there was a stop after this call came"
_RUNNING: contextvars.ContextVar["Turn | None"] = contextvars.ContextVar("rfx_skills_turn", default=None)


@dataclass(eq=False)
class Turn:
    """A call that wants to move: what the world was when it came, and the token it holds.

    ``slot`` is None for a skill that stops, which no other stop keeps from its work. ``outer`` is the call in whose
    function this one was made.
    """

    skill: str
    stops_seen: int
    slot: "MoverSlot | None" = field(default=None, repr=False)
    token: CancelToken = field(default_factory=CancelToken)
    begun: bool = False
    outer: "Turn | None" = field(default=None, repr=False)
    came_ns: int = field(default_factory=time.monotonic_ns)

    def begin(self) -> None:
        """The function is about to run. Raises SkillCancelled if a stop came first."""
        self.begun = True
        self.token.check()

    @property
    def over(self) -> str:
        """Why nothing that this call does may move the robot any more, or an empty string."""
        if self.token.cancelled:
            return self.token.reason
        if self.slot is None:
            return ""
        if self.slot.stops != self.stops_seen:
            return STOPPED
        return self.outer.over if self.outer is not None else ""

    def came_after(self, stopped_ns: int) -> bool:
        """Whether this call came after a stop of that time; a skill that stops is never too late."""
        return self.slot is None or self.came_ns > stopped_ns

    def stops_itself(self, before_ns: int, now_ns: int) -> None:
        """Let this call go on after a stop of its own, unless somebody else's of ``before_ns`` has ended it."""
        if self.came_ns > before_ns:
            self.came_ns = now_ns + 1
        if self.outer is not None:
            self.outer.stops_itself(before_ns, now_ns)

    def run(self, func: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call a function as what this turn is about: :func:`current_turn` says so inside."""
        before = _RUNNING.set(self)
        try:
            return func(**arguments)
        finally:
            _RUNNING.reset(before)


def current_turn() -> Turn | None:
    """Return the turn of the call that this code runs in, or None."""
    return _RUNNING.get()


class MoverSlot:
    """One mover at a time. A turn lasts until the function has really returned, also after a timeout.

    A call that came before a stop never begins to move after it: every turn carries the number of stops that it has
    seen, and is refused when there have been more since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: Turn | None = None
        self._stops = 0
        self._stopping: set[object] = set()

    @property
    def stops(self) -> int:
        """How many stops there have been."""
        return self._stops

    def turn(self, skill: str) -> Turn:
        """Return a turn for a call that has come now. It holds nothing yet."""
        with self._lock:
            return Turn(skill, self._stops, self)

    def take(self, turn: Turn) -> tuple[str, str]:
        """Let the turn begin, and return empty strings, or say why it may not: the kind of result, and words."""
        with self._lock:
            if self._stopping:
                return "stopped", "a stop is being carried out"
            if turn.over:
                return "stopped", turn.over
            if self._holder is not None:
                return "busy", f"{self._holder.skill} is still moving the robot"
            self._holder = turn
            return "", ""

    def leave(self, turn: Turn, unless_begun: bool = False) -> None:
        """The function has returned, or never began: another may move."""
        with self._lock:
            if self._holder is turn and not (unless_begun and turn.begun):
                self._holder = None

    def stop(self, reason: str, who: object, by: Turn | None = None) -> None:
        """Cancel the call that moves, and let none begin until :meth:`stopped` of the same ``who``.

        ``by`` is the turn of the call that stops, if there is one: what it does after its own stop may move.
        """
        with self._lock:
            if by is not None and by.slot is self and by.stops_seen == self._stops:
                by.stops_seen += 1
            self._stops += 1
            self._stopping.add(who)
            if self._holder is not None:
                self._holder.token.cancel(reason)

    def stopped(self, who: object) -> None:
        """End what :meth:`stop` began; nothing if it did not."""
        with self._lock:
            self._stopping.discard(who)

    @property
    def mover(self) -> str:
        """Name of the skill that moves now, or an empty string."""
        with self._lock:
            return self._holder.skill if self._holder is not None else ""
