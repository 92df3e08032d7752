"""rfx.comm.qos: each attribute of a profile is kept to, within one program and by Zenoh."""

import dataclasses
import pickle
import threading

import pytest
from loopback import free_endpoint, pair, settled
from waiting import wait_for

from rfx.comm import QoS, Transport
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError

zenoh = pytest.importorskip("zenoh")


@pytest.fixture(params=["within", "zenoh"])
def ends(request):
    """Where to publish, where to subscribe."""
    if request.param == "within":
        with Transport() as transport:
            yield transport, transport
    else:
        with pair(shared_memory=False) as (a, b):
            yield a, b


def test_profiles_are_values_with_names():
    assert QoS.named("sensor") == QoS.SENSOR == pickle.loads(pickle.dumps(QoS.SENSOR))
    assert QoS.named("default", depth=3) == QoS(depth=3) == dataclasses.replace(QoS.DEFAULT, depth=3)
    assert (QoS.SENSOR.reliability, QoS.SENSOR.overflow, QoS.SENSOR.latched) == ("best_effort", "drop_oldest", False)
    assert (QoS.COMMAND.priority, QoS.COMMAND.express, QoS.COMMAND.overflow) == ("real_time", True, "block")
    assert (QoS.STATE.depth, QoS.STATE.latched, QoS.PARAMETERS.latched) == (1, True, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        QoS.SENSOR.depth = 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"reliability": "often"}, ConfigError, "reliability"),
        ({"congestion": "explode"}, ConfigError, "congestion"),
        ({"priority": 1}, ConfigError, "priority"),
        ({"durability": True}, ConfigError, "durability"),
        ({"express": 1}, DTypeError, "express"),
        ({"depth": 0}, InvalidValueError, "depth"),
        ({"depth": 1.5}, DTypeError, "depth"),
        ({"reliability": "best_effort"}, ConfigError, 'got "block"'),
    ],
)
def test_what_is_no_profile_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        QoS(**arguments)


def test_wrong_profiles_are_refused_and_change_nothing(ends):
    out, into = ends
    for call in (lambda **q: out.publish("a", b"", **q), lambda **q: into.subscribe("a", **q)):
        with pytest.raises(ConfigError, match="expected a profile of default"):
            call(qos="fast")
        with pytest.raises(DTypeError, match="qos"):
            call(qos=3)
    for more in ({"capacity": 3}, {"overflow": "block"}):
        with pytest.raises(ConfigError, match="either qos or capacity"):
            into.subscribe("a", qos="sensor", **more)
    with pytest.raises(InvalidValueError, match="wildcards"):
        out.publish("a/*", b"", qos="state")
    assert into.subscriber_count == 0
    assert out.publish("a", b"", qos="sensor").sequence == 1
    out.close()
    with pytest.raises(InvalidStateError, match="closed"):
        out.publish("a", b"", qos="state")


def test_depth_is_how_many_wait(ends):
    out, into = ends
    with into.subscribe("k", qos=QoS.named("sensor", depth=3)) as subscription:
        assert settled(out, subscription, "k")
        before = subscription.counts["accepted"]
        for k in range(10):
            out.publish("k", bytes([k]))
        assert wait_for(lambda: subscription.counts["accepted"] == before + 10)
        assert subscription.capacity == 3
        assert [bytes(m.payload) for m in subscription.drain()] == [b"\7", b"\x08", b"\x09"]
        assert subscription.dropped == 7


def test_block_waits_for_a_slow_reader_and_drop_does_not(ends):
    out, into = ends
    with into.subscribe("k", 4, overflow="block", block_timeout=30.0) as slow:
        assert settled(out, slow, "k")
        begin = slow.counts["accepted"]
        for _ in range(50):
            out.publish("k", b"", qos="sensor")
        assert wait_for(lambda: slow.counts["accepted"] + slow.dropped == begin + 50)
        assert (len(slow), slow.dropped) == (4, 46)
        slow.drain()
        sender = threading.Thread(target=lambda: [out.publish("k", b"", qos="command") for _ in range(50)], daemon=True)
        sender.start()
        got = 0
        while got < 50:
            assert slow.recv_timeout(10) is not None
            got += 1
        sender.join(10)
        assert slow.dropped == 46


def test_the_newest_latched_message_of_each_key_is_given_to_who_comes_later(ends):
    out, into = ends
    out.publish("mode/a", b"stand", {"n": 1}, qos="state")
    sent = out.publish("mode/a", b"walk", {"n": 2}, qos="state")
    out.publish("mode/b", b"lie", qos="parameters")
    out.publish("mode/c", b"volatile")
    out.publish("other", b"x", qos="state")
    with into.subscribe("mode/*", qos="sensor") as other, into.subscribe("mode/*", qos="parameters") as late:
        got = {m.key: m for m in (late.recv_timeout(10), late.recv_timeout(10))}
        assert {k: bytes(m.payload) for k, m in got.items()} == {"mode/a": b"walk", "mode/b": b"lie"}
        assert (got["mode/a"].sequence, got["mode/a"].metadata) == (sent.sequence, {"n": 2})
        out.publish("mode/a", b"run", qos="state")
        assert late.recv_timeout(10).payload == b"run"
        out.publish("mode/c", b"end")
        assert late.recv_timeout(10).payload == b"end"
        assert [bytes(m.payload) for m in (other.recv_timeout(10), other.recv_timeout(10))] == [b"run", b"end"]


def test_threads_latch_while_others_come(ends):
    out, into = ends

    def publish():
        for k in range(200):
            out.publish("k", k.to_bytes(2, "big"), qos=QoS.PARAMETERS)

    sender = threading.Thread(target=publish, daemon=True)
    sender.start()
    late = [into.subscribe("k", qos=QoS.named("parameters", depth=1000)) for _ in range(10)]
    sender.join(30)
    for subscription in late:
        seen = []
        assert wait_for(lambda s=subscription, n=seen: n.extend(s.drain()) or (n and n[-1].payload == b"\0\xc7"))
        numbers = [m.sequence for m in seen]
        assert numbers == sorted(set(numbers))
        subscription.close()


def test_by_zenoh_the_latched_message_comes_also_when_the_connection_comes_later():
    end = free_endpoint()
    with (
        Transport.zenoh(connect=end, timeout=None) as early,
        early.subscribe("mode", qos="state") as subscription,
        Transport.zenoh(listen=end) as late,
    ):
        late.publish("mode", b"stand", qos="state")
        late.publish("mode", b"walk", qos="parameters")
        assert wait_for(lambda: bytes(subscription.recv_timeout(10).payload) == b"walk")


@pytest.mark.parametrize("name", ["sensor", "command", "state", "parameters", "default"])
def test_zenoh_is_told_congestion_priority_express_and_reliability(name):
    seen = []
    qos = QoS.named(name)
    with pair(shared_memory=False) as (a, b):
        b.session.subscribe("k", seen.append)
        assert wait_for(lambda: a.publish("k", b"", qos=qos) and seen)
        sample = seen[-1]
        assert sample.priority == getattr(zenoh.Priority, qos.priority.upper())
        assert sample.congestion_control == getattr(zenoh.CongestionControl, qos.congestion.upper())
        assert sample.express == qos.express
        publisher = a._outboxes["k", qos][1]
        assert publisher.reliability == getattr(zenoh.Reliability, qos.reliability.upper())


def test_what_a_datagram_link_cannot_do_is_refused_by_name():
    end = free_endpoint().replace("tcp", "udp")
    with Transport.zenoh(listen=end) as transport:
        transport.publish("a", b"", qos="sensor")
        with pytest.raises(ConfigError, match=r"best_effort.*udp"):
            transport.publish("a", b"", qos="command")


def test_not_more_is_kept_than_there_is_room_for(ends):
    out, _ = ends
    if type(out) is Transport:
        for k in range(4096):
            out.publish(f"k/{k}", b"", qos="state")
        with pytest.raises(InvalidStateError, match="4096"):
            out.publish("k", b"", qos="state")
    out.publish("k/1", b"", qos="state")
