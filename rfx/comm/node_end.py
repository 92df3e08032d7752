"""The end of a program: no robot is left walking by it."""

import atexit
import contextlib
import weakref
from typing import Any

from rfx.errors import RfxError

running: "weakref.WeakSet[Any]" = weakref.WeakSet()  # nodes that were started and have not ended


@atexit.register
def _stop_all() -> None:
    for node in list(running):
        with contextlib.suppress(RfxError):
            node.stop()
