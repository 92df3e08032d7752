"""Links of C functions: native and by way of Python give and take the same bytes, wait, end and leak nothing."""

import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.errors import DTypeError, InvalidStateError, MissingDependencyError, RfxConnectionError
from rfx.go2.backends import links
from rfx.go2.backends.base import StageTimes
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.backends.links import native_reason, open_link, raw_link
from rfx.go2.link import Link, PythonLink
from rfx.go2.messages import LowCmd, LowState

TOPIC = "rt/link"
KINDS = [True, False]


@pytest.fixture
def domain(domain_id):
    with CycloneDomain(domain_id, LOOPBACK) as opened:
        yield opened


def link_on(domain, native, message=LowCmd, topic=TOPIC):
    return raw_link(domain, domain.reader(topic, message), domain.writer(topic, message), native)


def test_the_native_link_is_what_one_gets_here(domain):
    assert native_reason(domain) == ""
    link = link_on(domain, None)
    assert (link.kind, link.reason) == ("native", "")
    assert "native" in repr(link)


def test_a_python_link_says_why_it_is_one(domain):
    link = link_on(domain, False)
    assert link.kind == "python"
    assert "asked for" in link.reason


@pytest.mark.parametrize("writes", KINDS)
@pytest.mark.parametrize("takes", KINDS)
def test_both_kinds_carry_the_same_bytes(domain, writes, takes):
    out, into = link_on(domain, writes), link_on(domain, takes)

    @settings(max_examples=20, deadline=None)
    @given(st.binary(min_size=808, max_size=808))
    def carry(body):
        message = LowCmd.from_cdr(b"\x00\x01\x00\x00" + body).to_cdr()
        out.write(message)
        assert into.take(5.0) == message
        assert into.take() is None

    carry()
    out.close()  # hypothesis keeps the function, and by that the links
    into.close()


@pytest.mark.parametrize("native", KINDS)
def test_a_state_is_carried_as_well(domain, native):
    link = link_on(domain, native, LowState)
    message = LowState(tick=17, power_v=28.5).to_cdr()
    link.write(message)
    assert link.take(5.0) == message


@pytest.mark.parametrize("native", KINDS)
def test_the_newest_of_several_is_taken(domain, native):
    reader, writer = domain.reader(TOPIC, LowCmd, depth=40), domain.writer(TOPIC, LowCmd, depth=40)
    link = raw_link(domain, reader, writer, native)
    for i in range(40):
        link.write(LowCmd(reserve=i).to_cdr())
    taken = link.take(5.0)
    assert taken is not None
    assert LowCmd.from_cdr(taken).reserve == 39
    assert link.take() is None


@pytest.mark.parametrize("native", KINDS)
def test_what_is_not_of_the_topics_type_is_refused(domain, native):
    link = link_on(domain, native)
    for wrong in (b"", b"\x00\x01\x00\x00", LowCmd().to_cdr()[:-8]):
        with pytest.raises(RfxConnectionError):
            link.write(wrong)
    assert link.take() is None
    link.write(LowCmd().to_cdr())
    assert link.take(5.0) is not None


@pytest.mark.parametrize("native", KINDS)
def test_waiting_ends_with_the_time_and_with_a_message(domain, native):
    link = link_on(domain, native)
    began = time.monotonic()
    assert link.take(0.12) is None
    assert time.monotonic() - began >= 0.119
    timer = threading.Timer(0.05, link.write, (LowCmd(reserve=3).to_cdr(),))
    timer.start()
    assert link.take(30.0) == LowCmd(reserve=3).to_cdr()
    timer.join()


@pytest.mark.parametrize("native", KINDS)
def test_a_wait_is_ended_from_another_thread_and_the_next_one_waits_again(domain, native):
    link = link_on(domain, native)
    timer = threading.Timer(0.05, link.wake)
    timer.start()
    began = time.monotonic()
    link.take(60.0 if native else 0.2)
    assert time.monotonic() - began < 50
    timer.join()
    began = time.monotonic()
    assert link.take(0.12) is None
    assert time.monotonic() - began >= 0.119


@pytest.mark.parametrize("native", KINDS)
def test_ten_thousand_messages_leak_nothing(domain, native):
    link, message = link_on(domain, native), LowCmd().to_cdr()

    def carry(times):
        for _ in range(times):
            link.write(message)
            assert link.take(5.0) == message

    carry(500)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    carry(10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3000  # kB; the messages alone are 8000


@pytest.mark.parametrize("native", KINDS)
def test_a_closed_link_says_so(domain, native):
    link = link_on(domain, native)
    link.close()
    link.close()
    for use in (link.take, lambda: link.write(LowCmd().to_cdr())):
        with pytest.raises(InvalidStateError, match="closed"):
            use()


@pytest.mark.parametrize("native", KINDS)
def test_a_link_whose_domain_was_closed_is_closed(domain_id, native):
    domain = CycloneDomain(domain_id, LOOPBACK)
    link = link_on(domain, native)
    domain.close()
    for _ in range(3):
        with pytest.raises(InvalidStateError if native else RfxConnectionError, match=r"closed|cannot be used"):
            link.write(LowCmd().to_cdr())
        with pytest.raises(InvalidStateError if native else RfxConnectionError, match=r"closed|cannot be used"):
            link.take(0.01)
    link.close()


@pytest.mark.parametrize("native", KINDS)
def test_closing_while_others_write_and_take_ends_in_errors_at_most(domain_id, native):
    message, wrong = LowCmd(reserve=5).to_cdr(), []

    def use(link, wait_s):
        try:
            while True:
                link.write(message)
                link.take(wait_s)
        except (RfxConnectionError, InvalidStateError):
            return
        except Exception as error:
            wrong.append(error)

    for i in range(6):
        domain = CycloneDomain(domain_id, LOOPBACK)
        opened = [link_on(domain, native) for _ in range(2)]
        threads = [threading.Thread(target=use, args=(k, w)) for k in opened for w in (0.0, 0.01)]
        for thread in threads:
            thread.start()
        time.sleep(0.03)
        if i % 2:
            domain.close()
        for link in opened:
            link.close()
        for thread in threads:
            thread.join()
        domain.close()
    assert not wrong


def test_ctrl_c_gets_through_a_wait(domain_id):
    code = (
        "from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain\n"
        "from rfx.go2.backends.links import raw_link\n"
        "from rfx.go2.messages import LowCmd\n"
        f"with CycloneDomain({domain_id}, LOOPBACK) as d:\n"
        "    link = raw_link(d, d.reader('rt/x', LowCmd), d.writer('rt/x', LowCmd))\n"
        "    print('ready', flush=True)\n"
        "    link.take(60.0)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode != 0
    assert "KeyboardInterrupt" in errors


def test_without_a_function_of_the_library_python_does_the_work(domain, monkeypatch):
    monkeypatch.setattr(links, "_library_reason", lambda: "CycloneDDS' library has no dds_takecdr")
    link = link_on(domain, None)
    assert link.kind == "python"
    assert "dds_takecdr" in link.reason
    with pytest.raises(MissingDependencyError, match="dds_takecdr"):
        link_on(domain, True)
    link.write(LowCmd(reserve=9).to_cdr())
    assert link.take(5.0) == LowCmd(reserve=9).to_cdr()


def test_an_unknown_version_of_the_library_is_not_trusted(monkeypatch):
    links._library_reason.cache_clear()
    monkeypatch.setattr(links.importlib.metadata, "version", lambda name: "12.0.0")
    try:
        assert "12.0.0" in links._library_reason()
    finally:
        links._library_reason.cache_clear()


def test_a_domain_with_idl_classes_has_no_native_link(domain_id):
    with CycloneDomain(domain_id, LOOPBACK, raw=False) as domain:
        assert "IDL" in native_reason(domain)
        link = link_on(domain, None)
        link.write(LowCmd(reserve=4).to_cdr())
        assert link.take(5.0) == LowCmd(reserve=4).to_cdr()


class Echo:
    """A backend that answers with what it knows."""

    def __init__(self):
        self.times, self.sent, self.refused, self.last_refusal = StageTimes(), [], 0, ""

    def subscribe_state(self):
        return self

    def recv(self, timeout_s):
        return LowState(tick=5)

    def latest(self):
        return None

    def publish_low_cmd(self, cmd):
        self.sent.append(cmd.to_cdr())


def test_any_backend_can_be_linked_by_way_of_python():
    backend = Echo()
    link = open_link(backend)
    assert "Echo" in link.reason
    assert link.take(1.0) == LowState(tick=5).to_cdr()
    assert link.take() is None
    link.write(LowCmd(reserve=2).to_cdr())
    assert backend.sent == [LowCmd(reserve=2).to_cdr()]
    with pytest.raises(RfxConnectionError, match="low-level command"):
        link.write(b"not a command")
    with pytest.raises(MissingDependencyError):
        open_link(backend, native=True)


def test_what_a_python_function_raises_is_the_cause():
    def broken(timeout_s):
        raise OSError("unplugged")

    link = PythonLink(broken, lambda data: None)
    with pytest.raises(RfxConnectionError, match="unplugged") as caught:
        link.take()
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(DTypeError):
        PythonLink(None, print)
    with pytest.raises(DTypeError):
        Link()
    link = PythonLink(lambda timeout_s: "text", print)
    with pytest.raises(RfxConnectionError, match="bytes or None"):
        link.take()
