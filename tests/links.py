"""Transports for tests that hold on each kind: two ends of one link, as two programs have them."""

import contextlib
import importlib.util

from loopback import free_endpoint

from rfx.comm import Transport

KINDS = ["inproc"] + ["zenoh"] * (importlib.util.find_spec("zenoh") is not None)


__all__ = ["KINDS", "free_endpoint", "linked", "open_link"]


def open_link(kind):
    """Return the two ends of a link: the same transport twice in one program, or two Zenoh sessions."""
    if kind == "inproc":
        transport = Transport()
        return transport, transport
    endpoint = free_endpoint()
    there = Transport.zenoh(listen=[endpoint])
    return Transport.zenoh(connect=[endpoint]), there


@contextlib.contextmanager
def linked(kind):
    """The two ends of a link, closed at the end of the block."""
    ends = open_link(kind)
    try:
        yield ends
    finally:
        for end in ends:
            end.close()
