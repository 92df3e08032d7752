"""rfx.comm.service: calls find their answers, errors reach the caller, and nobody waits for the dead."""

import pickle
import sys
import threading

import links
import numpy as np
import pytest
from waiting import wait_for

from rfx.comm import Service, ServiceClient, ServiceError, call
from rfx.comm.calls import Kind, reply_key, request_key, seal
from rfx.errors import (
    CodecError,
    DTypeError,
    HardwareError,
    InvalidValueError,
    MissingDependencyError,
    RfxTimeoutError,
)

link = links.link
transport = links.transport


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
