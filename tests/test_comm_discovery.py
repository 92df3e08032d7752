"""rfx.comm.discovery: nodes come, go, and are gone when their program is killed."""

import gc
import pickle
import signal
import subprocess
import sys
import threading

import pytest
from loopback import free_endpoint, pair
from waiting import wait_for

from rfx.comm import Discovery, Transport
from rfx.errors import DTypeError, InvalidStateError, InvalidValueError, RfxTimeoutError

pytest.importorskip("zenoh")


@pytest.fixture(params=["within", "zenoh"])
def both(request):
    """Two discoveries that see each other."""
    if request.param == "within":
        with Transport() as t, Discovery(t) as first, Discovery(t) as second:
            yield first, second
    else:
        with pair(shared_memory=False) as (a, b), Discovery(a) as first, Discovery(b) as second:
            yield first, second


def names(discovery, kind=None):
    return [n.name for n in discovery.nodes(kind)]


def test_a_node_is_there_with_its_info_until_it_is_closed(both):
    here, there = both
    with here.announce("go2", "robot", {"hz": 50.0, "topics": ["état"]}) as announcement:
        node = there.wait_for("go2", 10)
        assert node == announcement.node == here.wait_for("go2", 10)
        assert (node.name, node.kind, node.info) == ("go2", "robot", {"hz": 50.0, "topics": ["état"]})
        with pytest.raises(TypeError):
            node.info["hz"] = 3
        assert pickle.loads(pickle.dumps(node)) == node
        with there.announce("operator") as other:
            assert wait_for(lambda: names(here) == ["go2", "operator"])
            assert names(here, "robot") == ["go2"]
            assert names(here, "node") == ["operator"]
            assert other.node.info == {}
        assert wait_for(lambda: names(here) == ["go2"])
    announcement.close()
    assert announcement.closed
    assert wait_for(lambda: not there.nodes() and not here.nodes())


def test_two_of_one_name_are_two(both):
    here, there = both
    with here.announce("go2") as first, there.announce("go2"):
        assert wait_for(lambda: names(here) == names(there) == ["go2", "go2"])
        first.close()
        assert wait_for(lambda: names(here) == names(there) == ["go2"])


def test_changes_are_told_those_that_are_there_first(both):
    here, there = both
    with here.announce("a"):
        there.wait_for("a", 10)
        changes = there.changes()
        with here.announce("b"):
            events = [changes.recv_timeout(10), changes.recv_timeout(10)]
            assert [(e.what, e.node.name) for e in events] == [("joined", "a"), ("joined", "b")]
        event = changes.recv_timeout(10)
        assert (event.what, event.node) == ("left", events[1].node)
    assert changes.recv_timeout(10).node.name == "a"
    there.close()
    assert list(changes) == []


def test_who_waits_is_woken_by_the_node(both):
    here, there = both
    timer = threading.Timer(0.1, here.announce, ("late",))
    timer.start()
    assert there.wait_for("late", None).name == "late"
    timer.join()


def test_a_node_that_does_not_come_is_said(both):
    here, there = both
    with here.announce("a"):
        there.wait_for("a", 10)
        with pytest.raises(RfxTimeoutError, match=r"expected a node 'b' within 0.01 s, got a"):
            there.wait_for("b", 0.01)


def test_a_discovery_that_is_closed_says_so(both):
    here, there = both
    waiter = threading.Timer(0.1, there.close)
    waiter.start()
    with pytest.raises(InvalidStateError, match="closed"):
        there.wait_for("never", None)
    waiter.join()
    there.close()
    for call in (there.nodes, there.changes, lambda: there.announce("a")):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    with here.announce("a"):
        assert wait_for(lambda: names(here) == ["a"])
    assert repr(there) == "Discovery(nodes=[], closed)"


def test_a_transport_that_is_closed_ends_the_wait():
    transport = Transport()
    discovery = Discovery(transport)
    timer = threading.Timer(0.05, transport.close)
    timer.start()
    with pytest.raises(InvalidStateError, match="closed"):
        discovery.wait_for("a", None)
    timer.join()
    with pytest.raises(InvalidStateError, match="closed"):
        Discovery(transport)


def test_a_discovery_that_is_let_go_sees_no_more(both):
    here, there = both
    Discovery(there._transport)
    gc.collect()
    with here.announce("a"):
        there.wait_for("a", 10)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a/b",), InvalidValueError),
        (("a*",), InvalidValueError),
        (("*",), InvalidValueError),
        (("@a",), InvalidValueError),
        (("",), InvalidValueError),
        ((3,), DTypeError),
        (("a", None), DTypeError),
        (("a", "k/d"), InvalidValueError),
        (("a", "k", [1]), DTypeError),
        (("a", "k", {"x": float("nan")}), InvalidValueError),
        (("a", "k", {"x": "y" * 1024}), InvalidValueError),
        (("a", "k", {"x": b""}), DTypeError),
    ],
)
def test_what_is_no_node_is_refused(both, arguments, error):
    here, _ = both
    with pytest.raises(error):
        here.announce(*arguments)
    assert here.nodes() == ()


def test_announcements_that_cannot_be_read_are_counted(both):
    here, there = both
    for key in ("a", "1/node/a/e30/x", "1/node/a/!", "1/node/a/e", "1/node/a/W10", "1/node/a/_w"):
        here._transport._declare_token(f"@rfx/nodes/{key}")
    assert wait_for(lambda: there.refused == 6)
    assert there.nodes() == ()


def test_something_else_than_a_transport_is_refused():
    with pytest.raises(DTypeError, match="transport"):
        Discovery("tcp/127.0.0.1:1")


CHILD = """
import sys, time
from rfx.comm import Discovery, Transport
with Transport.zenoh(connect=sys.argv[1], timeout=10, shared_memory=False) as transport, Discovery(transport) as discovery:
    discovery.announce("child", "robot", {"sees": discovery.wait_for("parent", 20).name})
    time.sleep(60)
"""


def test_a_node_whose_program_is_killed_is_gone():
    end = free_endpoint()
    with Transport.zenoh(listen=end, shared_memory=False) as transport, Discovery(transport) as discovery:
        discovery.announce("parent")
        changes = discovery.changes()
        process = subprocess.Popen([sys.executable, "-c", CHILD, end])
        try:
            assert discovery.wait_for("child", 30).info == {"sees": "parent"}
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert wait_for(lambda: names(discovery) == ["parent"])
        finally:
            process.kill()
            process.wait(10)
        events = [(e.what, e.node.name) for e in changes.drain()]
        assert events[-2:] == [("joined", "child"), ("left", "child")]
