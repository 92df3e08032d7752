"""How far long work has come: one rewritten line on a terminal; elsewhere a line for every tenth, or after 5 s."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rfx import arrays

REFRESH_S = 0.1
SILENCE_S = 5.0


class Progress:
    """Say on ``stream`` how much of ``total`` is done.

    Parameters
    ----------
    total : float
        What :meth:`update` counts up to.
    label : str
        What is going on.
    stream : file, optional
        By default standard error.
    """

    def __init__(self, total: float, label: str, stream: TextIO | None = None) -> None:
        self.total = arrays.number(total, "total", above=0)
        self.label = label
        self._stream = sys.stderr if stream is None else stream
        self._tty = self._stream.isatty()
        self._shown_s = time.monotonic() - REFRESH_S
        self._tenth = -1
        self._width = 0

    def __repr__(self) -> str:
        return f"Progress({self.label!r}, total={self.total:g})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._tty and self._width:
            print(file=self._stream, flush=True)

    def update(self, done: float, note: str = "") -> None:
        """Say that so much is done; cheap to call often."""
        share = min(1.0, max(0.0, done / self.total))
        line = f"{self.label}: {done:6.1f} of {self.total:g}  {note}"
        now = time.monotonic()
        if self._tty:
            if now - self._shown_s < REFRESH_S and share < 1.0:
                return
            self._shown_s = now
            bar = "#" * round(20 * share)
            line = f"{self.label} [{bar:<20}] {100 * share:3.0f} %  {note}"
            print("\r" + line.ljust(self._width), end="", file=self._stream, flush=True)
            self._width = len(line)
        elif int(10 * share) > self._tenth or now - self._shown_s >= SILENCE_S:
            self._shown_s = now
            self._tenth = int(10 * share)
            print(line.rstrip(), file=self._stream, flush=True)
