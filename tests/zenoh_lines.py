"""Lines between two transports over Zenoh."""

import contextlib
import sys

import pytest
from loopback import settled

pytest.importorskip("zenoh")

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc and /dev/shm")


@contextlib.contextmanager
def line(a, b, pattern="**", **arguments):
    """A subscription of b that hears a already."""
    with b.subscribe(pattern, **arguments) as subscription:
        assert settled(a, subscription, "ready" if pattern == "**" else pattern)
        yield subscription
