"""rfx.comm: what ends in the middle of something, twice, from elsewhere, or by the garbage collector."""

import asyncio
import gc
import threading

import pytest
from waiting import wait_for

from rfx.comm import KeyExpr, ParameterServer, QoS, Service, ServiceClient, ServiceGoneError, Topic, Transport, channel
from rfx.errors import InvalidStateError, RfxConnectionError


@pytest.fixture
def transport():
    with Transport() as transport:
        yield transport


def in_time(work, seconds=20.0):
    """Run in a thread of its own; whether it came to an end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


class Held:
    """Something in a cycle, which only the collector frees."""

    def __init__(self, *held):
        self.held, self.me = held, self


def test_a_client_that_the_collector_frees_while_the_transport_looks_for_a_route_holds_up_nothing(
    transport, monkeypatch
):
    Held(ServiceClient(transport, "s"))
    meets = KeyExpr.intersects
    monkeypatch.setattr(KeyExpr, "intersects", lambda self, other: gc.collect() >= 0 and meets(self, other))
    assert in_time(lambda: transport.publish("a", b""))
    assert wait_for(lambda: transport.subscriber_count == 0)


def test_what_a_message_does_as_it_is_dropped_may_publish():
    topic = Topic("joint")

    class Last:
        def __del__(self):
            topic.publish("dropped")

    receiver = topic.subscribe(1)
    topic.publish(Last())
    assert in_time(lambda: topic.publish("next"))
    assert receiver.drain() == ["dropped"]


def test_a_wake_that_nobody_hears_any_more_is_given_to_the_next(transport):
    subscription, got = transport.subscribe("a"), []
    loop = asyncio.new_event_loop()
    coroutine = subscription.recv_async()
    waiting = loop.create_task(coroutine)
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    thread = threading.Thread(target=lambda: got.append(subscription.recv()), daemon=True)
    thread.start()
    assert not wait_for(lambda: got, 0.1)
    transport.publish("a", b"1")
    thread.join(10)
    assert [m.payload for m in got] == [b"1"]
    waiting._log_destroy_pending = False
    coroutine.close()


def test_a_latched_message_that_waits_for_room_does_not_hold_up_who_subscribes(transport):
    profile = QoS.named("state", congestion="block")
    full = transport.subscribe("a", 1, overflow="block", block_timeout=1000.0)
    transport.publish("a", b"1", qos=profile)
    thread = threading.Thread(target=transport.publish, args=("a", b"2"), kwargs={"qos": profile}, daemon=True)
    thread.start()
    assert wait_for(lambda: transport._kept["a"].payload == b"2")
    late = []
    assert in_time(lambda: late.append(transport.subscribe("a", qos="state")))
    assert late[0].recv().payload == b"2"
    assert [full.recv().payload, full.recv().payload] == [b"1", b"2"]
    thread.join(10)
    assert late[0].try_recv() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_exits_ends_its_subscription(transport):
    def callback(_):
        raise SystemExit

    subscription = transport.subscribe("a", callback=callback)
    transport.publish("a", b"")
    assert wait_for(lambda: subscription.closed)
    assert transport.subscriber_count == 0
    assert wait_for(lambda: all(thread.name != "rfx:a" for thread in threading.enumerate()))


def test_a_signal_handler_may_end_what_is_in_the_middle_of_subscribing(transport, monkeypatch):
    """A handler runs in the thread that it interrupts, wherever that is."""

    class Interrupted(dict):
        def __setitem__(self, key, value):
            transport.close()
            super().__setitem__(key, value)

    transport._subscriptions = Interrupted()
    refused = []

    def subscribe():
        with pytest.raises(InvalidStateError, match="closed"):
            transport.subscribe("a")
        refused.append(True)

    assert in_time(subscribe)
    assert refused


# -- services


def test_a_service_that_is_closed_as_a_call_comes_tells_the_caller_at_once(transport, monkeypatch):
    from rfx.comm import service as module

    unpack = module.unpack_value
    service = Service(transport, "s", lambda p: p)

    def closing(body, **options):
        service.close()
        return unpack(body, **options)

    monkeypatch.setattr(module, "unpack_value", closing)
    with ServiceClient(transport, "s", lost_after_s=60.0) as client, pytest.raises(ServiceGoneError, match="closed"):
        client.call(timeout=10)
    counts = service.counts
    assert counts["calls"] == counts["cancelled"]
    assert not service._calls


def test_an_error_that_cannot_say_what_it_is_ends_its_call_and_not_the_worker(transport):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    def handler(payload):
        if payload == "mute":
            raise Mute
        if payload == "half":
            raise ValueError("\ud800")
        return payload

    with Service(transport, "s", handler, workers=1), ServiceClient(transport, "s") as client:
        with pytest.raises(Exception, match="Mute"):
            client.call("mute", timeout=5)
        with pytest.raises(ValueError, match="ValueError"):
            client.call("half", timeout=5)
        assert client.call("still here", timeout=5) == "still here"


# -- parameters


def test_a_change_that_cannot_be_told_is_none(monkeypatch):
    transport = Transport()
    server = ParameterServer("n", transport)
    server.declare("a", 1)
    version = server.version

    def refused(*_):
        raise RfxConnectionError("the link is down")

    with monkeypatch.context() as broken:
        broken.setattr(transport, "publish", refused)
        with pytest.raises(RfxConnectionError, match="down"):
            server.set("a", 2)
        with pytest.raises(RfxConnectionError, match="down"):
            server.declare("b", 2)
    assert (server.list(), server.version, list(server.describe())) == ({"a": 1}, version, ["a"])
    monkeypatch.setattr(type(server._service), "close", lambda self: None)  # it has not noticed yet
    transport.close()
    with pytest.raises(InvalidStateError, match="closed"):
        server.set("a", 2)
    assert (server.list(), server.version, list(server.describe())) == ({"a": 1}, version, ["a"])


def test_nothing_is_lost_between_the_last_message_and_the_end():
    for _ in range(300):
        sender, receiver = channel()
        got = []
        thread = threading.Thread(target=lambda into=got, r=receiver: into.extend(r), daemon=True)
        thread.start()
        sender.send(1)
        sender.close()
        thread.join(10)
        assert got == [1]
