"""rfx.comm.zenoh: sessions on loopback, with no address but those that are given, and gone when they are closed."""

import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest
from loopback import free_endpoint
from waiting import wait_for

from rfx.comm.zenoh import open_session
from rfx.errors import (
    ConfigError,
    DTypeError,
    InvalidStateError,
    InvalidValueError,
    MissingDependencyError,
    RfxConnectionError,
)

zenoh = pytest.importorskip("zenoh")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def sockets():
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def test_two_sessions_hear_each_other():
    end = free_endpoint()
    with open_session(listen=end) as a, open_session(connect=[end]) as b:
        got = []
        a.subscribe("go2/*", got.append)
        assert wait_for(lambda: b.peers() == (a.id,))
        assert wait_for(lambda: b.raw.put("go2/state", b"1") or got)
        assert str(got[0].key_expr) == "go2/state"


@LINUX
def test_closing_leaves_no_socket_and_no_more_threads():
    end = free_endpoint()
    with open_session(listen=end), open_session(connect=end):
        pass  # the threads that all sessions share are there now, for as long as the program lives
    before, count = sockets(), len(os.listdir("/proc/self/task"))
    for _ in range(5):
        with open_session(listen=end) as a, open_session(connect=end, mode="client") as b:
            assert sockets() - before
            assert wait_for(lambda: a.peers() or b.peers())
        assert a.closed
        assert b.closed
    assert wait_for(lambda: sockets() <= before)
    # a helper of the threads that all sessions share may stay, for 10 s
    assert wait_for(lambda: len(os.listdir("/proc/self/task")) <= count + 2)


@LINUX
def test_nothing_is_opened_that_was_not_asked_for():
    before = sockets()
    with open_session():
        assert sockets() <= before  # those of an earlier test may still be closing


def test_a_session_that_is_let_go_is_closed():
    end = free_endpoint()
    open_session(listen=end)
    with open_session(listen=end):
        pass


def test_a_closed_session_says_so():
    session = open_session()
    session.close()
    session.close()
    assert repr(session) == "Session(mode='peer', closed)"
    for call in (session.peers, lambda: session.subscribe("a", print)):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    with open_session() as other, pytest.raises(DTypeError, match="callable"):
        other.subscribe("a", 3)


def test_a_connection_that_is_lost_is_made_again():
    end = free_endpoint()
    first = open_session(listen=end)
    with open_session(connect=end) as b:
        assert wait_for(b.peers)
        first.close()
        assert wait_for(lambda: not b.peers())
        with open_session(listen=end) as again:
            assert wait_for(lambda: b.peers() == (again.id,))


def test_a_peer_need_not_wait_for_others():
    end = free_endpoint()
    with open_session(connect=end, timeout=None) as early:
        assert early.peers() == ()
        with open_session(listen=end) as late:
            assert wait_for(lambda: early.peers() == (late.id,))


def test_a_key_prefix_is_added_and_taken_off():
    end = free_endpoint()
    with open_session(listen=end) as a, open_session(connect=end, key_prefix="lab/one") as b:
        there, back = [], []
        a.subscribe("**", lambda s: there.append(str(s.key_expr)))
        b.subscribe("**", lambda s: back.append(str(s.key_expr)))
        assert wait_for(
            lambda: a.raw.put("lab/one/y", b"") or (b.raw.put("x", b"") or ("lab/one/x" in there and "y" in back))
        )
        a.raw.put("other/y", b"")
        assert set(back) == {"x", "y"}


@pytest.mark.parametrize("mode", ["peer", "client"])
def test_nobody_there_is_said_in_time(mode):
    end = free_endpoint()
    with pytest.raises(RfxConnectionError, match=rf"expected an answer from {end} within 0.1 s, got none"):
        open_session(connect=end, mode=mode, timeout=0.1)


def test_an_endpoint_that_is_taken_is_said():
    end = free_endpoint()
    with (
        open_session(listen=end),
        pytest.raises(RfxConnectionError, match=rf"listen at {end}, got Address already in use"),
    ):
        open_session(listen=end)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"connect": "127.0.0.1:7447"}, ConfigError, "tcp/127.0.0.1:7447"),
        ({"connect": "tcp/127.0.0.1"}, ConfigError, "endpoints"),
        ({"listen": ["tcp/127.0.0.1:99999"]}, ConfigError, "99999"),
        ({"listen": ["sms/127.0.0.1:1"]}, ConfigError, "sms"),
        ({"listen": ["tcp/127.0.0.1:1 "]}, ConfigError, "endpoints"),
        ({"connect": ""}, ConfigError, "endpoints"),
        ({"connect": 7447}, DTypeError, "int"),
        ({"connect": [7447]}, DTypeError, "int"),
        ({"connect": b"tcp/127.0.0.1:1"}, DTypeError, "bytes"),
        ({"mode": "star"}, ConfigError, "star"),
        ({"mode": "client"}, ConfigError, "client"),
        ({"mode": "client", "connect": "tcp/a:1", "listen": "tcp/a:2"}, ConfigError, "listen"),
        ({"mode": "client", "connect": "tcp/a:1", "timeout": None}, ConfigError, "timeout"),
        ({"timeout": -1}, InvalidValueError, "timeout"),
        ({"timeout": float("nan")}, InvalidValueError, "timeout"),
        ({"key_prefix": "a/*"}, ConfigError, "key_prefix"),
        ({"key_prefix": "a/"}, InvalidValueError, "key expression"),
        ({"key_prefix": 3}, DTypeError, "key expression"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, error, words):
    with pytest.raises(error, match=words):
        open_session(**arguments)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "zenoh", None)
    with pytest.raises(MissingDependencyError, match=r"rfx\[zenoh\]"):
        open_session()


def test_ctrl_c_ends_the_wait_for_a_connection(monkeypatch):
    opening, gate, closed = threading.Event(), threading.Event(), threading.Event()
    late = types.SimpleNamespace(close=closed.set)  # a session that nobody waits for any more
    monkeypatch.setattr(zenoh, "open", lambda config: opening.set() or (gate.wait(60) and late))

    def interrupt():
        opening.wait(30)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        interrupting.start()
        open_session(connect=free_endpoint())
    assert not closed.is_set()
    interrupting.join()
    gate.set()
    assert closed.wait(60)


def test_a_program_that_forgets_to_close_ends():
    code = """
from rfx.comm.zenoh import open_session
session = open_session(listen="tcp/127.0.0.1:0")
session.subscribe("**", lambda sample: print(sample.key_expr, flush=True))
session.raw.put("a", b"")
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == "a\n"
