"""Which came first, a stop or what sets a robot going: what was begun before a stop and has not left yet leaves no more."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from rfx.errors import InvalidStateError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def _nothing() -> None:
    """Stop nothing."""


class Order:
    """One order for what several threads say to a robot.

    Whoever sets it going begins a :meth:`motion`, and sends each message of it inside of :meth:`sending`. A :meth:`stop` ends
    all that was begun before it: a message that is leaving has left when the lock is free, later ones raise. A motion that is
    begun after the stop goes on. A signal handler may stop, too: it can come while its own thread sends, and then the stop is
    said once more behind that message.

    Parameters
    ----------
    may : callable
        Raises while nothing may leave at all.

    Attributes
    ----------
    lock : RLock
        Held while a message leaves.
    """

    def __init__(self, may: Callable[[], None] = _nothing) -> None:
        self.lock = threading.RLock()
        self._may = may
        self._mark, self._what, self._again = object(), "", _nothing
        self._begun = threading.local()

    def __repr__(self) -> str:
        return f"Order({f'last stopped by {self._what}' if self._what else 'never stopped'})"

    def stop(self, what: str, again: Callable[[], None] = _nothing) -> None:
        """End what was begun up to now; ``again`` says the stop once more. Waits for nobody: see :attr:`lock`."""
        self._what, self._again = what, again
        self._mark = object()

    @contextlib.contextmanager
    def motion(self) -> Iterator[None]:
        """Begin something that a stop ends; one that is begun within another is part of it."""
        outer = getattr(self._begun, "mark", None)
        try:
            if outer is None:
                self._begun.mark = self._mark
            yield
        finally:
            self._begun.mark = outer

    def check(self, name: str) -> None:
        """Raise InvalidStateError where a stop came since this thread began its motion."""
        self._may()
        mark = getattr(self._begun, "mark", None)
        if mark is not None and mark is not self._mark:
            raise InvalidStateError(f"{self._what} came before {name} was sent: it is not sent")

    @contextlib.contextmanager
    def sending(self, name: str) -> Iterator[None]:
        """Around the sending of one message, which raises where it may not leave."""
        with self.lock:
            mark = self._mark
            self.check(name)
            yield
            if self._mark is not mark:
                self._again()


def motion(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a method a motion: a stop that comes before the last of its messages has left ends it."""

    @functools.wraps(method)
    def begun(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._order.motion():
            return method(self, *args, **kwargs)

    return begun
