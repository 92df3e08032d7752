"""rfx.comm.stream and rfx.comm.topic."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.comm import Stream, Topic, Transport, channel
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError


def filled(items, close=True):
    sender, receiver = channel()
    for item in items:
        sender.send(item)
    if close:
        sender.close()
    return sender, Stream(receiver)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 7))
def test_a_stream_is_what_itertools_would_make(items, size):
    kept = [10 * x for x in items if x % 3]
    expected = [kept[i : i + size] for i in range(0, len(kept), size)]
    _, stream = filled(items)
    assert list(stream.filter(lambda x: x % 3).map(lambda x: 10 * x).batch(size)) == expected


def test_nothing_is_taken_before_somebody_takes():
    seen = []
    _, stream = filled([1, 2, 3])
    mapped = stream.map(lambda x: seen.append(x) or x)
    assert seen == []
    assert mapped.next() == 1
    assert seen == [1]


def test_taking_with_and_without_waiting():
    sender, stream = filled([1, 2, 3, 4], close=False)
    stream = stream.filter(lambda x: x != 2)
    assert (stream.try_next(), stream.next(), stream.next_timeout(1.0)) == (1, 3, 4)
    assert stream.try_next() is stream.latest() is None
    start = time.monotonic()
    assert stream.next_timeout(0.03) is None
    assert time.monotonic() - start >= 0.03
    for x in (5, 6, 2):
        sender.send(x)
    assert stream.latest() == 6
    sender.send(7)
    sender.close()
    assert stream.latest() == 7
    assert not stream.is_active
    for call in (stream.next, stream.try_next, stream.latest):
        with pytest.raises(InvalidStateError):
            call()


def test_a_batch_is_given_early_when_its_time_is_up():
    sender, stream = filled([1, 2], close=False)
    batches = stream.batch(5, timeout=0.02)
    assert batches.next() == [1, 2]
    sender.send(3)
    assert batches.try_next() is None
    assert batches.next() == [3]


def test_a_batch_is_not_lost_when_the_taker_does_not_wait_for_it():
    sender, stream = filled([1], close=False)
    batches = stream.batch(2)
    assert batches.next_timeout(0.001) is None
    sender.send(2)
    assert batches.try_next() == [1, 2]


def test_rate_limit_leaves_out_what_comes_too_soon_and_counts_it():
    sender, stream = filled(range(1, 6), close=False)
    thinned = stream.rate_limit(20.0)
    assert thinned.try_next() == 1
    assert thinned.try_next() is None
    assert thinned.left_out == 4
    time.sleep(0.06)
    sender.send(6)
    assert thinned.try_next() == 6


def test_stop_wakes_who_waits():
    _, stream = filled([], close=False)
    mapped = stream.map(str)
    thread = threading.Thread(target=lambda: list(mapped), daemon=True)
    thread.start()
    mapped.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_stream_of_a_subscription():
    with Transport() as transport:
        sizes = Stream(transport.subscribe("a/*")).map(lambda message: len(message.payload))
        transport.publish("a/b", b"123")
        assert sizes.next() == 3


def test_wrong_arguments_of_streams_are_refused():
    _, stream = filled([1])
    for call in (lambda: Stream(3), lambda: stream.map(3), lambda: stream.filter(None), lambda: stream.batch(1.5)):
        with pytest.raises(DTypeError):
            call()
    for call in (lambda: stream.batch(0), lambda: stream.batch(1, -1.0), lambda: stream.rate_limit(0.0)):
        with pytest.raises(InvalidValueError):
            call()
    assert repr(stream) == "Stream(source=Receiver(capacity=None, len=1, closed))"


def test_all_subscribers_get_all_in_one_order():
    topic = Topic("joint")
    receivers = [topic.subscribe(2000) for _ in range(3)]
    threads = [
        threading.Thread(target=lambda k=k: [topic.publish((k, i)) for i in range(300)], daemon=True) for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first, *others = (r.drain() for r in receivers)
    assert len(first) == 900
    assert all(o == first for o in others)


def test_a_latched_topic_gives_the_newest_to_who_comes_later():
    topic, plain = Topic("mode", latch=True), Topic("mode")
    for t in (topic, plain):
        t.publish("sit")
        t.publish("stand")
    late = topic.subscribe()
    topic.publish("walk")
    assert late.drain() == ["stand", "walk"]
    assert plain.subscribe().drain() == []


def test_a_slow_subscriber_loses_what_is_counted_and_stays():
    topic = Topic("joint")
    slow, newest = topic.subscribe(2, overflow="drop_newest"), topic.subscribe(2)
    for i in range(1, 6):
        assert topic.publish(i) == 2
    assert (slow.drain(), newest.drain()) == ([1, 2], [4, 5])
    assert slow.counts["dropped"] == newest.counts["dropped"] == 3
    topic.publish(6)
    assert slow.recv() == 6


def test_who_closes_its_receiver_is_no_subscriber():
    topic = Topic("joint")
    receiver = topic.subscribe()
    assert topic.subscriber_count == 1
    receiver.close()
    assert topic.subscriber_count == 0
    assert topic.publish(1) == 0
    assert repr(topic) == "Topic('joint', latch=False, subscribers=0)"


def test_a_closed_topic_ends_its_receivers():
    topic = Topic("joint")
    receiver = topic.subscribe()
    topic.publish(1)
    topic.close()
    topic.close()
    assert list(receiver) == [1]
    for call in (lambda: topic.publish(2), topic.subscribe):
        with pytest.raises(InvalidStateError):
            call()


def test_wrong_arguments_of_topics_are_refused():
    topic = Topic("joint")
    with pytest.raises(DTypeError):
        Topic(3)
    with pytest.raises(DTypeError):
        topic.publish(None)
    for capacity, overflow in ((None, "drop_oldest"), (3, "block"), (3, "explode")):
        with pytest.raises(ConfigError):
            topic.subscribe(capacity, overflow=overflow)
    with pytest.raises(InvalidValueError):
        topic.subscribe(0)
    assert topic.subscriber_count == 0
