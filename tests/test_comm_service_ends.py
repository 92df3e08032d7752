"""rfx.comm.service: calls that are late, cancelled, refused or left by a server or a client that is gone."""

import _thread
import subprocess
import sys
import threading
import time

import links
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import wait_for

from rfx.comm import Service, ServiceClient, ServiceGoneError, call
from rfx.comm.calls import Kind, reply_key, request_key, seal
from rfx.errors import (
    InvalidStateError,
    RfxError,
    RfxTimeoutError,
)

link = links.link
transport = links.transport


def test_without_a_server_the_timeout_names_the_key_and_says_so(transport):
    with pytest.raises(RfxTimeoutError, match=r"service go2/stand within 0.05 s: no server is known") as caught:
        call(transport, "go2/stand", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)


def test_a_slow_handler_times_out_with_a_text_that_says_that_it_is_at_work(link):
    here, there = link
    release = threading.Event()
    with (
        Service(there, "slow", lambda p: p != "wait" or release.wait(30)) as service,
        ServiceClient(here, "slow") as client,
    ):
        assert client.call(timeout=20) is True  # each knows of the other
        with pytest.raises(RfxTimeoutError, match="is still at work"):
            client.call("wait", timeout=0.6)
        release.set()
        assert wait_for(lambda: client.counts["late"] == 1)
        assert (service.counts["answered"], client.counts["timeouts"]) == (2, 1)
        assert client.call("wait", timeout=20) is True


def test_a_late_answer_is_not_the_answer_of_the_next_call(transport):
    gate = threading.Event()

    def handler(p):
        if p == "first":
            gate.wait(10)
        return p

    with Service(transport, "s", handler) as _, ServiceClient(transport, "s") as client:
        with pytest.raises(RfxTimeoutError):
            client.call("first", 0.05)
        second = client.submit("second")
        gate.set()
        assert second.result() == "second"
        assert wait_for(lambda: client.counts["late"] == 1)


def test_a_server_that_comes_later_gets_the_call(link):
    here, there = link
    with ServiceClient(here, "s") as client:
        pending = client.submit("hello", 10)
        got = []
        thread = threading.Thread(target=lambda: got.append(pending.result()))
        thread.start()
        assert wait_for(lambda: client.counts["resent"] >= 1)
        with Service(there, "s", str.upper):
            thread.join(10)
        assert got == ["HELLO"]


def test_a_request_that_comes_twice_is_handled_once(transport):
    seen = []
    answers = transport.subscribe(reply_key("s", b"abcdefgh"))
    with Service(transport, "s", lambda p: seen.append(p) or len(seen)) as service:
        for _ in range(3):
            transport.publish(request_key("s"), seal(Kind.REQUEST, 1000, b"abcdefgh", 1, b'"x"'))
            assert wait_for(lambda: service.counts["answered"] == 1)
        assert wait_for(lambda: service.counts["repeated"] == 2)
    assert seen == ["x"]
    frames = [bytes(m.payload) for m in answers.drain() if bytes(m.payload)[3] != Kind.WORKING]
    assert [f[3] for f in frames] == [Kind.ACCEPTED, Kind.ANSWER, Kind.ANSWER, Kind.ANSWER]
    assert {f[24:] for f in frames[1:]} == {b"1"}


def test_a_closed_service_tells_those_who_wait(link):
    here, there = link
    began = threading.Event()
    seen = []

    def handler(p):
        if p == "ready":
            return p
        began.set()
        return seen.append(service.request.wait_cancelled(30))

    service = Service(there, "s", handler, workers=1)
    with ServiceClient(here, "s") as client:
        assert client.call("ready", timeout=20)  # each knows of the other; what is only submitted is not sent again
        waiting = [client.submit(timeout=60) for _ in range(3)]
        assert began.wait(10)
        assert wait_for(lambda: service.counts["calls"] == 4)
        service.close()
        for one in waiting:
            with pytest.raises(ServiceGoneError, match="closed"):
                one.result()
    assert wait_for(lambda: seen == [True])
    assert service.counts["cancelled"] == 3


def test_a_server_that_falls_silent_in_a_call_is_noticed_long_before_the_timeout(transport):
    requests = transport.subscribe(request_key("s"))
    with ServiceClient(transport, "s", lost_after_s=0.2) as client:
        pending = client.submit(timeout=1000)
        asked = bytes(requests.recv().payload)
        transport.publish(reply_key("s", asked[8:16]), seal(Kind.ACCEPTED, 7, asked[8:16], 1))
        with pytest.raises(ServiceGoneError, match="died or hangs"):
            pending.result()
        assert client.counts["gone"] == 1


def test_a_handler_at_work_says_that_it_is_alive(transport, monkeypatch):
    monkeypatch.setattr("rfx.comm.service.HEARTBEAT_S", 0.05)
    with (
        Service(transport, "s", lambda p: time.sleep(1.3) or "done"),
        ServiceClient(transport, "s", lost_after_s=1.0) as client,
    ):
        assert client.call() == "done"


def test_a_call_that_is_only_asked_whether_it_is_done_reaches_a_server_that_comes_later(link):
    here, there = link
    with ServiceClient(here, "later") as client:
        pending = client.submit(3, timeout=20.0)
        assert not pending.done
        with Service(there, "later", lambda p: 2 * p):
            assert wait_for(lambda: pending.done)
        assert pending.result() == 6


def test_a_call_that_is_only_asked_whether_it_is_done_ends_when_its_time_is_over(transport):
    with ServiceClient(transport, "nobody") as client:
        pending = client.submit(timeout=0.15)
        assert wait_for(lambda: pending.done)
        assert client.counts["timeouts"] == 1
        with pytest.raises(RfxTimeoutError, match="no server is known"):
            pending.result()


def test_a_cancelled_call_that_waits_is_never_begun(link):
    here, there = link
    gate, seen = threading.Event(), []

    def handler(p):
        seen.append(p)
        return p == "ready" or gate.wait(30)

    with Service(there, "s", handler, workers=1) as service, ServiceClient(here, "s") as client:
        assert client.call("ready", timeout=20)  # each knows of the other; what is only submitted is not sent again
        first, second = client.submit(1, 30), client.submit(2, 30)
        assert wait_for(lambda: service.counts["calls"] == 3)
        assert second.cancel()
        assert not second.cancel()
        with pytest.raises(InvalidStateError, match="cancelled"):
            second.result()
        assert wait_for(lambda: any(r.cancelled for r in list(service._calls.values())))
        gate.set()
        assert first.result() is True
        assert wait_for(lambda: service.counts["cancelled"] == 1)
        assert seen == ["ready", 1]


def test_a_handler_sees_that_its_caller_has_cancelled(transport):
    seen = []
    with Service(transport, "s", lambda p: seen.append(service.request.wait_cancelled(10))) as service:
        with ServiceClient(transport, "s") as client:
            pending = client.submit(timeout=30)
            assert wait_for(lambda: pending._taken >= 0)
            pending.cancel()
            assert wait_for(lambda: seen == [True])
        with pytest.raises(InvalidStateError, match="by a handler"):
            service.request  # noqa: B018


def test_more_calls_than_there_is_room_for_are_refused_at_once(transport):
    gate = threading.Event()
    with (
        Service(transport, "s", lambda p: gate.wait(10), workers=1, waiting=1) as service,
        ServiceClient(transport, "s") as client,
    ):
        first = client.submit()
        assert wait_for(lambda: service._busy == 1)
        second = client.submit()
        assert wait_for(lambda: service.counts["calls"] == 2)
        with pytest.raises(InvalidStateError, match="calls to wait"):
            client.call()
        gate.set()
        assert first.result()
        assert second.result()
        assert service.counts["refused"] == 1


def test_a_closed_client_and_a_closed_transport_end_the_waiting(transport):
    with ServiceClient(transport, "s") as client:
        errors = []

        def wait():
            try:
                client.call(timeout=100)
            except RfxError as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        assert wait_for(lambda: client.counts["calls"] == 1)
        transport.close()
        thread.join(10)
        assert not thread.is_alive()
        assert isinstance(errors[0], InvalidStateError)
        with pytest.raises(InvalidStateError):
            client.call()


def test_ctrl_c_gets_through_and_cancels_the_call(transport):
    requests = transport.subscribe(request_key("s"))
    with ServiceClient(transport, "s") as client:
        came = []
        interrupting = threading.Thread(target=lambda: (came.append(requests.recv()), _thread.interrupt_main()))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            interrupting.start()
            client.call(timeout=60)
        interrupting.join()
        kinds = [bytes(m.payload)[3] for m in [*came, *requests.drain()]]
        assert kinds[0] == Kind.REQUEST
        assert kinds[-1] == Kind.CANCEL


def test_a_program_ends_while_a_handler_works_and_a_caller_waits():
    source = (
        "import threading, time, rfx.comm as c\n"
        "t = c.Transport()\n"
        "s = c.Service(t, 's', lambda p: time.sleep(100))\n"
        "client = c.ServiceClient(t, 's')\n"
        "client.submit()\n"
        "print(repr(s), repr(client))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Service('s', calls=")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            seal,
            st.sampled_from(Kind),
            st.integers(0, 2**32 - 1),
            st.binary(min_size=8, max_size=8),
            st.integers(0, 2**64 - 1),
            st.binary(max_size=40),
        ),
    )
)
def test_nothing_that_comes_ends_a_service_or_a_client(transport, payload):
    with Service(transport, "s", lambda p: p) as service, ServiceClient(transport, "s") as client:
        transport.publish(request_key("s"), payload)
        transport.publish(reply_key("s", client._id), payload)
        assert client.call("here") == "here"
        assert service.counts["failed"] == 0
