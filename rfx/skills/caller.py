"""Who asks for a call, whether they are still there, and how they hear of its progress."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rfx.arrays import number
from rfx.errors import DTypeError

_CURRENT: contextvars.ContextVar["Caller | None"] = contextvars.ContextVar("rfx_skills_caller", default=None)
_BEFORE: contextvars.ContextVar[tuple["Caller | None", ...]] = contextvars.ContextVar("rfx_skills_callers", default=())
_LOG = logging.getLogger("rfx.skills")

Progress = Callable[[float, float, str], None]


class Caller:
    """The one on whose behalf skills run inside ``with caller:``, in any number of threads and tasks.

    When the caller is gone, its mover is cancelled and the robot stopped. Calls of others are not touched.

    Parameters
    ----------
    name : str
        For the audit log.
    expires_s : float, optional
        Gone without :meth:`renew` for so long (s). None where the end of the connection is told by :meth:`gone`.
    progress : callable, optional
        ``progress(done, total, text)`` hears how far a call has come. What it raises is logged and left.
    """

    def __init__(self, name: str = "", *, expires_s: float | None = None, progress: Progress | None = None) -> None:
        if not isinstance(name, str):
            raise DTypeError(f"expected name to be a str, got {type(name).__name__}")
        if progress is not None and not callable(progress):
            raise DTypeError(f"expected progress to be callable, got {type(progress).__name__}")
        self.name = name
        self._expires_s = None if expires_s is None else number(expires_s, "expires_s", above=0.0)
        self._progress = progress
        self._lock = threading.Lock()
        self._renewed_s = time.monotonic()
        self._reason = ""
        self._watchers: list[Callable[[str], None]] = []

    @property
    def reason(self) -> str:
        """Why the caller is gone; empty while it is there."""
        with self._lock:
            if not self._reason and self._expires_s is not None:
                silent = time.monotonic() - self._renewed_s
                if silent > self._expires_s:
                    self._reason = f"{self.name or 'the caller'} has not been heard of for {silent:.2f} s"
            return self._reason

    def renew(self) -> None:
        """Say that the caller is there. One that is gone does not come back."""
        if not self.reason:
            with self._lock:
                self._renewed_s = time.monotonic()

    def gone(self, reason: str = "the caller is gone") -> None:
        """End what runs on the caller's behalf. The first reason stays."""
        with self._lock:
            self._reason = self._reason or reason or "the caller is gone"
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            try:
                watcher(self._reason)
            except Exception:
                _LOG.exception("a watcher of the caller %r raised", self.name)

    def on_gone(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call ``watcher(reason)`` once when the caller is told to be gone, at once if it is; returns what takes it back."""
        with self._lock:
            reason = self._reason
            if not reason:
                self._watchers.append(watcher)
        if reason:
            watcher(reason)

        def forget() -> None:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

        return forget

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Tell how far a call has come."""
        if self._progress is None:
            return
        try:
            self._progress(done, total, text)
        except Exception:
            _LOG.exception("telling %r about progress failed", self.name)

    def __enter__(self) -> Self:
        _BEFORE.set((*_BEFORE.get(), _CURRENT.get()))
        _CURRENT.set(self)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        *rest, before = _BEFORE.get()
        _BEFORE.set(tuple(rest))
        _CURRENT.set(before)

    def __repr__(self) -> str:
        return f"Caller({self.name!r}, {'gone: ' + self.reason if self.reason else 'there'})"


def current_caller() -> Caller | None:
    """Return the caller on whose behalf this code runs, or None."""
    return _CURRENT.get()


def report_progress(done: float, total: float, text: str = "") -> None:
    """Tell the caller, if there is one, how far the call has come."""
    caller = _CURRENT.get()
    if caller is not None:
        caller.progress(done, total, text)
