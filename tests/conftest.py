"""Shared by all tests: fails early when the compiled modules are older than their sources."""

import contextlib
import importlib.machinery
import itertools
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

try:
    import fcntl
except ImportError:
    fcntl = None

# Not how long an example takes decides: 200 ms are soon over where others use the processor, too.
settings.register_profile("rfx", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rfx")

PACKAGE = Path(__file__).parent.parent / "rfx"


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    for source in PACKAGE.rglob("*.pyx"):
        built = source.with_name(source.stem + suffix)
        if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
            raise pytest.UsageError(
                f"{source.relative_to(PACKAGE.parent)} is newer than its compiled module: "
                "run `python setup.py build_ext --inplace`"
            )


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_DOMAINS = 100  # ports of ids up to 100 lie below the ephemeral range
_candidates = itertools.count(os.getpid())


@contextlib.contextmanager
def _leased(domain):
    """Whether nobody else on this machine has the domain; he who asks has it then, until the end of the block."""
    if fcntl is None:
        yield True
        return
    user = getattr(os, "getuid", int)()
    with open(Path(tempfile.gettempdir()) / f"rfx-test-domain-{user}-{domain}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@pytest.fixture
def domain_id():
    """A DDS domain for each test that no other test has on this machine, also of another run of this suite."""
    share = max(1, _DOMAINS // _WORKERS)  # of the domains, for each of the processes that tests are divided among
    for _ in range(600):
        domain = 1 + (_WORKER * share + next(_candidates) % share) % _DOMAINS
        with _leased(domain) as mine:
            if mine:
                yield domain
                return
        time.sleep(0.1)
    pytest.fail(f"expected a free DDS domain among 1 to {_DOMAINS}, all are in use")
