"""rfx.comm.parameters: what is declared, what is refused, and that all who look see the same."""

import contextlib
import math
import threading

import links
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import wait_for

from rfx.comm import Parameter, ParameterClient, ParameterServer, ServiceError, Transport, pack_value
from rfx.errors import (
    CodecError,
    ConfigError,
    DTypeError,
    InvalidStateError,
    InvalidValueError,
    RfxError,
    RfxTimeoutError,
    ShapeError,
)

link = links.link


def declare(server):
    server.declare("on", True)
    server.declare("count", 3, minimum=0, maximum=10)
    server.declare("speed", 0.5, minimum=0, maximum=1, description="m/s")
    server.declare("gait", "trot", choices=["trot", "walk"])
    server.declare("gains", [1.0, 2.0], minimum=0, length=2)
    server.declare("serial", "A1", read_only=True)
    return server


@pytest.fixture
def server():
    with ParameterServer("go2") as server:
        yield declare(server)


def test_a_declared_parameter_has_its_default(server):
    assert server.list() == {
        "on": True, "count": 3, "speed": 0.5, "gait": "trot", "gains": [1.0, 2.0], "serial": "A1",
    }  # fmt: skip
    assert server.describe()["speed"] == Parameter("speed", "float", 0.5, 0, 1, description="m/s")


def test_declaring_again_keeps_the_value_and_declaring_otherwise_is_refused(server):
    server.set("count", 7)
    assert server.declare("count", 3, minimum=0, maximum=10) == 7
    with pytest.raises(ConfigError, match="declared before"):
        server.declare("count", 3)


REFUSED = [
    ("on", 1, DTypeError),
    ("on", "yes", DTypeError),
    ("count", True, DTypeError),
    ("count", 2.0, DTypeError),
    ("count", 11, InvalidValueError),
    ("count", 10**30, InvalidValueError),
    ("speed", 1.01, InvalidValueError),
    ("speed", -0.1, InvalidValueError),
    ("speed", True, DTypeError),
    ("speed", "0.5", DTypeError),
    ("gait", "gallop", InvalidValueError),
    ("gait", 1, DTypeError),
    ("gains", [1.0], ShapeError),
    ("gains", [1.0, -1.0], InvalidValueError),
    ("gains", [1.0, True], DTypeError),
    ("gains", "12", DTypeError),
    ("gains", 1.0, DTypeError),
    ("serial", "B2", InvalidStateError),
    ("nothing", 1, ConfigError),
]


@pytest.mark.parametrize(
    ("name", "value", "error"), [*REFUSED, ("speed", math.nan, InvalidValueError), ("gains", [[1, 2]], DTypeError)]
)
def test_what_may_not_be_is_refused_and_changes_nothing(server, name, value, error):
    before, version = server.list(), server.version
    with pytest.raises(error, match="expected"):
        server.set_many({"count": 5, name: value})
    assert (server.list(), server.version) == (before, version)


def test_what_a_client_may_not_set_is_refused_with_the_same_error(link):
    here, there = link
    with declare(ParameterServer("go2", there)) as server, ParameterClient(here, "go2") as client:
        before = server.list()
        for name, value, error in REFUSED:
            with pytest.raises(error) as caught:
                client.set_many({"speed": 0.25, name: value})
            assert isinstance(caught.value, ServiceError)
        assert client.list() == server.list() == before


def test_several_values_are_set_together_and_told_as_one_change(link):
    here, there = link
    with (
        declare(ParameterServer("go2", there)) as server,
        ParameterClient(here, "go2", source="operator") as client,
        client.subscribe() as changes,
    ):
        assert wait_for(lambda: client.list() == server.list())
        version = client.set_many({"speed": 0.75, "gains": [3, 4], "count": 3})
        change = changes.recv_timeout(10)
    assert change.version == version == server.version
    assert change.values == {"speed": 0.75, "gains": [3.0, 4.0]}
    assert change.old == {"speed": 0.5, "gains": [1.0, 2.0]}
    assert (change.node, change.source) == ("go2", "operator")


def test_a_value_that_stays_the_same_is_no_change(server):
    with server.subscribe() as changes:
        version = server.version
        server.set("speed", 0.5)
        assert server.version == version
        assert changes.try_recv() is None


def test_a_description_reaches_a_client_whole(link):
    here, there = link
    with declare(ParameterServer("go2", there)) as server, ParameterClient(here, "go2") as client:
        assert client.describe() == server.describe()
        assert client.get("gains") == [1.0, 2.0]
        with pytest.raises(ConfigError, match="got 'x'"):
            client.get("x")


def test_a_check_of_all_values_refuses_what_does_not_go_together():
    def check(values):
        if values["low"] > values["high"]:
            raise InvalidValueError(f"expected low <= high, got {values['low']} > {values['high']}")

    with ParameterServer("n", check=check) as server:
        server.declare("low", 0.0)
        server.declare("high", 1.0)
        with pytest.raises(InvalidValueError, match="low <= high"):
            server.set("low", 2.0)
        server.set_many({"low": 2.0, "high": 3.0})
        assert server.list() == {"low": 2.0, "high": 3.0}


def test_a_check_that_sets_is_refused():
    with ParameterServer("n", check=lambda values: server.set("a", values["a"] + 1)) as server:
        server.declare("a", 1)
        with pytest.raises(InvalidStateError, match="check"):
            server.set("a", 5)
        assert server.get("a") == 1


def test_an_owner_sets_what_is_read_only(server):
    server.set("serial", "C3", owner=True)
    assert server.get("serial") == "C3"


def test_a_state_dict_moves_all_values_and_a_wrong_one_none(server):
    server.set_many({"count": 9, "serial": "Z"}, owner=True)
    state = server.state_dict()
    with ParameterServer("go2") as other:
        declare(other).load_state_dict(state)
        assert other.list() == server.list()
        before = other.list()
        for values in ({**state["values"], "speed": 2.0}, {**state["values"], "more": 1}, {"count": 1}):
            with pytest.raises(RfxError):
                other.load_state_dict({"values": values})
        with pytest.raises(DTypeError):
            other.load_state_dict([])
        assert other.list() == before


@pytest.mark.parametrize(
    ("name", "default", "options", "error"),
    [
        ("a b", 1, {}, InvalidValueError),
        ("", 1, {}, InvalidValueError),
        (1, 1, {}, DTypeError),
        ("a", None, {}, DTypeError),
        ("a", b"x", {}, DTypeError),
        ("a", 5, {"maximum": 4}, InvalidValueError),
        ("a", 5, {"minimum": 9, "maximum": 4}, ConfigError),
        ("a", True, {"minimum": 0}, ConfigError),
        ("a", 1, {"choices": ["x"]}, ConfigError),
        ("a", 1, {"length": 1}, ConfigError),
        ("a", 1, {"kind": "complex"}, ConfigError),
        ("a", math.inf, {}, InvalidValueError),
        ("a", ["x"], {}, DTypeError),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(server, name, default, options, error):
    before = server.list()
    with pytest.raises(error):
        server.declare(name, default, **options)
    assert server.list() == before


def test_numpy_numbers_are_taken_as_numbers(server):
    server.set_many({"on": np.bool_(False), "count": np.int32(4), "speed": np.float32(0.25), "gains": np.array([5, 6])})
    assert server.list() | {"serial": ""} == {
        "on": False, "count": 4, "speed": 0.25, "gait": "trot", "gains": [5.0, 6.0], "serial": "",
    }  # fmt: skip
    assert type(server.get("speed")) is float


def test_what_is_read_can_be_changed_without_changing_the_parameter(server):
    server.get("gains").append(1)
    server.list()["gains"].clear()
    assert server.get("gains") == [1.0, 2.0]


def test_no_server_is_a_timeout_that_names_the_key():
    with (
        Transport() as transport,
        ParameterClient(transport, "ghost", timeout=0.05) as client,
        pytest.raises(RfxTimeoutError, match="rfx/ghost/parameters"),
    ):
        client.list()


def test_a_closed_server_is_read_and_not_set(server):
    server.close()
    assert server.get("count") == 3
    with pytest.raises(InvalidStateError, match="closed"):
        server.set("count", 4)
    assert server.get("count") == 3


@pytest.mark.parametrize("asked", [None, [], {"op": "drop"}, {"op": "set", "values": [1]}, {"op": "set", "source": 1}])
def test_requests_that_are_none_are_refused(asked):
    with Transport() as transport, declare(ParameterServer("go2", transport)) as server:
        before = server.list()
        with ParameterClient(transport, "go2") as client, pytest.raises((InvalidValueError, DTypeError)):
            client._client.call(asked)
        assert server.list() == before


def test_a_change_that_is_none_is_counted_and_left_out():
    with Transport() as transport, ParameterClient(transport, "go2") as client, client.subscribe() as changes:
        for payload in (b"x", pack_value([]), pack_value({"node": "go2"})):
            transport.publish("rfx/go2/parameters/changed", payload)
            assert changes.try_recv() is None
        assert changes.refused == 3
        with pytest.raises(CodecError):
            Parameter.from_dict({"name": "a"})


@pytest.mark.parametrize(("node", "prefix"), [("a/b", "rfx"), ("*", "rfx"), ("a", "**"), ("", "rfx")])
def test_a_name_that_is_no_chunk_is_refused(node, prefix):
    with pytest.raises(InvalidValueError):
        ParameterServer(node, prefix=prefix)


def test_threads_that_set_at_once_leave_one_order_of_changes():
    with Transport() as transport, ParameterServer("n", transport) as server, server.subscribe(2000) as changes:
        server.declare("a", 0)
        server.declare("b", 0)

        def work(base):
            for i in range(50):
                server.set_many({"a": base + i, "b": -(base + i)})

        threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(1, 4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seen = [changes.try_recv() for _ in range(server.version)]
        assert [c.version for c in seen] == [*range(1, server.version + 1)]
        assert all(c.values["a"] == -c.values["b"] for c in seen[2:])
        assert server.list() == seen[-1].values


names = st.sampled_from(["on", "count", "speed", "gait", "gains", "serial", "unknown"])
anything = st.one_of(
    st.booleans(),
    st.integers(-3, 14),
    st.floats(-0.5, 1.5),
    st.sampled_from(["trot", "walk", "A1", ""]),
    st.lists(st.floats(-1, 3), max_size=3),
    st.none(),
)
steps = st.lists(st.tuples(st.booleans(), st.dictionaries(names, anything, min_size=1, max_size=3)), max_size=8)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_the_owner_a_client_and_one_who_hears_the_changes_see_the_same(steps):
    with Transport() as transport, ParameterServer("go2", transport) as server, server.subscribe() as changes:
        declare(server)
        with ParameterClient(transport, "go2") as client:
            heard = {}
            for remote, values in steps:
                with contextlib.suppress(RfxError):
                    (client if remote else server).set_many(values)
                while (change := changes.try_recv()) is not None:
                    assert {k: heard.get(k) for k in change.old} == change.old
                    heard |= change.values
                assert heard | server.list() == heard
                assert client.list() == server.list()
                for name, parameter in server.describe().items():
                    assert parameter.checked(server.get(name)) is not None
