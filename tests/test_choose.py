"""rfx.go2.backends.choose: the link that is named, else the first over which states really come; every try has its reason."""

import pytest
from bridged import bridge_on
from loopback import free_endpoint
from test_client import Robot

from rfx.comm.zenoh import open_session
from rfx.errors import ConfigError, MissingDependencyError, RfxConnectionError, RfxTimeoutError
from rfx.go2 import Go2, Go2BackendHint, Go2Config
from rfx.go2.backends import choose
from rfx.go2.backends.choose import ways_of
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.backends.cyclone_backend import CycloneBackend
from rfx.go2.backends.zenoh_backend import ZenohBackend

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")

ROUTER = "tcp/10.0.0.1:7447"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in (choose.BACKEND, choose.ENDPOINT, choose.PREFIX):
        monkeypatch.delenv(name, raising=False)


def named(config):
    return [way.hint.value for way in ways_of(config)]


# -- which ways there are


@pytest.mark.parametrize(
    ("config", "ways"),
    [
        (Go2Config(), ["cyclone"]),
        (Go2Config(zenoh_endpoint=ROUTER), ["cyclone", "zenoh"]),
        (Go2Config(backend="cyclone", zenoh_endpoint=ROUTER), ["cyclone"]),
        (Go2Config().with_zenoh_router(ROUTER), ["zenoh"]),
        (Go2Config(backend=Go2BackendHint.DustDds), ["dust"]),
    ],
)
def test_the_configuration_says_which_ways_there_are(config, ways):
    assert named(config) == ways


def test_where_the_configuration_is_silent_the_environment_speaks(monkeypatch):
    monkeypatch.setenv(choose.ENDPOINT, ROUTER)
    assert named(Go2Config()) == ["cyclone", "zenoh"]
    monkeypatch.setenv(choose.BACKEND, "zenoh")
    assert named(Go2Config()) == ["zenoh"]
    assert named(Go2Config(backend="cyclone")) == ["cyclone"]
    monkeypatch.setenv(choose.PREFIX, "dog/one")
    assert (
        str(ways_of(Go2Config(zenoh_endpoint="tcp/10.0.0.2:7447"))[0])
        == "zenoh (tcp/10.0.0.2:7447 with prefix dog/one)"
    )
    monkeypatch.setenv(choose.BACKEND, "")
    assert named(Go2Config()) == ["cyclone", "zenoh"]


def test_an_unknown_backend_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv(choose.BACKEND, "pigeon")
    with pytest.raises(ConfigError, match="RFX_GO2_BACKEND to be one of cyclone, zenoh, dust, got 'pigeon'"):
        Go2.connect(Go2Config())


def test_zenoh_without_an_endpoint_says_how_to_name_one():
    with pytest.raises(ConfigError, match=r"with_zenoh_router.*RFX_GO2_ZENOH"):
        Go2.connect(Go2Config(backend="zenoh"))


def test_a_configuration_that_makes_no_sense_is_no_attempt_that_failed(domain_id):
    with pytest.raises(ConfigError, match="expected connect to be endpoints"):
        Go2.connect(auto(domain_id, "nowhere", 0.2))


# -- what is really reachable


def auto(domain_id, endpoint, seconds=8.0):
    return Go2Config("127.0.0.1", LOOPBACK, domain_id, zenoh_endpoint=endpoint, connect_timeout_s=seconds)


def test_dds_is_taken_where_the_robot_answers_there(domain_id):
    endpoint = free_endpoint()
    with (
        Robot(domain_id),
        bridge_on(domain_id, listen=endpoint),
        Go2.connect(auto(domain_id, endpoint)) as go2,
    ):
        assert isinstance(go2.backend, CycloneBackend)


def test_zenoh_is_taken_where_dds_leads_nowhere(domain_id, other_domain_id):
    endpoint = free_endpoint()
    with (
        Robot(domain_id) as robot,
        bridge_on(domain_id, listen=endpoint),
        Go2.connect(auto(other_domain_id, endpoint, 2.0)) as go2,
    ):
        assert isinstance(go2.backend, ZenohBackend)
        assert go2.wait_state(5.0)
        assert robot.counters.commands == 0


def test_nobody_anywhere_names_every_way_and_its_reason(domain_id):
    with pytest.raises(RfxTimeoutError) as caught:
        Go2.connect(auto(domain_id, free_endpoint(), 0.6))
    text = str(caught.value)
    assert "no valid rt/lowstate within 0.6 s" in text
    assert f"cyclone (domain {domain_id} on interface {LOOPBACK}): open, but no state came within 0.3 s" in text
    assert "zenoh (tcp/127.0.0.1:" in text
    assert "expected an answer from" in text


def test_a_connection_without_states_is_no_robot(domain_id):
    endpoint = free_endpoint()
    with (
        open_session(listen=endpoint),
        pytest.raises(RfxTimeoutError, match=r"zenoh \(tcp/.*\): open, but no state came within 0\.3 s"),
    ):
        Go2.connect(auto(domain_id, endpoint, 0.6))


def test_a_missing_library_is_one_reason_among_others(domain_id, monkeypatch):
    def without(config):
        raise MissingDependencyError("DDS needs cyclonedds")

    monkeypatch.setattr(choose, "_cyclone", without)
    with pytest.raises(RfxConnectionError, match=r"DDS needs cyclonedds; zenoh .*expected an answer"):
        Go2.connect(auto(domain_id, free_endpoint(), 0.4))
    with pytest.raises(MissingDependencyError, match="cyclonedds"):
        Go2.connect(Go2Config(interface=LOOPBACK))
    endpoint = free_endpoint()
    with Robot(domain_id), bridge_on(domain_id, listen=endpoint), Go2.connect(auto(domain_id, endpoint)) as go2:
        assert isinstance(go2.backend, ZenohBackend)


class Silent:
    """A backend over which something comes, but no state."""

    def __init__(self, refused=0, states=0):
        self.refused, self.last_refusal, self.states, self.closed = refused, "checksum", states, False

    def subscribe_state(self):
        return self

    def recv(self, timeout_s):
        self.states -= 1
        return "state" if self.states >= 0 else None

    def is_connected(self):
        return False

    def disconnect(self):
        self.closed = True


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (Silent(), "open, but no state came"),
        (Silent(refused=3), "3 states came and were refused, the last one for: checksum"),
        (Silent(states=1), "nobody takes commands there"),
    ],
)
def test_a_link_that_is_given_up_is_closed_and_its_reason_told(backend, words, monkeypatch):
    monkeypatch.setattr(choose, "_zenoh", lambda *where: backend)
    with pytest.raises(RfxTimeoutError, match=words):
        Go2.connect(Go2Config(connect_timeout_s=0.05).with_zenoh_router(ROUTER))
    assert backend.closed


def test_an_interruption_closes_the_link(monkeypatch):
    backend = Silent()

    def interrupted(timeout_s):
        raise KeyboardInterrupt

    backend.recv = interrupted
    monkeypatch.setattr(choose, "_zenoh", lambda *where: backend)
    with pytest.raises(KeyboardInterrupt):
        Go2.connect(Go2Config().with_zenoh_router(ROUTER))
    assert backend.closed
