"""rfx.comm.channel: many to many, blocking without the GIL, closing, counters, Ctrl+C."""

import os
import signal
import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_for

from rfx.comm import channel
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


def started(target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def test_what_is_sent_is_received_in_order():
    sender, receiver = channel()
    items = [object() for _ in range(100)]
    assert all(sender.send(x) for x in items)
    assert len(receiver) == 100
    received = [receiver.recv() for _ in items]
    assert all(a is b for a, b in zip(received, items, strict=True))
    assert receiver.try_recv() is None
    assert receiver.counts == {"accepted": 100, "taken": 100, "dropped": 0, "skipped": 0}


@given(st.lists(st.one_of(st.integers(1, 9), st.just(None)), max_size=60), st.integers(1, 5))
def test_a_channel_is_a_queue(steps, capacity):
    sender, receiver = channel(capacity)
    model = []
    for step in steps:
        if step is None:
            assert receiver.try_recv() == (model.pop(0) if model else None)
        else:
            assert sender.try_send(step) == (len(model) < capacity)
            if len(model) < capacity:
                model.append(step)
        assert len(sender) == len(model)
    assert receiver.drain() == model


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3])])
def test_what_a_full_channel_drops_is_counted(overflow, kept):
    sender, receiver = channel(3, overflow=overflow)
    results = [sender.send(x) for x in range(1, 6)]
    assert results == [True] * 3 + [overflow == "drop_oldest"] * 2
    assert receiver.counts["dropped"] == 2
    assert receiver.drain() == kept


def test_latest_skips_the_older_ones_and_counts_them():
    sender, receiver = channel()
    assert receiver.latest() is None
    for x in range(1, 6):
        sender.send(x)
    assert receiver.latest() == 5
    assert receiver.counts == {"accepted": 5, "taken": 1, "dropped": 0, "skipped": 4}


def test_a_full_channel_blocks_until_there_is_room():
    sender, receiver = channel(1)
    sender.send(1)
    done = []
    thread = started(lambda: done.append(sender.send(2)))
    assert not done
    assert receiver.recv() == 1
    thread.join(10)
    assert done == [True]
    assert receiver.recv() == 2


def test_latest_and_drain_make_room_for_all_who_wait():
    for take in ("latest", "drain"):
        sender, receiver = channel(2)
        sender.send(1)
        sender.send(2)
        threads = [started(sender.send, 3), started(sender.send, 4)]
        getattr(receiver, take)()
        for thread in threads:
            thread.join(10)
        assert sorted(receiver.drain()) == [3, 4]


def test_no_room_in_time_is_counted_as_dropped():
    sender, receiver = channel(1)
    sender.send(1)
    start = time.monotonic()
    assert not sender.send(2, 0.05)
    assert time.monotonic() - start >= 0.05
    assert not sender.try_send(3)
    assert not sender.send(4, 1e-12)
    assert receiver.counts["dropped"] == 3
    assert receiver.drain() == [1]


def test_recv_timeout_is_not_early():
    _, receiver = channel()
    start = time.monotonic()
    assert receiver.recv_timeout(0.05) is None
    assert time.monotonic() - start >= 0.05
    assert receiver.recv_timeout(0) is None


def test_a_closed_channel_gives_what_is_left_and_then_an_error():
    sender, receiver = channel()
    sender.send(1)
    sender.send(2)
    with sender:
        pass
    sender.close()
    assert receiver.closed
    for call in (lambda: sender.send(3), lambda: sender.try_send(3)):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    assert receiver.recv() == 1
    assert list(receiver) == [2]
    for call in (receiver.recv, receiver.try_recv, receiver.latest, lambda: receiver.recv_timeout(5)):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    assert receiver.drain() == []


@pytest.mark.parametrize("end", [0, 1])
def test_closing_wakes_all_who_wait(end):
    sender, receiver = ends = channel(1)
    errors = []

    def wait(call):
        try:
            call()
        except InvalidStateError as error:
            errors.append(error)

    if end:
        sender.send(0)
    call = (lambda: sender.send(1)) if end else receiver.recv
    threads = [started(wait, call) for _ in range(4)]
    time.sleep(0.02)
    ends[end].close()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 4


@pytest.mark.parametrize("capacity", [None, 1, 7])
def test_many_threads_send_and_receive_everything_once(capacity):
    sender, receiver = channel(capacity)
    lists = [[] for _ in range(4)]
    receivers = [started(lambda mine: mine.extend(receiver), mine) for mine in lists]
    senders = [started(lambda k: [sender.send((k, i)) for i in range(500)], k) for k in range(4)]
    for thread in senders:
        thread.join(30)
    sender.close()
    for thread in receivers:
        thread.join(30)
    assert Counter(x for mine in lists for x in mine) == Counter((k, i) for k in range(4) for i in range(500))
    for mine in lists:
        for k in range(4):
            order = [i for j, i in mine if j == k]
            assert order == sorted(order)


def test_waiting_receivers_that_give_up_do_not_lose_a_message():
    sender, receiver = channel()
    got = []

    def impatient():
        while len(got) < 200:
            item = receiver.recv_timeout(0.0005)
            if item is not None:
                got.append(item)

    threads = [started(impatient) for _ in range(4)]
    for i in range(1, 201):
        sender.send(i)
        time.sleep(0.0003)
    for thread in threads:
        thread.join(30)
    assert sorted(got) == list(range(1, 201))


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("what", ["recv", "send"])
def test_ctrl_c_gets_through_to_who_waits(what):
    sender, receiver = channel(1)
    if what == "send":
        sender.send(0)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        started(lambda: (time.sleep(0.1), os.kill(os.getpid(), signal.SIGINT)))
        receiver.recv() if what == "recv" else sender.send(1)
    sender.try_send(5)
    assert receiver.recv() == (5 if what == "recv" else 0)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_that_does_not_wake_the_main_thread_gets_through():
    """As one does not that comes just before the wait begins, or that the system hands to another thread."""
    _, receiver = channel(1)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        thread = started(lambda: (time.sleep(0.2), signal.pthread_kill(threading.get_ident(), signal.SIGINT)))
        receiver.recv()
    thread.join(10)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        started(lambda: (time.sleep(0.2), signal.pthread_kill(threading.get_ident(), signal.SIGINT)))
        receiver.recv_timeout(60.0)


def test_objects_are_let_go():
    class Thing:
        alive = 0

        def __init__(self):
            Thing.alive += 1

        def __del__(self):
            Thing.alive -= 1

    sender, receiver = channel(3, overflow="drop_oldest")
    for _ in range(10):
        sender.send(Thing())
    assert Thing.alive == 3
    receiver.recv()
    assert Thing.alive == 2
    del sender, receiver
    assert wait_for(lambda: Thing.alive == 0)


def test_wrong_arguments_are_refused():
    for capacity in (0, -1):
        with pytest.raises(InvalidValueError, match="capacity"):
            channel(capacity)
    with pytest.raises(DTypeError):
        channel(1.5)
    with pytest.raises(ConfigError, match="overflow"):
        channel(1, overflow="explode")
    sender, receiver = channel(1)
    with pytest.raises(DTypeError, match="None"):
        sender.send(None)
    for seconds in (-1.0, float("nan")):
        with pytest.raises(InvalidValueError, match="timeout"):
            receiver.recv_timeout(seconds)
        with pytest.raises(InvalidValueError, match="timeout"):
            sender.send(1, seconds)
    with pytest.raises(DTypeError):
        receiver.recv_timeout("soon")
    assert repr(sender) == "Sender(capacity=1, len=0)"
