"""rfx.comm.service: calls find their answers, errors reach the caller, and nobody waits for the dead."""

import _thread
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from links import KINDS, linked
from waiting import wait_for

from rfx.comm import Service, ServiceClient, ServiceError, ServiceGoneError, Transport, call
from rfx.comm.calls import Kind, reply_key, request_key, seal
from rfx.errors import (
    CodecError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    MissingDependencyError,
    RfxError,
    RfxTimeoutError,
)


@pytest.fixture(params=KINDS)
def link(request):
    with linked(request.param) as ends:
        yield ends


@pytest.fixture
def transport():
    with Transport() as transport:
        yield transport


def test_an_answer_comes_back_with_arrays_and_bytes_in_it(link):
    here, there = link
    with Service(there, "go2/double", lambda p: {"q": p["q"] * 2, "raw": p["raw"] + b"!"}):
        answer = call(here, "go2/double", {"q": np.arange(3.0), "raw": b"ab"})
    assert answer["q"].tolist() == [0, 2, 4]
    assert answer["raw"] == b"ab!"


def test_each_of_many_callers_gets_its_own_answer(link):
    here, there = link
    wrong = []

    def ask(client, base):
        for i in range(30):
            if client.call([base, i]) != [base, i, "seen"]:
                wrong.append((base, i))

    with Service(there, "echo", lambda p: [*p, "seen"]) as service:
        clients = [ServiceClient(here, "echo") for _ in range(3)]
        threads = [threading.Thread(target=ask, args=(clients[i % 3], i)) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert wrong == []
        assert service.counts["answered"] == 180
        assert sum(c.counts["answered"] for c in clients) == 180


@pytest.mark.parametrize(
    "error", [InvalidValueError, HardwareError, MissingDependencyError, ValueError, KeyError, TimeoutError]
)
def test_what_the_handler_raises_is_what_the_caller_gets(transport, error):
    def handler(_):
        raise error("expected vx at most 1, got 3")

    with Service(transport, "walk", handler), pytest.raises(error) as caught:
        call(transport, "walk")
    assert isinstance(caught.value, ServiceError)
    assert (caught.value.kind, caught.value.message) == (error.__name__, "expected vx at most 1, got 3")
    assert str(caught.value) == f"service walk: {error.__name__}: expected vx at most 1, got 3"


def test_an_error_of_a_class_that_the_caller_does_not_know_is_a_service_error(link):
    here, there = link

    class Mine(Exception):
        pass

    def handler(_):
        raise Mine("so")

    with Service(there, "walk", handler), pytest.raises(ServiceError) as caught:
        call(here, "walk")
    assert type(caught.value) is ServiceError
    assert caught.value.kind == "Mine"


def test_a_subclass_of_an_error_that_is_known_is_caught_as_that_error(transport):
    class Joint(HardwareError):
        pass

    def handler(_):
        raise Joint("FR_calf is hot")

    def relay(_):
        call(transport, "inner")

    with (
        Service(transport, "inner", handler),
        Service(transport, "outer", relay),
        pytest.raises(HardwareError) as caught,
    ):
        call(transport, "outer")
    assert (caught.value.kind, caught.value.message) == ("Joint", "FR_calf is hot")


def test_a_service_error_survives_pickling(transport):
    def handler(_):
        raise InvalidValueError("no")

    with Service(transport, "walk", handler), pytest.raises(InvalidValueError) as caught:
        call(transport, "walk")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, InvalidValueError)
    assert str(again) == str(caught.value)


def test_a_handler_that_exits_ends_its_call_and_not_the_service(transport):
    with Service(transport, "s", lambda p: sys.exit(3) if p else "here", workers=1):
        with pytest.raises(ServiceError, match="SystemExit: 3"):
            call(transport, "s", True)
        assert call(transport, "s") == "here"


def test_an_answer_that_is_no_value_is_an_error_of_the_caller(transport):
    with Service(transport, "s", lambda p: object()), pytest.raises(DTypeError, match="got object"):
        call(transport, "s")


def test_a_payload_that_is_no_value_is_refused_before_it_is_sent(transport):
    with Service(transport, "s", lambda p: p) as service, ServiceClient(transport, "s") as client:
        with pytest.raises(InvalidValueError, match="finite"):
            client.call(float("nan"))
        assert client.counts["calls"] == service.counts["calls"] == 0


def test_without_a_server_the_timeout_names_the_key_and_says_so(transport):
    with pytest.raises(RfxTimeoutError, match=r"service go2/stand within 0.05 s: no server is known") as caught:
        call(transport, "go2/stand", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)


def test_a_slow_handler_times_out_with_a_text_that_says_that_it_is_at_work(link):
    here, there = link
    release = threading.Event()
    with Service(there, "slow", lambda p: release.wait(10)) as service, ServiceClient(here, "slow") as client:
        with pytest.raises(RfxTimeoutError, match="is still at work"):
            client.call(timeout=0.3)
        release.set()
        assert wait_for(lambda: client.counts["late"] == 1)
        assert service.counts["answered"] == client.counts["timeouts"] == 1
        assert client.call(timeout=5) is True


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
    frames = [bytes(m.payload) for m in answers.drain()]
    assert [f[3] for f in frames] == [Kind.ACCEPTED, Kind.ANSWER, Kind.ANSWER, Kind.ANSWER]
    assert {f[24:] for f in frames[1:]} == {b"1"}


def test_a_closed_service_tells_those_who_wait(link):
    here, there = link
    began = threading.Event()
    seen = []

    def handler(_):
        began.set()
        seen.append(service.request.wait_cancelled(10))

    service = Service(there, "s", handler, workers=1)
    with ServiceClient(here, "s") as client:
        waiting = [client.submit(timeout=20) for _ in range(3)]
        assert began.wait(10)
        assert wait_for(lambda: service.counts["calls"] == 3)
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


def test_a_handler_at_work_says_that_it_is_alive(transport):
    with (
        Service(transport, "s", lambda p: time.sleep(1.3) or "done"),
        ServiceClient(transport, "s", lost_after_s=0.9) as client,
    ):
        assert client.call() == "done"


def test_a_cancelled_call_that_waits_is_never_begun(link):
    here, there = link
    gate, seen = threading.Event(), []

    def handler(p):
        seen.append(p)
        gate.wait(10)

    with Service(there, "s", handler, workers=1) as service, ServiceClient(here, "s") as client:
        first, second = client.submit(1), client.submit(2)
        assert wait_for(lambda: service.counts["calls"] == 2)
        assert second.cancel()
        assert not second.cancel()
        with pytest.raises(InvalidStateError, match="cancelled"):
            second.result()
        assert wait_for(lambda: any(r.cancelled for r in list(service._calls.values())))
        gate.set()
        assert first.result() is None
        assert wait_for(lambda: service.counts["cancelled"] == 1)
        assert seen == [1]


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
        threading.Timer(0.1, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            client.call(timeout=60)
        kinds = [bytes(m.payload)[3] for m in requests.drain()]
        assert kinds[0] == Kind.REQUEST
        assert kinds[-1] == Kind.CANCEL


def test_what_is_no_frame_is_counted_and_nothing_of_it_is_unpickled(transport):
    marks = []

    class Bomb:
        def __reduce__(self):
            return marks.append, ("exploded",)

    with Service(transport, "s", lambda p: p) as service, ServiceClient(transport, "s") as client:
        bad = [b"", b"x" * 500, pickle.dumps(Bomb()), seal(Kind.ANSWER, 1, b"abcdefgh", 1), np.zeros((4, 4))[:, 1]]
        for payload in bad:
            transport.publish(request_key("s"), payload)
            transport.publish(reply_key("s", client._id), payload)
        transport.publish(request_key("s"), seal(Kind.REQUEST, 1000, b"abcdefgh", 1, pickle.dumps(Bomb())))
        assert wait_for(lambda: service.counts["refused"] == 6)
        assert wait_for(lambda: client.counts["refused"] == 4)
        assert client.call("still here") == "still here"
    assert marks == []


def test_a_payload_beyond_the_limit_of_the_server_is_refused(transport):
    with Service(transport, "s", lambda p: p, limit=100) as service, ServiceClient(transport, "s") as client:
        with pytest.raises(RfxTimeoutError):
            client.call("x" * 200, timeout=0.3)
        assert service.counts["refused"] >= 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda t: Service(t, "a/*", print), InvalidValueError),
        (lambda t: Service(t, "a", None), DTypeError),
        (lambda t: Service(t, "a", print, workers=0), InvalidValueError),
        (lambda t: ServiceClient(t, "**"), InvalidValueError),
        (lambda t: ServiceClient(t, "a", lost_after_s=float("nan")), InvalidValueError),
        (lambda t: call(t, "a", timeout=0), InvalidValueError),
        (lambda t: call(t, "a", timeout=float("nan")), InvalidValueError),
        (lambda t: call(t, "a", timeout="1"), DTypeError),
    ],
)
def test_wrong_arguments_are_refused_and_leave_nothing_behind(transport, wrong, error):
    with pytest.raises(error):
        wrong(transport)
    assert wait_for(lambda: transport.subscriber_count == 0)


def test_an_error_frame_that_is_none_is_counted(transport):
    requests = transport.subscribe(request_key("s"))
    with ServiceClient(transport, "s") as client:
        client.submit()
        asked = bytes(requests.recv().payload)
        transport.publish(reply_key("s", asked[8:16]), seal(Kind.FAILED, 7, asked[8:16], 1, b"[1]"))
        assert wait_for(lambda: client.counts["refused"] == 1)
        assert issubclass(CodecError, ValueError)


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
