"""Who may move now: one call at a time, and a stop before all of them."""

import threading
from dataclasses import dataclass, field

from rfx.skills.cancel import CancelToken


@dataclass(eq=False)
class Turn:
    """A call that wants to move: what the world was when it came, and the token it holds."""

    skill: str
    stops_seen: int
    token: CancelToken = field(default_factory=CancelToken)
    begun: bool = False

    def begin(self) -> None:
        """The function is about to run. Raises SkillCancelled if a stop came first."""
        self.begun = True
        self.token.check()


class MoverSlot:
    """One mover at a time. A turn lasts until the function has really returned, also after a timeout.

    A call that came before a stop never begins to move after it: every turn carries the number of stops that it has
    seen, and is refused when there have been more since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: Turn | None = None
        self._stops = 0
        self._stopping = 0

    def turn(self, skill: str) -> Turn:
        """Return a turn for a call that has come now. It holds nothing yet."""
        with self._lock:
            return Turn(skill, self._stops)

    def take(self, turn: Turn) -> tuple[str, str]:
        """Let the turn begin, and return empty strings, or say why it may not: the kind of result, and words."""
        with self._lock:
            if self._stopping:
                return "stopped", "a stop is being carried out"
            if self._stops != turn.stops_seen or turn.token.cancelled:
                return "stopped", "there was a stop after this call came"
            if self._holder is not None:
                return "busy", f"{self._holder.skill} is still moving the robot"
            self._holder = turn
            return "", ""

    def leave(self, turn: Turn, unless_begun: bool = False) -> None:
        """The function has returned, or never began: another may move."""
        with self._lock:
            if self._holder is turn and not (unless_begun and turn.begun):
                self._holder = None

    def stop(self, reason: str) -> None:
        """Cancel the call that moves, and let none begin until :meth:`stopped`."""
        with self._lock:
            self._stops += 1
            self._stopping += 1
            if self._holder is not None:
                self._holder.token.cancel(reason)

    def stopped(self) -> None:
        """End what :meth:`stop` began."""
        with self._lock:
            self._stopping -= 1

    @property
    def mover(self) -> str:
        """Name of the skill that moves now, or an empty string."""
        with self._lock:
            return self._holder.skill if self._holder is not None else ""
