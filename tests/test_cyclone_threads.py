"""rfx.go2.backends.cyclone from several threads: waits that are ended, and domains that are closed in the midst of it."""

import threading

import pytest
from waiting import wait_for

from rfx.errors import InvalidStateError, RfxConnectionError
from rfx.go2 import topics
from rfx.go2.backends import cyclone
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.backends.cyclone_backend import CycloneBackend
from rfx.go2.backends.links import _native, native_reason
from rfx.go2.messages import LowCmd, LowState


def aside(work):
    """Run in a thread of its own, for at most a moment: it may have to wait for a lock that the caller has."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(0.1)
    return thread


class Gated:
    """A guard condition; ``before`` is called before it is set to False."""

    def __init__(self, guard, before):
        self.guard, self.before = guard, before

    def set(self, triggered):
        if not triggered:
            self.before()
        self.guard.set(triggered)


@pytest.fixture
def domain(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        yield domain


@pytest.mark.parametrize("inside", [False, True], ids=["thread", "handler"])
def test_a_second_waking_while_the_first_is_forgotten_ends_one_more_wait_and_no_others(domain, inside):
    reader = domain.reader(topics.LOW_STATE, LowState)
    woken = []

    def again():
        if not woken:
            woken.append(reader.wake() if inside else aside(reader.wake))

    reader._guard = Gated(reader._guard, again)
    reader.wake()
    assert not reader.wait(10.0)
    assert woken
    assert wait_for(reader._woken.is_set)
    assert not reader.wait(10.0)
    assert not reader._woken.is_set()
    assert not reader.wait(0.05)  # a guard that was left behind would say that there is something to take, for ever


def test_a_reader_that_is_closed_while_a_waking_is_forgotten_ends_the_wait(domain):
    reader = domain.reader(topics.LOW_STATE, LowState)
    reader._guard = Gated(reader._guard, lambda: aside(reader.close))
    reader.wake()
    assert not reader.wait(10.0)
    assert wait_for(lambda: "closed" in repr(reader))


def test_closing_ends_the_waits_of_all_threads(domain_id):
    domain = CycloneDomain(domain_id, LOOPBACK)
    reader = domain.reader(topics.LOW_STATE, LowState)
    ended = []

    def wait():
        try:
            ended.append(reader.wait(60.0))
        except Exception as error:
            ended.append(error)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    domain.close()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 4
    assert all(end is False or isinstance(end, InvalidStateError) for end in ended), ended


def test_a_domain_that_two_threads_close_is_let_go_once(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as other:  # shares the domain in this process
        domain = CycloneDomain(domain_id, LOOPBACK)
        reader, threads = domain.reader(topics.LOW_STATE, LowState), []
        close = reader.close

        def gated():
            if not threads:
                threads.append(aside(domain.close))
            close()

        reader.close = gated
        domain.close()
        threads[0].join(10)
        assert not threads[0].is_alive()
        assert cyclone._domains._open[domain_id][2] == 1
        other.reader(topics.LOW_STATE, LowState).take()


def test_a_closing_that_ctrl_c_ended_is_finished_by_the_next(domain_id):
    domain = CycloneDomain(domain_id, LOOPBACK)
    reader = domain.reader(topics.LOW_STATE, LowState)
    close = reader.close

    def interrupted():
        reader.close = close
        raise KeyboardInterrupt

    reader.close = interrupted
    with pytest.raises(KeyboardInterrupt):
        domain.close()
    domain.close()
    assert domain_id not in cyclone._domains._open


@pytest.mark.parametrize("make", ["reader", "writer", "link"])
def test_nothing_is_made_on_a_domain_that_is_being_closed(domain_id, make):
    domain = CycloneDomain(domain_id, LOOPBACK)
    if make == "link" and native_reason(domain):
        domain.close()
        pytest.skip("no native link here")
    reader, writer = domain.reader(topics.LOW_STATE, LowState), domain.writer(topics.LOW_CMD, LowCmd)
    making = {
        "reader": lambda: domain.reader(topics.SPORT_MODE_STATE, LowState),
        "writer": lambda: domain.writer(topics.SPORT_MODE_STATE, LowState),
        "link": lambda: _native(domain, reader, writer),
    }
    made, threads, close = [], [], writer.close

    def work():
        try:
            made.append(making[make]())
        except (InvalidStateError, RfxConnectionError) as error:
            made.append(error)

    def gated():
        threads.append(aside(work))
        close()

    writer.close = gated
    domain.close()
    threads[0].join(10)
    assert isinstance(made[0], (InvalidStateError, RfxConnectionError)), made


@pytest.mark.parametrize("failures", [1, 4])
def test_a_topic_that_dds_refuses_for_a_moment_is_asked_for_again(domain, monkeypatch, failures):
    make, tried = cyclone.Topic, []

    def moody(*args, **kwargs):
        tried.append(args)
        if len(tried) <= failures:
            raise cyclone.DDSException(-3, "moody")
        return make(*args, **kwargs)

    monkeypatch.setattr(cyclone, "Topic", moody)
    reader, writer = domain.reader("rt/x", LowCmd), domain.writer("rt/x", LowCmd)
    assert len(tried) == failures + 1
    assert wait_for(lambda: writer.matched and reader.matched)


def test_a_topic_that_dds_refuses_for_good_is_named_and_the_domain_can_be_opened_again(domain_id, monkeypatch):
    def refuse(*args, **kwargs):
        raise cyclone.DDSException(-3, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(cyclone, "Topic", refuse)
        with pytest.raises(RfxConnectionError, match=rf"topic {topics.LOW_STATE} in domain {domain_id}.*refused"):
            CycloneBackend(domain_id, LOOPBACK)
    CycloneBackend(domain_id, LOOPBACK).disconnect()
