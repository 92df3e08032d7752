"""The sport client walks: velocities are kept up, changed, clamped and ended, whatever happens to who asked for them."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import sport_robots
from sport_robots import sport_robot
from waiting import wait_for

from rfx.errors import (
    DTypeError,
    InvalidStateError,
    InvalidValueError,
    RfxTimeoutError,
)
from rfx.go2 import Fault, Go2, Go2Config
from rfx.go2.topics import SportApi

link = sport_robots.link


def moves(robot):
    return [tuple(json.loads(text).values()) for api_id, text in robot.asked if api_id == SportApi.MOVE]


def test_a_velocity_is_sent_again_until_it_is_changed(link):
    robot, go2 = link
    assert go2.walk(0.3, 0.1, -0.2) == (0.3, 0.1, -0.2)
    assert wait_for(lambda: moves(robot).count((0.3, 0.1, -0.2)) >= 5)
    go2.walk(0.5, 0.0, 0.0)
    assert wait_for(lambda: moves(robot).count((0.5, 0.0, 0.0)) >= 5)
    go2.stop()
    asked = len(robot.asked)
    assert robot.asked[-1][0] == SportApi.STOP_MOVE
    time.sleep(0.2)
    assert len(robot.asked) == asked


def test_velocities_are_clamped_to_the_stated_limits(domain_id):
    config = Go2Config.loopback(domain_id).with_walk_limits(0.5, 0.2, 1.0)
    with sport_robot(domain_id) as robot, Go2.connect(config) as go2:
        assert go2.walk(99.0, -99.0, 1e300) == (0.5, -0.2, 1.0)
        assert go2.walk(-99.0, 99.0, -1e300) == (-0.5, 0.2, -1.0)
        go2.stop()
        assert {abs(v) for move in moves(robot) for v in move} <= {0.5, 0.2, 1.0}


@pytest.mark.parametrize(
    ("velocity", "error"),
    [((np.nan, 0, 0), InvalidValueError), ((0, np.inf, 0), InvalidValueError), ((0, 0, "1"), DTypeError),
     ((None, 0, 0), DTypeError), ((10**400, 0, 0), InvalidValueError)],
    ids=lambda v: str(v)[:12],
)  # fmt: skip
def test_what_is_no_velocity_is_refused_and_the_robot_goes_on_as_before(link, velocity, error):
    robot, go2 = link
    go2.walk(0.2, 0, 0)
    with pytest.raises(error):
        go2.walk(*velocity)
    with pytest.raises(InvalidValueError):
        go2.walk(0.1, 0, 0, hold_s=0)
    count = len(moves(robot))
    assert wait_for(lambda: len(moves(robot)) > count + 3)
    assert set(moves(robot)) == {(0.2, 0.0, 0.0)}


def test_a_caller_that_falls_silent_stops_the_robot(link):
    robot, go2 = link
    go2.walk(0.3, 0, 0, hold_s=0.3)
    assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
    assert go2._keeper.dead_man_stops == 1
    assert "not called again" in go2.why_stopped
    go2.walk(0.3, 0, 0)
    assert go2.why_stopped == ""


def test_zero_velocity_stops(link):
    robot, go2 = link
    go2.walk(0.3, 0, 0)
    go2.walk(0, 0, 0)
    assert robot.asked[-1][0] == SportApi.STOP_MOVE
    assert go2._keeper.velocity is None


def walk_and_fail(go2):
    with go2:
        go2.walk(0.3, 0, 0, hold_s=60)
        raise ZeroDivisionError


def test_leaving_the_with_block_by_an_error_stops_a_walking_robot(domain_id):
    with sport_robot(domain_id) as robot:
        go2 = Go2.connect(Go2Config.loopback(domain_id))
        with pytest.raises(ZeroDivisionError):
            walk_and_fail(go2)
        assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
        with pytest.raises(InvalidStateError, match="connect again"):
            go2.walk(0.1, 0, 0)
    assert not [t for t in threading.enumerate() if "keeper" in t.name]


def test_a_program_that_ends_without_letting_go_stops_the_robot(domain_id):
    code = (
        "from rfx.go2 import Go2, Go2Config\n"
        f"go2 = Go2.connect(Go2Config.loopback({domain_id}))\n"
        "go2.walk(0.3, 0, 0, hold_s=60)\n"
    )
    with sport_robot(domain_id) as robot:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)
        assert wait_for(lambda: robot.asked[-1][0] == SportApi.STOP_MOVE)
        assert moves(robot)


def test_a_robot_that_vanishes_ends_walking_and_calls_time_out(domain_id):
    config = Go2Config.loopback(domain_id).with_timeouts(rpc_s=0.5)
    with sport_robot(domain_id) as robot, Go2.connect(config) as go2:
        go2.walk(0.3, 0, 0, hold_s=60)
        robot.faults.add(Fault("vanish", 0.0))
        assert wait_for(lambda: go2._keeper.velocity is None)
        assert "no state comes" in go2.why_stopped
        with pytest.raises(RfxTimeoutError, match=r"STAND_UP \(1004\) within 0.5 s .*3104"):
            go2.stand_up()
