"""rfx.comm.transport: who gets which message, that nothing is copied, back-pressure, callbacks, asyncio, threads."""

import asyncio
import gc
import pickle
import threading
import time

import numpy as np
import pytest
from waiting import wait_for

from rfx.comm import KeyExpr, Transport, TransportEnvelope, TransportSubscription
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


@pytest.fixture
def transport():
    with Transport() as made:
        yield made


def address(payload):
    return np.frombuffer(payload, np.uint8).__array_interface__["data"][0]


def test_a_message_reaches_all_whose_pattern_matches_and_no_other(transport):
    patterns = ["go2/left/state", "go2/*/state", "go2/**", "**", "go2/$*ft/state", "go2/left", "*", "@go2/**"]
    subscriptions = {p: transport.subscribe(p) for p in patterns}
    sent = transport.publish("go2/left/state", b"x")
    for pattern, subscription in subscriptions.items():
        assert subscription.drain() == ([sent] if KeyExpr(pattern).intersects("go2/left/state") else [])
    assert sum(s.counts["accepted"] for s in subscriptions.values()) == 5


def test_a_message_published_under_a_pattern_reaches_what_has_a_key_in_common(transport):
    left, other = transport.subscribe("go2/left"), transport.subscribe("b2/left")
    transport.publish("go2/*", b"stop")
    assert left.recv().key == "go2/*"
    assert other.try_recv() is None


@pytest.mark.parametrize(
    "payload",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        np.arange(5.0),
        np.zeros((3, 2), np.uint8),
        np.asfortranarray(np.ones((4, 3))),
    ],
    ids=lambda p: type(p).__name__,
)
def test_nothing_is_copied_and_the_receiver_cannot_write(transport, payload):
    first, second = transport.subscribe("a"), transport.subscribe("*")
    transport.publish("a", payload)
    for subscription in (first, second):
        got = subscription.recv().payload
        if isinstance(payload, np.ndarray):
            assert type(got) is np.ndarray
            assert got.__array_interface__["data"][0] == payload.__array_interface__["data"][0]
            assert got.strides == payload.strides
            np.testing.assert_array_equal(got, payload)
            with pytest.raises(ValueError, match="read-only"):
                got[...] = 0
            assert payload.flags.writeable
        else:
            assert address(got) == address(payload)
            assert bytes(got) == bytes(payload)
            with pytest.raises(TypeError):
                got[0] = 0


def test_an_envelope_says_what_where_and_when(transport):
    subscription = transport.subscribe("a/**")
    metadata = {"frame": "body"}
    before = time.time_ns()
    sent = [transport.publish(f"a/{k}", b"12", metadata if k else None) for k in range(3)]
    metadata["frame"] = "world"
    got = [subscription.recv() for _ in sent]
    assert all(a is b for a, b in zip(got, sent, strict=True))
    assert [e.sequence for e in got] == [1, 2, 3]
    assert [e.key for e in got] == ["a/0", "a/1", "a/2"]
    assert before <= got[0].timestamp_ns <= got[1].timestamp_ns <= time.time_ns()
    assert got[0].metadata is None
    assert got[1].metadata == {"frame": "body"}
    with pytest.raises(TypeError):
        got[1].metadata["frame"] = "map"
    with pytest.raises(AttributeError):
        got[1].key = "b"
    assert repr(got[0]) == "TransportEnvelope('a/0', sequence=1, payload=2 bytes)"
    copy = pickle.loads(pickle.dumps(got[1]))
    assert (copy.key, copy.sequence, copy.metadata, copy.payload) == ("a/1", 2, {"frame": "body"}, b"12")
    assert bytes(pickle.loads(pickle.dumps(TransportEnvelope("a", 1, 2, None, bytearray(b"3")))).payload) == b"3"


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", [4, 5]), ("drop_newest", [1, 2]), ("block", [1, 2])])
def test_what_does_not_fit_is_dropped_by_name_and_counted(transport, overflow, kept):
    slow = transport.subscribe("a", 2, overflow=overflow, block_timeout=0.01)
    other = transport.subscribe("a")
    for _ in range(5):
        transport.publish("a", b"")
    assert slow.counts == {"accepted": 5 if kept[0] == 4 else 2, "taken": 0, "dropped": 3, "skipped": 0, "failed": 0}
    assert slow.dropped == 3
    assert [e.sequence for e in slow.drain()] == kept
    assert len(other) == 5


def test_block_waits_for_room(transport):
    slow = transport.subscribe("a", 1, overflow="block", block_timeout=30.0)
    got = []
    thread = threading.Thread(target=lambda: got.extend(slow), daemon=True)
    thread.start()
    for _ in range(200):
        transport.publish("a", b"")
    slow.close()
    thread.join(10)
    assert [e.sequence for e in got] == list(range(1, 201))
    assert slow.dropped == 0


def test_latest_and_timeouts(transport):
    subscription = transport.subscribe("a")
    assert subscription.try_recv() is subscription.latest() is subscription.recv_timeout(0.001) is None
    for _ in range(4):
        transport.publish("a", b"")
    assert len(subscription) == 4
    assert subscription.latest().sequence == 4
    assert subscription.counts["skipped"] == 3


def test_after_the_end_what_waits_can_be_taken_and_nothing_comes(transport):
    subscription = transport.subscribe("a")
    transport.publish("a", b"1")
    assert transport.unsubscribe(subscription)
    assert not transport.unsubscribe(subscription)
    subscription.close()
    transport.publish("a", b"2")
    assert [e.payload for e in subscription] == [b"1"]
    with pytest.raises(InvalidStateError, match="closed"):
        subscription.recv()
    assert transport.subscriber_count == 0
    with transport.subscribe("a") as other:
        assert transport.subscriber_count == 1
        assert not Transport().unsubscribe(other)
    assert other.closed


def test_a_subscription_that_is_let_go_ends_and_one_with_a_callback_stays(transport):
    seen = []
    transport.subscribe("a")
    transport.subscribe("a", callback=seen.append)
    gc.collect()
    transport.publish("a", b"")
    assert transport.subscriber_count == 1
    assert wait_for(lambda: len(seen) == 1)


def test_a_subscription_keeps_its_transport():
    subscription = Transport().subscribe("a")
    gc.collect()
    assert not subscription.closed


def test_closing_the_transport_ends_all():
    transport = Transport()
    subscription = transport.subscribe("a")
    thread = threading.Thread(target=lambda: list(subscription), daemon=True)
    thread.start()
    transport.close()
    transport.close()
    thread.join(10)
    assert not thread.is_alive()
    for call in (lambda: transport.publish("a", b""), lambda: transport.subscribe("a")):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    assert repr(transport) == "Transport(subscribers=0, closed)"


def test_a_subscription_that_comes_later_gets_what_comes_later(transport):
    transport.publish("a", b"1")
    late = transport.subscribe("a")
    transport.publish("a", b"2")
    assert [e.payload for e in late.drain()] == [b"2"]


def test_a_callback_gets_messages_in_order_and_its_errors_are_counted(transport, monkeypatch):
    seen, errors = [], []
    monkeypatch.setattr(threading, "excepthook", errors.append)

    def callback(envelope):
        seen.append((envelope.sequence, threading.current_thread()))
        if envelope.sequence == 2:
            raise RuntimeError("of the callback")

    subscription = transport.subscribe("a", callback=callback)
    for _ in range(5):
        transport.publish("a", b"")
    assert wait_for(lambda: len(seen) == 5)
    assert [n for n, _ in seen] == [1, 2, 3, 4, 5]
    assert {t for _, t in seen} != {threading.main_thread()}
    assert wait_for(lambda: subscription.counts["failed"] == 1)
    assert str(errors[0].exc_value) == "of the callback"


def test_async_iteration(transport):
    async def main():
        subscription = transport.subscribe("a")
        got = []

        async def consume():
            async for envelope in subscription:
                got.append(envelope.sequence)

        consumer = asyncio.create_task(consume())
        for k in range(20):
            if k % 2:
                await asyncio.sleep(0)
                transport.publish("a", b"")
            else:
                await asyncio.to_thread(transport.publish, "a", b"")
        while len(got) < 20:
            await asyncio.sleep(0.001)
        subscription.close()
        await asyncio.wait_for(consumer, 10)
        return got

    assert asyncio.run(main()) == list(range(1, 21))


def test_a_cancelled_coroutine_loses_no_message(transport):
    async def main():
        subscription = transport.subscribe("a")
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(subscription.recv_async(), 0.01)
        transport.publish("a", b"")
        return await asyncio.wait_for(subscription.recv_async(), 10)

    assert asyncio.run(main()).sequence == 1


def test_threads_publish_and_subscribe_at_once(transport):
    steady = transport.subscribe("k/*", 10_000)
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            with transport.subscribe("k/**", 4) as subscription:
                subscription.recv_timeout(0.001)

    def publish(k):
        for i in range(400):
            transport.publish(f"k/{k}", i.to_bytes(2, "big"))

    churn = [threading.Thread(target=come_and_go, daemon=True) for _ in range(2)]
    work = [threading.Thread(target=publish, args=(k,), daemon=True) for k in range(4)]
    for thread in [*churn, *work]:
        thread.start()
    for thread in work:
        thread.join(30)
    stop.set()
    for thread in churn:
        thread.join(30)
    got = steady.drain()
    assert sorted(e.sequence for e in got) == list(range(1, 1601))
    for k in range(4):
        assert [int.from_bytes(e.payload, "big") for e in got if e.key == f"k/{k}"] == list(range(400))
    assert transport.subscriber_count == 1


def test_many_keys_do_not_fill_the_memory(transport):
    subscription = transport.subscribe("k/*", 10)
    for k in range(10_000):
        transport.publish(f"k/{k}", b"")
    assert subscription.counts["accepted"] == 10_000
    assert len(transport._routes) <= 4096


def test_wrong_arguments_are_refused_and_change_nothing(transport):
    subscription = transport.subscribe("a")
    for payload in ("text", 3, None, [1], np.array([object()])):
        with pytest.raises(DTypeError, match="payload"):
            transport.publish("a", payload)
    with pytest.raises(DTypeError, match="metadata"):
        transport.publish("a", b"", 3)
    for key in ("", "a//b", "a/"):
        with pytest.raises(InvalidValueError):
            transport.publish(key, b"")
        with pytest.raises(InvalidValueError):
            transport.subscribe(key)
    with pytest.raises(DTypeError):
        transport.publish(3, b"")
    with pytest.raises(InvalidValueError, match="capacity"):
        transport.subscribe("a", 0)
    with pytest.raises(ConfigError, match="capacity"):
        transport.subscribe("a", None)
    with pytest.raises(ConfigError, match="overflow"):
        transport.subscribe("a", overflow="explode")
    with pytest.raises(InvalidValueError, match="block_timeout"):
        transport.subscribe("a", block_timeout=-1)
    with pytest.raises(DTypeError, match="callback"):
        transport.subscribe("a", callback=3)
    with pytest.raises(DTypeError):
        transport.unsubscribe("a")
    assert (len(subscription), transport.subscriber_count) == (0, 1)
    assert transport.publish("a", b"").sequence == 1
    assert len(subscription) == 1
    subscription.drain()
    assert isinstance(subscription, TransportSubscription)
    assert repr(subscription) == "TransportSubscription('a', capacity=1024, len=0)"
