"""rfx.go2.sender and emergency: every fault, silence and the emergency stop end in damping."""

import threading
import time

import pytest
import sender_parts
from recording_link import QUICK, STAND, command, damps, standing
from sender_parts import robot_of, sending, stays_damped
from waiting import wait_for

from rfx.errors import (
    HardwareError,
    InvalidStateError,
    RfxConnectionError,
)
from rfx.go2 import guard
from rfx.go2.topics import SportApi

made = sender_parts.made


def test_a_caller_that_falls_silent_leaves_a_damped_robot(made):
    link, go2 = made
    sender = sending(go2, hold_s=0.2)
    for _ in range(10):
        time.sleep(0.05)
        go2.send(command())
    assert sender.state == "sending"
    stays_damped(link, sender, "no new command for 0.2 s")
    with pytest.raises(HardwareError, match=r"no new command.*start sending again"):
        go2.send(command())
    assert sending(go2).state == "sending"


def test_a_stale_state_brings_damping():
    link, go2 = robot_of(QUICK.with_limits(stale_s=0.1))
    sender = sending(go2)
    link.silent = True
    stays_damped(link, sender, "no older than 0.1 s")
    link.silent = False
    with pytest.raises(HardwareError, match=r"0\.1 s"):
        go2.send(command())
    again = go2.start_sending(ramp_s=0.0)
    go2.send(command())
    stays_damped(link, again, "stale seen before holds until safety.reset()")
    go2.safety.reset()
    assert sending(go2).state == "sending"
    go2.disconnect()


def test_a_robot_that_tips_over_is_damped(made):
    link, go2 = made
    sender = sending(go2)
    tipped = standing()
    tipped.imu_state.quaternion = (0.5, 0.86, 0.0, 0.0)
    link.shown = tipped
    stays_damped(link, sender, "upright")
    assert go2.safety.latched == ("tilt",)


def test_a_failure_to_send_brings_damping_when_sending_works_again():
    broken = threading.Event()

    def published(cmd):
        if broken.is_set():
            raise RfxConnectionError("the cable is out")

    link, go2 = robot_of(published=published)
    sender = sending(go2)
    broken.set()
    assert wait_for(lambda: sender.state == "damping")
    assert "the cable is out" in sender.why
    broken.clear()
    stays_damped(link, sender, "RfxConnectionError")
    go2.disconnect()


def test_damp_ends_what_the_sender_repeats(made):
    link, go2 = made
    sender = sending(go2)
    go2.damp(kd=5.0)
    stays_damped(link, sender, "damp() was called")


def test_leaving_the_block_by_an_exception_leaves_a_damped_robot(made):
    link, go2 = made
    with pytest.raises(ZeroDivisionError), sending(go2) as sender:
        raise ZeroDivisionError
    assert sender.state == "stopped"
    assert not sender.is_running()
    assert all(damps(cmd) for cmd in link.sent()[-3:])
    with pytest.raises(InvalidStateError, match="start sending again"):
        sender.put(command())
    assert not go2.send(command())  # one by one again


def test_disconnecting_ends_the_thread_and_leaves_a_damped_robot():
    link, go2 = robot_of()
    sender = sending(go2)
    go2.disconnect()
    assert not sender.is_running()
    assert all(damps(cmd) for cmd in link.sent()[-3:])
    assert "stopped" in repr(sender)
    assert not guard.watched(go2)


def test_single_commands_bring_damping_and_say_why(made):
    link, go2 = made
    assert not go2.send(command())
    link.shown.imu_state.quaternion = (0.5, 0.86, 0.0, 0.0)
    with pytest.raises(HardwareError, match=r"upright, got 2\.09; damping was sent; safety\.reset\(\)"):
        go2.send(command())
    assert damps(link.sent()[-1])


# -- the emergency stop


def test_after_an_emergency_stop_nothing_but_damping_leaves(made):
    link, go2 = made
    sender = sending(go2)
    stop = threading.Event()

    def commander():
        while not stop.is_set():
            try:
                go2.send(command())
            except (HardwareError, InvalidStateError):
                return

    threads = [threading.Thread(target=commander) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    threading.Thread(target=go2.emergency_stop).start()
    assert wait_for(lambda: go2.emergency_stopped and sender.state == "damping")
    for thread in threads:
        thread.join(10)
    stop.set()
    stays_damped(link, sender, "emergency stop")
    assert [api for service, api, _ in link.requests if service == "sport"].count(SportApi.DAMP) == 5


def test_an_emergency_stop_between_single_commands_is_at_once(made):
    link, go2 = made
    go2.send(command())
    go2.emergency_stop()
    assert [damps(cmd) for cmd in link.sent()] == [False] + [True] * 5


LATER = {
    "send": lambda go2: go2.send(command()),
    "set_motor_positions": lambda go2: go2.set_motor_positions(STAND),
    "set_motor_position": lambda go2: go2.set_motor_position(0, 0.0),
    "start_sending": lambda go2: go2.start_sending(),
    "walk": lambda go2: go2.walk(0.1, 0.0, 0.0),
    "stand": lambda go2: go2.stand(),
    "stop": lambda go2: go2.stop(),
    "trick": lambda go2: go2.trick("hello"),
    "request": lambda go2: go2.request(SportApi.STAND_UP),
    "select_mode": lambda go2: go2.select_mode(),
    "take_low_level": lambda go2: go2.take_low_level(),
}


@pytest.mark.parametrize("what", LATER)
def test_after_an_emergency_stop_everything_is_refused_until_reset(made, what):
    link, go2 = made
    go2.emergency_stop()
    link.requests.clear()
    with pytest.raises(InvalidStateError, match=r"emergency stop holds.*reset_emergency_stop"):
        LATER[what](go2)
    assert link.commands == []
    assert {api for _, api, _ in link.requests} <= {1001}
    assert go2.state().tick > 0
    go2.damp()
    go2.reset_emergency_stop()
    assert not go2.send(command())


def test_in_sport_mode_an_emergency_stop_asks_for_damping_and_ends_walking(made):
    link, go2 = made
    go2.walk(0.3, 0.0, 0.0, hold_s=60.0)
    go2.emergency_stop()
    assert go2._keeper.velocity is None
    asked = [api for service, api, _ in link.requests if service == "sport"]
    assert asked.count(SportApi.DAMP) == 6
    time.sleep(0.1)
    assert [api for service, api, _ in link.requests if service == "sport"] == asked
    assert link.commands == []


def test_a_reset_lets_commands_through_but_the_sender_stays_damped(made):
    link, go2 = made
    sender = sending(go2)
    go2.emergency_stop()
    go2.reset_emergency_stop()
    stays_damped(link, sender, "emergency stop")
    assert sending(go2).state == "sending"
