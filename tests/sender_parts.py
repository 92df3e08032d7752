"""A Go2 on a link to nobody that sends, for the tests of the sender."""

import pytest
from recording_link import QUICK, RecordingLink, command, damps
from waiting import wait_for

from rfx.go2 import Go2


def robot_of(config=QUICK, **options):
    link = RecordingLink(**options)
    go2 = Go2(config, link)
    go2._keep(link.latest())
    return link, go2


@pytest.fixture
def made():
    link, go2 = robot_of()
    yield link, go2
    go2.disconnect()


def sending(go2, **options):
    sender = go2.start_sending(ramp_s=0.0, **options)
    go2.send(command())
    assert wait_for(lambda: sender.state == "sending")
    return sender


def stays_damped(link, sender, words):
    assert wait_for(lambda: sender.state == "damping")
    assert words in sender.why
    link.forget()
    assert wait_for(lambda: len(link.commands) > 10)
    assert all(damps(cmd) for cmd in link.sent())
