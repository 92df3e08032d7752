"""rfx.go2.client and what it is made of, when several threads, a signal handler or the end come at the worst moment."""

import logging
import signal
import sys
import threading

import pytest
from recording_link import QUICK, STAND, RecordingLink, command, damps, standing
from waiting import wait_for

from rfx.errors import InvalidStateError
from rfx.go2 import Go2, guard
from rfx.go2.policy_feeds import Driver
from rfx.go2.topics import SportApi


@pytest.fixture
def made():
    link = RecordingLink()
    go2 = Go2(QUICK, link)
    go2._keep(link.latest())
    yield link, go2
    go2.disconnect()


def asked(link):
    return [api for service, api, _ in link.requests if service == "sport"]


def aside(work):
    """Run in a thread; returns it, and what it raised."""
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


# -- what keeps it walking


def test_where_no_thread_can_be_started_the_robot_is_told_to_stop_and_can_walk_later(made, monkeypatch):
    link, go2 = made

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            go2.walk(0.1, 0.0, 0.0)
    assert asked(link)[-1] == SportApi.STOP_MOVE
    assert go2._keeper.velocity is None
    go2.walk(0.1, 0.0, 0.0, hold_s=60.0)
    sent = go2._keeper.sent
    assert wait_for(lambda: go2._keeper.sent > sent + 2)


def test_whatever_sending_raises_the_robot_is_told_to_stop_and_can_walk_later(made, monkeypatch):
    link, go2 = made
    send, failed = go2.rpc.send, []

    def broken(service, api_id, parameter="{}"):
        if api_id == SportApi.MOVE and not failed:
            failed.append(api_id)
            raise ZeroDivisionError("of somebody's library")
        send(service, api_id, parameter)

    monkeypatch.setattr(go2.rpc, "send", broken)
    go2.walk(0.1, 0.0, 0.0, hold_s=60.0)
    assert wait_for(lambda: "somebody's library" in go2.why_stopped)
    assert asked(link)[-1] == SportApi.STOP_MOVE
    go2.walk(0.1, 0.0, 0.0, hold_s=60.0)
    sent = go2._keeper.sent
    assert wait_for(lambda: go2._keeper.sent > sent + 2)


def test_a_lease_that_is_lost_does_not_take_a_newer_one_with_it(made, monkeypatch):
    _, go2 = made
    call = go2.rpc.call

    def answers(service, api_id, parameter="{}", timeout_s=5.0, sending=None):
        if api_id == 101:
            return '{"id": 7, "term": 1000000}'
        if api_id == 102 and go2.rpc.lease_id == 7:
            go2.drop_lease()
            go2._keeper._lease_due_s, go2.rpc.lease_id = 1e9, 8  # as another thread takes one meanwhile
            raise InvalidStateError("it was refused")
        return call(service, api_id, parameter, timeout_s, sending)

    monkeypatch.setattr(go2.rpc, "call", answers)
    go2.take_lease()
    go2._keeper._lease_due_s = 0.0
    assert wait_for(lambda: go2.rpc.lease_id == 8)
    go2._keeper._renew()
    assert (go2.rpc.lease_id, go2._keeper._lease_due_s) == (8, 1e9)


# -- letting go


def test_who_disconnects_second_returns_when_the_link_is_closed(made, monkeypatch):
    link, go2 = made
    inside, go_on, closed = threading.Event(), threading.Event(), []

    def disconnect():
        inside.set()
        assert go_on.wait(10)
        closed.append(True)

    monkeypatch.setattr(link, "disconnect", disconnect)
    first, _ = aside(go2.disconnect)
    assert inside.wait(10)
    second, errors = aside(lambda: (go2.disconnect(), closed.append("second")))
    second.join(0.1)
    go_on.set()
    first.join(10)
    second.join(10)
    assert not errors
    assert closed == [True, "second"]


def test_ctrl_c_while_letting_go_still_damps_and_closes(made, monkeypatch):
    link, go2 = made
    closed, close = [], go2._keeper.close
    go2.send(command())

    def interrupted():
        close()
        raise KeyboardInterrupt

    monkeypatch.setattr(go2._keeper, "close", interrupted)
    monkeypatch.setattr(link, "disconnect", lambda: closed.append(True))
    with pytest.raises(KeyboardInterrupt):
        go2.disconnect()
    assert damps(link.sent()[-1])
    assert closed == [True]
    assert not guard.watched(go2)


def test_no_sender_is_started_on_a_robot_that_is_being_let_go(made, monkeypatch):
    _, go2 = made
    newest = go2._newest

    def lets_go():
        low = newest()
        go2.disconnect()
        return low

    monkeypatch.setattr(go2, "_newest", lets_go)
    with pytest.raises(InvalidStateError, match="disconnected"):
        go2.start_sending()
    assert "rfx go2 sender" not in [t.name for t in threading.enumerate()]
    assert not guard.watched(go2)


# -- the sender


def test_the_sender_and_who_sets_one_motor_never_wait_for_each_other(made, monkeypatch):
    _, go2 = made
    reached, newest = threading.Event(), go2._newest

    def gated():  # as in lockstep, where a state that comes again is answered under the lock of what leaves
        if sys._getframe(1).f_code.co_name == "_next":
            reached.set()
            with go2._out:
                return newest()
        return newest()

    sender = go2.start_sending(ramp_s=0.0)
    monkeypatch.setattr(go2, "_newest", gated)

    def one_motor():
        with go2._out:
            sender.put(command())
            assert reached.wait(10)
            assert sender.wanted is not None

    thread, errors = aside(one_motor)
    thread.join(10)
    assert not thread.is_alive()
    assert not errors
    assert wait_for(lambda: sender.state == "sending")


def test_damping_does_not_wait_for_the_log(made):
    link, go2 = made
    held = threading.Event()

    class Slow(logging.Handler):
        def emit(self, record):
            held.wait(30)

    log, handler = logging.getLogger("rfx.go2"), Slow()
    go2.start_sending(ramp_s=0.0)
    go2.send(command())
    assert wait_for(lambda: link.sent() and not damps(link.sent()[-1]))
    log.addHandler(handler)
    try:
        thread, errors = aside(go2.damp)
        thread.join(10)
        assert not thread.is_alive()
        assert not errors
        assert damps(link.sent()[-1])
    finally:
        held.set()
        log.removeHandler(handler)


def test_an_emergency_stop_does_not_wait_for_the_log_of_a_command(made):
    link, go2 = made
    inside, go_on = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record):
            inside.set()
            go_on.wait(30)

    log, handler = logging.getLogger("rfx.go2"), Slow()
    log.addHandler(handler)
    try:
        slow, _ = aside(lambda: go2.set_motor_position(0, STAND[0] + 0.8))  # a step that the envelope makes smaller
        assert inside.wait(10)
        thread, errors = aside(go2.emergency_stop)
        thread.join(10)
        assert not thread.is_alive()
        assert not errors
        assert damps(link.sent()[-1])
    finally:
        go_on.set()
        log.removeHandler(handler)
        slow.join(10)


def test_a_sender_that_could_not_be_started_leaves_nothing(made, monkeypatch):
    _, go2 = made
    start = threading.Thread.start

    def interrupted(self):
        start(self)
        if self.name == "rfx go2 sender":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go2.start_sending()
    assert wait_for(lambda: "rfx go2 sender" not in [t.name for t in threading.enumerate()])


# -- states


def test_a_state_that_another_thread_took_earlier_does_not_come_after_a_newer_one(made):
    _, go2 = made
    assert go2._keep(standing(1000))
    assert go2._keep(standing(1006))
    assert not go2._keep(standing(1004))
    assert go2.newest_tick == 1006
    assert go2._keep(standing(4))  # a robot that was started again
    assert go2.newest_tick == 4
    assert go2._keep(standing(2**32 - 2)) is False  # just before its clock began anew


# -- a policy


class Tick:
    """What a Driver needs of a PolicyTick."""

    phase = "policy"

    def __init__(self):
        self.asked = threading.Event()

    def damp(self):
        self.asked.set()


@pytest.mark.parametrize("stop", [Go2.emergency_stop, Go2.damp])
def test_a_policy_does_not_take_motors_that_were_stopped_since_they_were_free(made, stop):
    _, go2 = made
    tick = Tick()
    with go2._motors.motion():
        thread, errors = aside(lambda: stop(go2))
        thread.join(10)
        assert not errors
        with pytest.raises(InvalidStateError):
            Driver(go2, tick).__enter__()
    assert go2.sender is None


@pytest.mark.parametrize("stop", [Go2.emergency_stop, Go2.damp])
def test_a_stop_returns_when_the_policy_sends_nothing_but_damping(made, stop):
    _, go2 = made
    tick = Tick()

    def ticks():  # the tick that was under way has sent a command of the policy; the next one looks at what was asked
        assert tick.asked.wait(10)
        threading.Event().wait(0.02)
        tick.phase = "damping"

    thread, errors = aside(ticks)
    with Driver(go2, tick):
        stop(go2)
        assert tick.phase == "damping"
        thread.join(10)
        tick.phase = "done"
    assert not errors


def test_a_policy_that_runs_on_is_damped_when_its_place_is_given_back(made):
    _, go2 = made
    tick = Tick()
    with pytest.raises(KeyboardInterrupt), Driver(go2, tick):
        raise KeyboardInterrupt
    assert tick.asked.is_set()
    assert go2.sender is None


# -- the end of the program


def test_a_signal_brakes_also_where_no_thread_can_be_started(made, monkeypatch):
    link, go2 = made
    go2.send(command())

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert damps(link.sent()[-1])
