"""Shared by all tests: fails early when the compiled modules are older than their sources."""

import importlib.machinery
import itertools
import os
import signal
from pathlib import Path

import pytest

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
_domains = itertools.count(os.getpid())


@pytest.fixture
def domain_id():
    """A DDS domain of its own for each test and process; ports of ids up to 100 lie below the ephemeral range."""
    share = max(1, 100 // _WORKERS)  # of the domains, for each of the processes that tests are divided among
    return 1 + (_WORKER * share + next(_domains) % share) % 100
