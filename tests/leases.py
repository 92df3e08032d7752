"""What two runs of the suite on one machine must not share: DDS domains, and TCP ports. A lock on a file is a lease."""

import contextlib
import itertools
import os
import socket
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_DOMAINS = 100  # ports of ids up to 100 lie below the ephemeral range
_SHARE = max(1, _DOMAINS // _WORKERS)  # of the domains, for each of the processes that tests are divided among
_FIRST_PORT, _BLOCK, _BLOCKS = (
    19_000,
    100,
    120,
)  # also below the ephemeral range, and above what DDS uses on few machines
_candidates = itertools.count(os.getpid())
_ports = {}  # by process: its lease, and the ports of its block round and round


def _lease(name):
    """Return what has to be kept open as long as the lease lasts; None where somebody else has it."""
    user = getattr(os, "getuid", int)()
    file = open(Path(tempfile.gettempdir()) / f"rfx-test-{name}-{user}.lock", "w")  # noqa: SIM115
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
    return file


@contextlib.contextmanager
def domain():
    """A DDS domain that no other test has on this machine, also of another run of this suite."""
    for _ in range(600):
        number = 1 + (_WORKER * _SHARE + next(_candidates) % _SHARE) % _DOMAINS
        lease = _lease(f"domain-{number}")
        if lease is not None:
            with lease:
                yield number
            return
        time.sleep(0.1)
    raise RuntimeError(f"expected a free DDS domain among 1 to {_DOMAINS}, all are in use")


def port():
    """A TCP port on loopback that nobody listens at, and that no other run of this suite is given."""
    if os.getpid() not in _ports:
        taken = ((block, _lease(f"ports-{block}")) for block in range(_BLOCKS))
        block, lease = next((block, lease) for block, lease in taken if lease is not None)
        first = _FIRST_PORT + _BLOCK * block
        _ports[os.getpid()] = lease, itertools.cycle(range(first, first + _BLOCK))
    for number in itertools.islice(_ports[os.getpid()][1], _BLOCK):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise RuntimeError("expected a free TCP port, got none")
