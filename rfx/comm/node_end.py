"""The end of a program: no robot is left walking by it."""

import atexit
import contextlib
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any

running: set[Any] = set()  # nodes that were started and have not ended


def _stop_all() -> None:
    for node in list(running):
        with contextlib.suppress(Exception):
            node.stop()


# What was registered last is done first. Finalizers, by which a link to a robot is closed, are registered all together
# with the first of them: now, so that they come after this.
weakref.finalize(_stop_all, int)
atexit.register(_stop_all)


def close_all(made: Iterable[Any], failed: Callable[[BaseException], None]) -> None:
    """Close what has a method for it, all of it, whatever one of them raises."""
    for one in made:
        close = getattr(one, "close", None)
        try:
            if callable(close):
                close()
        except (Exception, SystemExit) as error:
            failed(error)


if hasattr(os, "register_at_fork"):  # the robot is the parent's
    os.register_at_fork(after_in_child=running.clear)
