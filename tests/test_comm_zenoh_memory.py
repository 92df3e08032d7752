"""Zenoh's shared memory: large messages lie in it, and where there is none the network carries them."""

import gc

import numpy as np
import pytest
from loopback import pair
from waiting import wait_for
from zenoh_lines import LINUX, line

from rfx.comm import Transport, ZenohTransport, shm
from rfx.errors import ConfigError, DTypeError, InvalidValueError

pytest.importorskip("zenoh")


@LINUX
def test_a_large_message_lies_in_shared_memory_and_is_not_copied_again():
    with pair(shared_memory=True) as (a, b), line(a, b) as subscription:
        image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
        a.publish("image", image)
        a.publish("image", image.tobytes())
        a.publish("image", image[:1])
        whole, flat, small = (subscription.recv_timeout(5).payload for _ in range(3))
        assert subscription.counts["shared"] == 2
        np.testing.assert_array_equal(whole, image)
        assert isinstance(flat, memoryview)
        assert flat.readonly
        assert bytes(flat) == image.tobytes()
        for payload, shared in ((whole, True), (np.frombuffer(flat, np.uint8), True), (small, False)):
            at = payload.__array_interface__["data"][0]
            assert any(start <= at < end and "/dev/shm/" in name for start, end, name in mappings()) == shared
        with pytest.raises(ValueError, match="read-only"):
            whole[0] = 0


def mappings():
    with open("/proc/self/maps") as file:
        for text in file:
            fields = text.split()
            start, end = (int(x, 16) for x in fields[0].split("-"))
            yield start, end, fields[-1]


def test_where_the_shared_memory_is_full_messages_go_by_the_network_and_are_counted():
    image = np.arange(30_000, dtype=np.uint8)
    with pair(shared_memory=True, pool_bytes=65536) as (a, b), line(a, b) as subscription:
        held = []
        for _ in range(5):
            a.publish("image", image)
            held.append(subscription.recv_timeout(5).payload)
        for payload in held:
            np.testing.assert_array_equal(payload, image)
        assert a.pool_full >= 3
        del held, payload
        gc.collect()

        def finds_room():
            full = a.pool_full
            a.publish("image", image)
            return a.pool_full == full

        assert wait_for(finds_room)


def test_without_a_known_place_zenohs_own_copies_are_used():
    image = np.arange(30_000, dtype=np.uint8)
    with pair(shared_memory=True) as (a, b), line(a, b) as subscription:
        a._pool._place = False
        a.publish("image", image)
        got = subscription.recv_timeout(5)
        np.testing.assert_array_equal(got.payload, image)
        assert subscription.counts["shared"] == 1
    assert shm.in_shared(object(), 8) is None


def test_more_shared_memory_than_there_is_is_refused():
    with pytest.raises(ConfigError, match="shared memory"):
        Transport.zenoh(pool_bytes=2**40)
    with pytest.raises(InvalidValueError, match="pool_bytes"):
        Transport.zenoh(pool_bytes=0)
    with pytest.raises(DTypeError, match="session"):
        ZenohTransport("tcp/127.0.0.1:1")
