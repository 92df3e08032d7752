"""rfx.go2.domains: who asks for a free DDS domain does not get one that somebody uses."""

import os

import pytest

from rfx.errors import InvalidValueError, RfxConnectionError
from rfx.go2 import free_domain
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.domains import in_use


def test_a_domain_is_in_use_while_a_participant_is_in_it(domain_id):
    assert not in_use(domain_id)
    with CycloneDomain(domain_id, LOOPBACK):
        assert in_use(domain_id)
        with pytest.raises(RfxConnectionError, match="all are in use"):
            free_domain(domain_id, domain_id)
    assert not in_use(domain_id)
    assert free_domain(domain_id, domain_id) == domain_id


def test_one_that_is_in_use_is_passed_over(domain_id):
    lowest = domain_id - (os.getpid() % 2)  # so that the search begins at the one in use
    with CycloneDomain(domain_id, LOOPBACK):
        assert free_domain(lowest, lowest + 1) == 2 * lowest + 1 - domain_id


def test_bounds_that_hold_nothing_are_refused():
    with pytest.raises(InvalidValueError, match="highest"):
        free_domain(9, 8)
    with pytest.raises(InvalidValueError, match="domain_id"):
        in_use(231)
