"""rfx.comm over Zenoh: what is closed in the middle of something, from a callback, twice, or in a forked program."""

import os
import subprocess
import sys
import threading

import pytest
from loopback import free_endpoint, pair, settled
from waiting import wait_for

from rfx.comm import Discovery, QoS, Transport
from rfx.comm.feed import Feed
from rfx.comm.latch import TOKENS
from rfx.comm.zenoh import open_session
from rfx.errors import InvalidStateError, RfxConnectionError

zenoh = pytest.importorskip("zenoh")


@pytest.fixture
def transport():
    with Transport.zenoh(shared_memory=False) as transport:
        yield transport


def in_time(work, seconds=20.0):
    """Run in a thread of its own; whether it came to an end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def test_one_that_waits_for_room_for_long_ends_at_once(transport, monkeypatch):
    """Closing waits for what takes messages in, which waited for room for as long as it was told to."""
    patience = []
    join = threading.Thread.join
    monkeypatch.setattr(
        threading.Thread, "join", lambda self, timeout=None: (join(self, timeout), patience.append(self))
    )
    subscription = transport.subscribe("k", 1, overflow="block", block_timeout=1000.0)
    for _ in range(3):
        transport.publish("k", b"")
    assert wait_for(lambda: len(subscription) == 1)
    subscription.close()
    assert [thread.name for thread in patience] == ["rfx:feed"]
    assert not patience[0].is_alive()
    counts = subscription.counts
    assert counts["accepted"] + counts["dropped"] == 3


def test_a_transport_that_is_closed_lets_go_who_waits_to_publish(transport):
    subscription = transport.subscribe("k", 1, overflow="block", block_timeout=1000.0)
    ended = []

    def publish():
        try:
            while True:
                transport.publish("k", b"")
        except InvalidStateError:
            ended.append(True)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    assert wait_for(lambda: transport._outboxes and transport._outboxes["k"][0].sent > 200)
    assert in_time(transport.close)
    thread.join(20)
    assert ended
    assert subscription.closed


def test_subscriptions_that_are_let_go_leave_no_threads(transport):
    before = threading.active_count()
    for k in range(20):
        transport.subscribe(f"k/{k}")
    assert wait_for(lambda: threading.active_count() <= before + 1)


def test_a_callback_may_close_the_session_that_it_is_called_by():
    end, closed = free_endpoint(), []
    with open_session(listen=end) as a:
        b = open_session(connect=end)
        b.subscribe("k", lambda _: (b.close(), closed.append(True)))
        assert wait_for(lambda: a.raw.put("k", b"") or closed)
        assert b.closed
        assert wait_for(lambda: not a.peers())


@pytest.mark.parametrize(
    "step",
    [
        lambda t: t.subscribe("a"),
        lambda t: t.subscribe("a", qos="state"),
        lambda t: t.publish("a", b""),
        lambda t: t.publish("a", b"", qos="state"),
        lambda t: t._declare_token("a"),
        lambda t: Discovery(t),
    ],
    ids=["subscribe", "subscribe latched", "publish", "publish latched", "token", "watch"],
)
def test_a_session_that_is_closed_just_after_one_has_looked_says_so(transport, monkeypatch, step):
    raw, real = transport.session.raw, transport.session

    class Looked:
        """A session that is closed between a look at it and what is done next."""

        looks = 0

        @property
        def closed(self):
            self.looks += 1
            if self.looks == 1:
                raw.close()
                return False
            return real.closed

        def __getattr__(self, name):
            return getattr(real, name)

    looked = Looked()
    monkeypatch.setattr(transport, "session", looked)
    with pytest.raises((InvalidStateError, RfxConnectionError)):
        step(transport)
    assert looked.looks >= 1


def test_a_feed_that_comes_as_the_session_ends_does_not_wait_for_ever(transport, monkeypatch):
    def late(*arguments):
        transport.session.close()
        return Feed(*arguments)

    monkeypatch.setattr("rfx.comm.zenoh.Feed", late)
    found = []

    def take():
        with pytest.raises(InvalidStateError, match="closed"):
            found.append(transport.subscribe("a").recv())

    assert in_time(take)
    assert not found


def test_making_room_for_other_keys_loses_no_message_of_another_thread():
    with pair(shared_memory=False) as (a, b), b.subscribe("k") as subscription:
        assert settled(a, subscription, "k")
        forgetful = []

        def numbers(before):  # asked for after the publisher was looked up, and before it sends
            for number in before:
                if not forgetful:
                    forgetful.append(number)
                    with a._outbox_lock:
                        a._forget()
                yield number

        a._numbers = numbers(a._numbers)
        a.publish("k", b"after all")
        assert forgetful
        assert subscription.recv_timeout(10).payload == b"after all"


def test_stopping_to_watch_from_two_threads_at_once_is_once(transport):
    stop = transport._watch_tokens("a/**", lambda key, there: None)
    stop()
    stop()
    discovery = Discovery(transport)
    both = [threading.Thread(target=discovery.close) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(10)


def test_tokens_of_others_that_name_no_key_change_nothing(transport):
    with transport.subscribe("**", qos=QoS.named("state", depth=8)) as subscription:
        transport._declare_token(f"{TOKENS}/x")
        transport.publish("a", b"1", qos="state")
        assert subscription.recv_timeout(10).payload == b"1"


FORKED = """
import os, sys, threading
from rfx.comm import Transport
from rfx.errors import InvalidStateError
transport = Transport.zenoh()
subscription = transport.subscribe("a")
transport.publish("a", b"1")
child = os.fork()
if child == 0:
    for ask in (subscription.drain, subscription.recv, lambda: transport.publish("a", b"2"), lambda: transport.subscribe("b")):
        try:
            ask()
        except InvalidStateError:
            print("closed", flush=True)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
transport.publish("a", b"3")
print([bytes(subscription.recv().payload) for _ in range(2)])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_program_that_was_forked_is_told_that_its_transport_is_closed_and_ends():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED], timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["closed", "closed", "closed", "3", "[b'1', b'3']", ""]


def test_who_opens_and_is_interrupted_leaves_no_session(monkeypatch):
    """Also while the thread that opens it is being started."""
    gate, late = threading.Lock(), []
    gate.acquire()

    class Late:
        def close(self):
            late.append(True)

    monkeypatch.setattr(zenoh, "open", lambda config: gate.acquire(timeout=30) and Late())

    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_session()
    gate.release()
    assert wait_for(lambda: late)
