"""Transports for tests that hold on each kind: two ends of one link, as two programs have them."""

import importlib.util

import leases

from rfx.comm import Transport

KINDS = ["inproc"] + ["zenoh"] * (importlib.util.find_spec("zenoh") is not None)


def free_endpoint():
    """Return an address on the loopback interface where nobody listens."""
    return f"tcp/127.0.0.1:{leases.port()}"


def open_link(kind):
    """Return the two ends of a link: the same transport twice in one program, or two Zenoh sessions."""
    if kind == "inproc":
        transport = Transport()
        return transport, transport
    endpoint = free_endpoint()
    there = Transport.zenoh(listen=[endpoint])
    return Transport.zenoh(connect=[endpoint]), there
