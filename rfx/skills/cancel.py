"""How a call that moves learns that it must end."""

import threading

from rfx.arrays import number
from rfx.errors import RfxError


class SkillCancelled(RfxError, RuntimeError):
    """The call was stopped: raised by :meth:`CancelToken.check` inside a skill."""


class CancelToken:
    """Given to a skill that asks for it with a parameter ``cancel: CancelToken``; set by stop and by timeouts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reasons: list[str] = []  # the first one counts; an append is whole, whoever does it at the same time

    @property
    def cancelled(self) -> bool:
        """Whether the call must end."""
        return self._event.is_set()

    @property
    def reason(self) -> str:
        """Why, or an empty string."""
        return self._reasons[0] if self._reasons else ""

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask the call to end. The first reason stays."""
        if not self._event.is_set():
            self._reasons.append(reason)
            self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to ``seconds``, and return at once with True when the call must end.

        Raises
        ------
        InvalidValueError
            ``seconds`` is negative or not finite.
        """
        return self._event.wait(number(seconds, "seconds", minimum=0.0))

    def check(self) -> None:
        """Raise SkillCancelled when the call must end."""
        if self.cancelled:
            raise SkillCancelled(self.reason)

    def __repr__(self) -> str:
        return f"CancelToken({'cancelled: ' + self.reason if self.cancelled else 'running'})"
