"""Shared by all tests: fails early when the compiled modules are older than their sources."""

import importlib.machinery
import signal
from pathlib import Path

import hypothesis
import pytest
from domains import leased_domain

hypothesis.settings.register_profile("patient", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("patient")

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


@pytest.fixture
def domain_id():
    """A DDS domain that nobody else on this machine has."""
    with leased_domain() as domain:
        yield domain


@pytest.fixture
def other_domain_id():
    """Another one."""
    with leased_domain() as domain:
        yield domain


@pytest.fixture(scope="module")
def module_domain_id():
    """One for all tests of a file."""
    with leased_domain() as domain:
        yield domain
