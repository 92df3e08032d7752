"""Addresses on the loopback interface that nobody listens at."""

import itertools
import os
import socket

_FIRST, _PORTS = 20_000, 12_000  # below those that a system gives to who connects: nobody takes one in between
_candidates = itertools.count(os.getpid() * 7919)  # two runs of the suite at once begin at different ones


def free_endpoint():
    """An endpoint that nobody listens at, and that was not given out before."""
    for number in itertools.islice(_candidates, _PORTS):
        port = _FIRST + number % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"tcp/127.0.0.1:{port}"
    raise RuntimeError(f"expected a free port among {_FIRST} to {_FIRST + _PORTS - 1}, got none")
