"""Transport.zenoh: two transports on loopback, and two programs, one of them killed."""

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
from loopback import free_endpoint, pair, settled
from waiting import wait_for
from zenoh_lines import line

from rfx.comm import KeyExpr, Transport
from rfx.errors import DTypeError, InvalidStateError, InvalidValueError

pytest.importorskip("zenoh")


@pytest.fixture(scope="module", params=[False, True], ids=["network", "shared memory"])
def both(request):
    with pair(shared_memory=request.param) as (a, b):
        yield a, b


PAYLOADS = [
    b"",
    b"bytes",
    bytes(range(256)) * 64,
    bytearray(b"bytearray"),
    memoryview(b"view" * 3000),
    memoryview(bytes(range(200)) * 100)[::2],
    np.arange(5.0),
    np.array(3.5, "<f4"),
    np.zeros((0, 3)),
    np.zeros((64, 48, 3), np.uint8),
    np.asfortranarray(np.arange(6000.0).reshape(60, 100)),
    np.arange(20000, dtype=">i4")[::2],
    np.array(["2026-01-01"], "M8[s]"),
    np.array([True, False]),
    np.array(["ab", "c"]),
    np.array([1 + 2j], np.complex64),
]


def test_what_is_sent_comes_with_its_number_time_and_metadata(both):
    a, b = both
    metadata = {"frame": "body", "rate": 0.1, "list": [1, None, True], "é": {"a": "ü"}}
    with line(a, b) as subscription:
        for k, payload in enumerate(PAYLOADS):
            before = time.time_ns()
            sent = a.publish(f"go2/{k}", payload, metadata if k else None)
            got = subscription.recv_timeout(5)
            assert (got.key, got.sequence, got.timestamp_ns) == (f"go2/{k}", sent.sequence, sent.timestamp_ns)
            assert before <= got.timestamp_ns <= time.time_ns()
            assert got.metadata == (metadata if k else None)
            if isinstance(payload, np.ndarray):
                assert (got.payload.dtype, got.payload.shape) == (payload.dtype, payload.shape)
                np.testing.assert_array_equal(got.payload, payload)
                assert not got.payload.flags.writeable
            else:
                assert bytes(got.payload) == bytes(payload)
        assert subscription.counts["refused"] == subscription.counts["lost"] == subscription.dropped == 0


def test_the_sender_may_write_into_its_memory_afterwards(both):
    a, b = both
    for size in (3, 100_000):
        image = np.zeros(size)
        with line(a, b) as subscription:
            a.publish("image", image)
            image[:] = 7
            assert not subscription.recv_timeout(5).payload.any()


def test_a_message_reaches_all_whose_pattern_matches_and_no_other(both):
    a, b = both
    patterns = ["go2/left/state", "go2/*/state", "go2/**", "go2/$*ft/state", "go2/left", "*", "@go2/**", "go2/left/*"]
    with line(a, b) as everything, contextlib.ExitStack() as stack:
        subscriptions = {p: stack.enter_context(b.subscribe(p)) for p in patterns}
        here = {p: stack.enter_context(a.subscribe(p)) for p in patterns}
        assert settled(a, everything, "other/key")
        for key in ("go2/left/state", "go2/*/state", "go2/left"):
            a.publish(key, b"x")
            assert everything.recv_timeout(5).key == key
            for subscription in (*subscriptions.values(), *here.values()):
                found = subscription.recv_timeout(0.01 if not KeyExpr(subscription.pattern).intersects(key) else 5)
                assert (found is not None) == KeyExpr(subscription.pattern).intersects(key)


def test_both_backends_refuse_the_same_keys(both):
    with Transport() as within:
        for transport in (*both, within):
            for key in ("", "a//b", "a/", "/a", "a*", "$*", "**/**", "**/*", "a#", "a?b"):
                with pytest.raises(InvalidValueError, match="expected a key expression"):
                    transport.publish(key, b"")
                with pytest.raises(InvalidValueError, match="expected a key expression"):
                    transport.subscribe(key)
            with pytest.raises(DTypeError):
                transport.publish(3, b"")


def test_wrong_arguments_are_refused_and_take_no_number(both):
    a, _ = both
    number = a.publish("a", b"").sequence
    structure = np.zeros(2, [("x", float)])
    for payload in ("text", 3, None, [1], np.array([object()]), structure):
        with pytest.raises(DTypeError, match="payload"):
            a.publish("a", payload)
    for metadata in (3, {1: 2}, {"a": b"bytes"}, {"a": {1, 2}}):
        with pytest.raises(DTypeError, match="metadata"):
            a.publish("a", b"", metadata)
    for metadata in ({"a": float("nan")}, {"a": "x" * 70_000}, {"a": "\ud800"}):
        with pytest.raises(InvalidValueError):
            a.publish("a", b"", metadata)
    assert a.publish("a", b"").sequence == number + 1


def test_capacity_overflow_and_latest_are_those_of_every_transport(both):
    a, b = both
    with line(a, b, "k", capacity=2) as subscription:
        counted = subscription.counts["accepted"]
        for k in range(5):
            a.publish("k", bytes([k]))
        assert wait_for(lambda: subscription.counts["accepted"] == counted + 5)
        assert subscription.dropped == 3
        assert bytes(subscription.latest().payload) == b"\x04"
        assert subscription.counts["skipped"] == 1
        assert subscription.try_recv() is None


def test_callbacks_and_coroutines(both):
    a, b = both
    seen = []

    async def take(subscription):
        return [(await subscription.recv_async()).payload for _ in range(3)]

    with line(a, b, "k") as subscription, b.subscribe("k", callback=lambda m: seen.append(m.payload)):
        assert settled(a, subscription, "k")
        timer = threading.Timer(0.05, lambda: [a.publish("k", bytes([k])) for k in range(3)])
        timer.start()
        assert asyncio.run(take(subscription)) == [b"\0", b"\1", b"\2"]
        assert wait_for(lambda: seen[-3:] == [b"\0", b"\1", b"\2"])
        timer.join()


def test_what_came_before_the_end_can_be_taken_after_it(both):
    a, _ = both
    for overflow in ("drop_oldest", "block"):
        subscription = a.subscribe("k", 64, overflow=overflow)
        for k in range(80):
            a.publish("k", bytes([k]))
        a.unsubscribe(subscription)
        counts = subscription.counts
        assert counts["accepted"] + (counts["dropped"] if overflow == "block" else 0) == 80
        assert len(list(subscription)) == 64


def test_closing_leaves_no_thread_of_ours():
    before = set(threading.enumerate())
    with pair(shared_memory=True) as (a, b), line(a, b), a.subscribe("**", callback=print):
        assert wait_for(lambda: len(set(threading.enumerate()) - before) == 3)  # those that opened may still be ending
    assert wait_for(lambda: set(threading.enumerate()) <= before)
    assert a._pool.hold(np.zeros(10_000)) is None


def test_unsubscribing_ends_what_comes(both):
    a, b = both
    with line(a, b) as subscription:
        assert b.subscriber_count == 1
        assert not a.unsubscribe(subscription)
        assert b.unsubscribe(subscription)
        assert not b.unsubscribe(subscription)
        with pytest.raises(InvalidStateError):
            subscription.recv()
    assert b.subscriber_count == 0
    b.subscribe("**")
    gc.collect()
    assert b.subscriber_count == 0


def test_messages_of_programs_that_know_nothing_of_us(both):
    a, b = both
    with line(a, b) as subscription:
        a.session.raw.put("foreign", b"hello")
        got = subscription.recv_timeout(5)
        assert (got.key, got.sequence, got.metadata, got.payload) == ("foreign", 0, None, b"hello")
        a.session.raw.delete("foreign")
        a.session.raw.put("foreign", b"again")
        assert subscription.recv_timeout(5).payload == b"again"


def test_hostile_attachments_are_refused_and_counted(both):
    a, b = both
    good = []
    with line(a, b) as subscription:
        mine = a.session.raw.declare_publisher("k")
        with a.session.raw.declare_subscriber("good", lambda s: good.append(s.attachment.to_bytes())):
            a.publish("good", np.zeros(3))
            assert wait_for(lambda: good)
        assert subscription.recv_timeout(5).key == "good"
        bad = [b"", b"\xf7", b"\0" * 40, good[0][:39], b"\xf8" + good[0][1:], os.urandom(200), b"\xf7\x01" * 300]
        for attachment in bad:
            mine.put(b"x" * 24, attachment=attachment)
        mine.put(b"x" * 23, attachment=good[0])
        mine.put(b"x" * 24, attachment=good[0])
        assert subscription.recv_timeout(5).payload.shape == (3,)
        assert subscription.counts["refused"] == len(bad) + 1


def test_what_a_sender_sent_and_did_not_come_is_counted(both):
    a, b = both
    with line(a, b, "k") as subscription:
        taken = []
        with a.session.raw.declare_subscriber("k", lambda s: taken.append(s.attachment.to_bytes())):
            a.publish("k", b"1")
            assert wait_for(lambda: taken)
        head = bytearray(taken[0])
        head[32:40] = (int.from_bytes(head[32:40], "little") + 4).to_bytes(8, "little")
        a.session.raw.put("k", b"5", attachment=bytes(head))
        assert [bytes(subscription.recv_timeout(5).payload) for _ in range(2)] == [b"1", b"5"]
        assert subscription.counts["lost"] == 3


def test_many_keys_do_not_fill_the_memory(both):
    a, b = both
    with line(a, b) as subscription:
        for k in range(1100):
            a.publish(f"k/{k}", b"")
        assert len(a._outboxes) <= 1024
        assert wait_for(lambda: len(subscription) == 1024)
        assert subscription.counts["lost"] == 0


def test_ctrl_c_gets_through_while_a_message_waits_for_room_here():
    with Transport.zenoh() as transport, transport.subscribe("k", 1, overflow="block", block_timeout=20.0) as slow:
        transport.publish("k", b"1")
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            timer.start()
            transport.publish("k", b"2")
            threading.Event().wait(60)
        timer.join()
        assert slow.recv_timeout(5).payload == b"1"


def test_closing_ends_all():
    with pair() as (a, b), b.subscribe("**") as subscription:
        b.close()
        b.close()
        assert subscription.closed
        assert b.session.closed
        for call in (lambda: b.publish("a", b""), lambda: b.subscribe("a")):
            with pytest.raises(InvalidStateError, match="closed"):
                call()
        a.publish("known", b"")
        a.session.close()
        for key in ("known", "new"):
            with pytest.raises(InvalidStateError, match="closed"):
                a.publish(key, b"")


def test_a_key_prefix_is_added_and_taken_off():
    end = free_endpoint()
    with (
        Transport.zenoh(listen=end) as a,
        Transport.zenoh(connect=end, key_prefix="lab/1") as b,
        a.subscribe("**") as plain,
        b.subscribe("**") as prefixed,
    ):
        assert settled(b, plain)
        assert settled(a, prefixed, "lab/1/x")
        b.publish("state", b"")
        heard = []
        assert wait_for(lambda: heard.extend(m.key for m in plain.drain()) or "lab/1/state" in heard)
        assert "state" not in heard
        a.publish("elsewhere", b"")
        a.publish("lab/1/last", b"")
        keys = []
        assert wait_for(lambda: keys.extend(m.key for m in prefixed.drain()) or "last" in keys)
        assert set(keys) <= {"x", "last", "state", "ready"}
