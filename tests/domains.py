"""DDS domains for tests: nobody else on the machine uses one meanwhile, another run of the suite included."""

import contextlib
import itertools
import os
import tempfile
import time
from pathlib import Path

from rfx.go2.domains import LOWEST, in_use

try:
    import fcntl
except ImportError:
    fcntl = None

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
DOMAINS = LOWEST - 1  # the first of them; what the demo and the examples choose for themselves lies above
candidates = itertools.count(os.getpid())


@contextlib.contextmanager
def alone(domain):
    """Whether nobody else has the domain; who asks has it then, until the end of the block."""
    user = getattr(os, "getuid", int)()
    with open(Path(tempfile.gettempdir()) / f"rfx-test-domain-{user}-{domain}.lock", "w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield not in_use(domain)


@contextlib.contextmanager
def leased_domain():
    """A domain of one's own, until the end of the block; another one each time, as long as there are some."""
    share = max(1, DOMAINS // WORKERS)  # for each of the processes that tests are divided among
    for _ in range(600):
        domain = 1 + (WORKER * share + next(candidates) % share) % DOMAINS
        with alone(domain) as mine:
            if mine:
                yield domain
                return
        time.sleep(0.1)
    raise TimeoutError(f"expected a free DDS domain among 1 to {DOMAINS}, all are in use")
