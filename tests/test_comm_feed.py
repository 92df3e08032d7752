"""Who takes messages out of Zenoh's queue: the receiver, other receivers, or the thread that is kept for it."""

import asyncio
import os
import signal
import threading
import time

import pytest
from loopback import pair, settled
from waiting import wait_for

from rfx.errors import InvalidStateError

pytest.importorskip("zenoh")


@pytest.fixture(scope="module")
def both():
    with pair(shared_memory=False) as found:
        yield found


def number(message):
    return int.from_bytes(message.payload, "little")


def send(transport, count, pause=0.0):
    for k in range(count):
        transport.publish("k", k.to_bytes(4, "little"))
        if pause:
            time.sleep(pause)


def add_up(subscription):
    """Check that no message went uncounted."""
    counts = subscription.counts
    assert counts["accepted"] == counts["taken"] + counts["dropped"] + counts["skipped"] + len(subscription)


def test_all_come_in_order_while_one_receives(both):
    a, b = both
    with b.subscribe("k", 8, overflow="block", block_timeout=20.0) as subscription:
        assert settled(a, subscription, "k")
        thread = threading.Thread(target=send, args=(a, 3000))
        thread.start()
        assert [number(subscription.recv()) for _ in range(3000)] == list(range(3000))
        thread.join()
        assert subscription.counts["lost"] == subscription.dropped == 0
        add_up(subscription)


def test_each_is_received_once_by_many(both):
    a, b = both
    with b.subscribe("k", 4000, overflow="block") as subscription:
        assert settled(a, subscription, "k")
        got = [[] for _ in range(4)]

        def take(into):
            for message in subscription:
                into.append(number(message))

        threads = [threading.Thread(target=take, args=(into,)) for into in got]
        for thread in threads:
            thread.start()
        send(a, 500)
        send(a, 50, 0.003)
        assert wait_for(lambda: sum(map(len, got)) == 550)
        subscription.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert sorted(n for into in got for n in into) == sorted([*range(500), *range(50)])
        add_up(subscription)


def test_one_that_is_slow_gets_new_ones_and_the_rest_is_counted(both):
    a, b = both
    with b.subscribe("k", 2) as subscription:
        assert settled(a, subscription, "k")
        start = subscription.counts
        got, first = [], threading.Event()

        def send_in_two_parts():
            send(a, 100)
            assert first.wait(30)
            for k in range(100, 200):
                a.publish("k", k.to_bytes(4, "little"))

        thread = threading.Thread(target=send_in_two_parts)
        thread.start()
        assert wait_for(lambda: subscription.counts["accepted"] == start["accepted"] + 100)
        while not got or got[-1] < 199:
            got.append(number(subscription.recv()))
            first.set()
            time.sleep(0.003)
        thread.join()
        assert got == sorted(set(got))
        counts = {n: v - start[n] for n, v in subscription.counts.items()}
        assert counts["accepted"] == 200
        assert counts["taken"] == len(got) == 200 - counts["dropped"]
        assert counts["dropped"] > 0


def test_when_the_receiver_has_left_messages_go_on_being_counted_and_dropped(both):
    a, b = both
    with b.subscribe("k", 2) as subscription:
        assert settled(a, subscription, "k")
        send(a, 1)
        assert number(subscription.recv()) == 0
        accepted = subscription.counts["accepted"]
        send(a, 1000)  # more than wait in Zenoh's queue
        assert wait_for(lambda: subscription.counts["accepted"] == accepted + 1000)
        assert [number(m) for m in subscription.drain()] == [998, 999]


def test_other_ways_of_taking_go_on_after_a_receiver(both):
    a, b = both

    async def take():
        return number(await asyncio.wait_for(subscription.recv_async(), 10))

    with b.subscribe("k", 64) as subscription:
        assert settled(a, subscription, "k")
        for pause in (0.0, 0.002, 0.02):
            for way in (lambda: number(subscription.recv_timeout(10)), lambda: asyncio.run(take())):
                send(a, 1)
                assert number(subscription.recv()) == 0
                timer = threading.Timer(pause, send, (a, 1))
                timer.start()
                assert way() == 0
                timer.join()
        send(a, 1)
        subscription.recv()
        send(a, 3)
        found = []
        assert wait_for(lambda: found.append(subscription.latest()) or (found[-1] and number(found[-1]) == 2))
        assert len(subscription) == 0


@pytest.mark.parametrize("directly", [True, False])
def test_closing_ends_one_that_waits(both, directly):
    a, b = both
    subscription = b.subscribe("k")
    assert settled(a, subscription, "k")
    if directly:
        send(a, 1)
        subscription.recv()
    timer = threading.Timer(0.1, subscription.close)
    timer.start()
    with pytest.raises(InvalidStateError, match="closed"):
        subscription.recv()
    timer.join()


def test_closing_the_session_ends_one_that_waits():
    with pair() as (a, b):
        subscription = b.subscribe("k")
        assert settled(a, subscription, "k")
        send(a, 1)
        subscription.recv()
        timer = threading.Timer(0.1, b.session.close)
        timer.start()
        with pytest.raises(InvalidStateError, match="closed"):
            subscription.recv()
        timer.join()


def test_ctrl_c_gets_through_and_the_next_message_comes(both):
    a, b = both
    with b.subscribe("k") as subscription:
        assert settled(a, subscription, "k")
        send(a, 1)
        subscription.recv()
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            timer.start()  # in here: on a busy machine it may come before the next line
            subscription.recv()
        timer.join()
        send(a, 1)
        assert number(subscription.recv_timeout(10)) == 0


def test_a_signal_handler_may_close_what_it_interrupts(both):
    a, b = both
    subscription = b.subscribe("k")
    assert settled(a, subscription, "k")
    send(a, 1)
    subscription.recv()
    before = signal.signal(signal.SIGTERM, lambda *_: subscription.close())
    try:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(InvalidStateError, match="closed"):
            subscription.recv()
        timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
