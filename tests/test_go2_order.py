"""A stop and a motion from two threads, or from a signal handler: whichever line it comes at, the robot stays stopped."""

import itertools
import threading

import pytest
from every_line import Interrupted
from recording_link import QUICK, STAND, RecordingLink, command, damps

from rfx.errors import InvalidStateError
from rfx.go2 import Go2, guard, topics
from rfx.go2.messages import SportModeState
from rfx.go2.topics import ServiceApi, SportApi

FILES = {"sport_client.py", "emergency.py", "low_level.py", "keeper.py", "rpc_client.py", "order.py", "sender.py"}
HARMLESS = {SportApi.STOP_MOVE, SportApi.DAMP, ServiceApi.VERSION}
RETURNED = "the stop has returned"


class Wire(RecordingLink):
    """Keeps in one list what leaves, in order: ``"motion"``, ``"stop"``, ``"command"``, ``"damping"``."""

    def __init__(self):
        super().__init__()
        self.seconds, self.left, self.closed = itertools.count(1), [], False

    def disconnect(self):
        self.closed = True

    def sport_state(self):
        state = SportModeState(body_height=0.3)
        state.stamp.sec = next(self.seconds)
        return state

    def publish_request(self, service, request):
        api_id = request.header.identity.api_id
        if self.closed:
            raise InvalidStateError("the link is closed")
        if service == topics.SPORT and api_id != ServiceApi.VERSION:
            self.left.append("stop" if api_id in HARMLESS else "motion")
        super().publish_request(service, request)

    def publish_low_cmd(self, cmd):
        if self.closed:
            raise InvalidStateError("the link is closed")
        self.left.append("damping" if damps(cmd) else "command")
        super().publish_low_cmd(cmd)


def robot():
    link = Wire()
    go2 = Go2(QUICK, link)
    go2._keep(link.latest())
    return link, go2


def walking(go2):
    go2.walk(0.2, 0.0, 0.0, hold_s=60.0)


def commanded(go2):
    go2.send(command())


def nothing(go2):
    pass


MOTIONS = {
    "walk": (nothing, lambda go2: go2.walk(0.3, 0.0, 0.0, hold_s=60.0)),
    "walk otherwise": (walking, lambda go2: go2.walk(0.3, 0.0, 0.0, hold_s=60.0)),
    "stand": (nothing, Go2.stand),
    "sit": (nothing, Go2.sit),
}
STOPS = {"stop": Go2.stop, "damp": Go2.damp, "emergency_stop": Go2.emergency_stop, "disconnect": Go2.disconnect}


def at_every_line(begin, motion, stop, inside):
    """Yield what has left, and the robot, for a stop at each line of a motion from where it has begun."""
    for n in itertools.count():
        link, go2 = robot()
        begin(go2)
        link.left.clear()

        def stopped(link=link, go2=go2):
            try:
                stop(go2)
            finally:
                link.left.append(RETURNED)

        def has_begun(go2=go2):
            return any(getattr(order._begun, "mark", None) is not None for order in (go2._order, go2._motors))

        def holds(go2=go2):
            return any(order.lock._is_owned() for order in (go2._order, go2._motors))

        times = 2 if motion is Go2.stand else 1  # which asks for two things
        happened = Interrupted(n, FILES, lambda go2=go2: motion(go2), stopped, inside, has_begun, holds, times)
        try:
            assert all(isinstance(error, InvalidStateError) for error in happened.errors), happened.errors
            if not happened.reached:
                assert n > 10
                return
            yield link.left, go2
        finally:
            go2.disconnect()
            assert not guard.watched(go2)


@pytest.mark.parametrize(
    ("motion", "stop"),
    [("walk", "stop"), ("walk", "disconnect"), ("walk otherwise", "emergency_stop"), ("stand", "stop"), ("stand", "damp"),
     ("sit", "stop")],
)  # fmt: skip
def test_what_another_thread_stops_is_sent_before_the_stop_or_not_at_all(motion, stop):
    for left, go2 in at_every_line(*MOTIONS[motion], STOPS[stop], inside=False):
        assert "motion" not in left[left.index(RETURNED) :], left
        moved = [i for i, what in enumerate(left) if what == "motion"]
        stops = [i for i, what in enumerate(left) if what == "stop"]
        assert not moved or stop == "disconnect" or (stops and stops[-1] > moved[-1]), left
        assert go2._keeper.velocity is None


@pytest.mark.parametrize(("motion", "stop"), [("walk", "stop"), ("walk otherwise", "emergency_stop"), ("sit", "damp")])
def test_what_a_signal_handler_stops_stays_stopped(motion, stop):
    for left, go2 in at_every_line(*MOTIONS[motion], STOPS[stop], inside=True):
        sent = [what for what in left if what != RETURNED]
        assert sent[-1] == "stop", left
        assert go2._keeper.velocity is None


LOW = {
    "send": (nothing, commanded),
    "one motor": (commanded, lambda go2: go2.set_motor_position(0, STAND[0])),
}


@pytest.mark.parametrize("inside", [False, True], ids=["thread", "handler"])
@pytest.mark.parametrize("stop", ["damp", "emergency_stop", "disconnect"])
@pytest.mark.parametrize("motion", LOW)
def test_no_command_to_the_motors_leaves_after_they_were_damped(motion, stop, inside):
    for left, _ in at_every_line(*LOW[motion], STOPS[stop], inside):
        end = left.index(RETURNED)
        sent = [what for what in left if what in ("command", "damping")]
        assert inside or "command" not in left[end:], left
        assert not sent or sent[-1] == "damping", left


def test_no_command_of_the_sender_leaves_after_damp_has_returned():
    link, go2 = robot()
    reached, go_on = threading.Event(), threading.Event()
    put = go2._put

    def gated(cmd, wanted=None):  # in the sender's thread, between its choice of a command and the wire
        reached.set()
        assert go_on.wait(10)
        return put(cmd, wanted)

    go2._put = gated
    sender = go2.start_sending(ramp_s=0.0)
    go2.send(command())
    assert reached.wait(10)
    go2.damp()
    link.left.append(RETURNED)
    go_on.set()
    go2.stop_sending()
    assert not sender.is_running()
    assert "command" not in link.left
    assert sender.why == "damp() was called"
    go2.disconnect()


def test_a_motion_that_begins_after_a_stop_goes_on():
    link, go2 = robot()
    go2.stop()
    go2.damp()
    go2.stand()
    assert link.left[-2:] == ["motion", "motion"]
    go2.disconnect()
