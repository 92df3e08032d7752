"""Transports for tests that hold on each kind: two ends of one link, as two programs have them."""

import importlib.util

import pytest
from loopback import free_endpoint

from rfx.comm import Transport

KINDS = ["inproc"] + ["zenoh"] * (importlib.util.find_spec("zenoh") is not None)


__all__ = ["KINDS", "free_endpoint", "link", "open_link", "transport"]


def open_link(kind):
    """Return the two ends of a link: the same transport twice in one program, or two Zenoh sessions."""
    if kind == "inproc":
        transport = Transport()
        return transport, transport
    endpoint = free_endpoint()
    there = Transport.zenoh(listen=[endpoint])
    return Transport.zenoh(connect=[endpoint]), there


@pytest.fixture(params=KINDS)
def link(request):
    """The two ends of a link of each kind."""
    ends = open_link(request.param)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def transport():
    """A transport within one program."""
    with Transport() as transport:
        yield transport
