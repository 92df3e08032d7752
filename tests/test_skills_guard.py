"""The guard below the skills: time, states that are none, one mover, stops, callers that are gone, and its log."""

import math
import threading
import time

import pytest
from standing_robots import WIDE, actions, standing
from waiting import wait_for

from rfx.errors import DTypeError, HardwareError, InvalidStateError
from rfx.skills import (
    AuditLog,
    Caller,
    Circle,
    Go2Skills,
    Guard,
    KinematicGo2,
    RobotPose,
    SkillCancelled,
    SkillError,
    SkillLimits,
)


class Blind(KinematicGo2):
    """A robot whose state goes wrong when told."""

    def __init__(self):
        super().__init__()
        self.wrong = {}

    def pose(self):
        here = super().pose()
        return RobotPose(**{**vars(here), **self.wrong})


class Slow(KinematicGo2):
    """A robot that takes its time to hear a velocity, and never says no."""

    def __init__(self):
        super().__init__()
        self.hearing, self.hear = threading.Event(), threading.Event()

    def drive(self, vx, vy, vyaw, until_s):
        self.hearing.set()
        self.hear.wait(20)
        super().drive(vx, vy, vyaw, until_s)


# -- time


def test_a_move_ends_when_its_time_is_over():
    limits = SkillLimits(area=Circle(50.0), move_s=3.0)
    robot, skills = standing(limits=limits)
    result = skills.registry().execute("walk", {"seconds": 10})
    assert (result.kind, "longer than 3 s" in result.error) == ("limit", True)
    begin, end = robot.trips[-1]
    assert end - begin <= 3.0 + 1e-6


def test_moving_has_a_budget_for_every_minute():
    limits = SkillLimits(area=Circle(50.0), per_minute_s=5.0)
    robot, skills = standing(limits=limits)
    registry = skills.registry()
    assert registry.execute("walk", {"seconds": 3}).ok
    refused = registry.execute("walk", {"seconds": 3})
    assert "of the last minute" in refused.error
    assert sum(end - begin for begin, end in robot.trips) <= 5.0 + 1e-6
    assert registry.execute("walk", {"seconds": 1}).hint.startswith("Wait for ")
    robot.wait(60.0)
    assert registry.execute("walk", {"seconds": 3}).ok


def test_a_velocity_that_is_not_renewed_ends():
    robot, skills = standing()
    with skills.robot.moving("mine") as move:
        move.drive(0.3, 0.0, 0.0)
        robot.wait(5.0)
        assert robot.pose().x == pytest.approx(0.3 * skills.limits.dead_man_s)


def test_the_guard_stops_a_mover_that_hangs():
    with KinematicGo2(real_time=True) as robot:
        robot._posture = "standing"
        skills = Go2Skills(robot, WIDE)
        with skills.robot.moving("mine") as move:
            move.drive(0.3, 0.0, 0.0)
            assert wait_for(lambda: "stop" in actions(skills))
            with pytest.raises(SkillError, match="not renewed"):
                move.drive(0.3, 0.0, 0.0)
        assert robot.received.drives == 1


# -- states that are none


@pytest.mark.parametrize("wrong", [{"x": math.nan}, {"yaw": math.inf}, {"age_s": 2.0}, {"age_s": math.nan}])
def test_a_state_that_is_none_ends_the_walk(wrong):
    robot, skills = standing(Blind())
    robot.on_step(lambda t, x, y: robot.wrong.update(wrong) if x > 0.2 else None)
    result = skills.registry().execute("walk", {"distance": 1})
    assert result.kind == "failed"
    assert "operator" in result.hint
    assert KinematicGo2.pose(robot).posture == "standing"
    assert KinematicGo2.pose(robot).x < 0.3
    assert not skills.registry().execute("report_state").ok
    assert skills.registry().execute("stop").ok


def test_odometry_that_jumps_ends_the_walk():
    robot, skills = standing(Blind())
    robot.on_step(lambda t, x, y: robot.wrong.update(x=8.0) if x > 0.2 else None)
    result = skills.registry().execute("walk", {"seconds": 5})
    assert "odometry jumped" in result.error
    assert KinematicGo2.pose(robot).x < 0.3


def test_a_robot_that_does_not_know_where_it_is_gets_no_guard():
    robot = Blind()
    robot.wrong["y"] = math.nan
    with pytest.raises(HardwareError, match="knows where it is"):
        Go2Skills(robot)
    with pytest.raises(DTypeError, match="SkillRobot"):
        Go2Skills(object())
    with pytest.raises(DTypeError, match="SkillRobot"):
        Guard(object())


def test_a_robot_that_refuses_ends_the_move_and_says_why():
    class Stubborn(KinematicGo2):
        def drive(self, *given):
            raise HardwareError("not today")

    _, skills = standing(Stubborn())
    result = skills.registry().execute("walk", {"distance": 1})
    assert "not today" in result.error
    assert skills.registry().execute("stop").ok


# -- one mover, and stops


def test_one_mover_at_a_time_also_beside_the_registry():
    _, skills = standing()
    with skills.robot.moving("first") as move:
        with pytest.raises(SkillError, match="first is still moving"):
            skills.robot.moving("second")
        assert skills.registry().execute("walk", {"distance": 1}).kind == "busy"
        move.drive(0.1, 0.0, 0.0)
    with skills.robot.moving("third"):
        pass


def test_a_stop_frees_the_robot_from_a_move_that_nobody_ends():
    robot, skills = standing()
    forgotten = skills.robot.moving("forgotten")
    forgotten.drive(0.1, 0.0, 0.0)
    assert skills.registry().execute("walk", {"distance": 0.2}).kind == "busy"
    skills.robot.stop()
    with skills.robot.moving("next") as move:
        with pytest.raises(SkillCancelled):
            forgotten.drive(0.1, 0.0, 0.0)
        move.drive(0.2, 0.0, 0.0)
        forgotten._ask("end", "done")
        move.drive(0.2, 0.0, 0.0)
    assert robot.received.drives == 3


def test_a_stop_ends_the_move_of_another_thread():
    robot, skills = standing()
    begun, ended = threading.Event(), []

    def mover():
        try:
            with skills.robot.moving("mine") as move:
                while True:
                    move.drive(0.1, 0.0, 0.0)
                    begun.set()
                    move.wait(0.01)
        except SkillCancelled as error:
            ended.append(str(error))

    thread = threading.Thread(target=mover)
    thread.start()
    assert begun.wait(20)
    skills.robot.stop("enough")
    told = robot.received.drives
    assert robot.pose().posture == "standing"
    thread.join(20)
    assert ended == ["enough"]
    assert robot.received.drives == told


def test_a_stop_does_not_wait_for_a_robot_that_is_slow_to_hear_and_has_the_last_word():
    robot, skills = standing(Slow())
    outcome = []
    thread = threading.Thread(
        target=lambda: outcome.append(skills.registry().execute("walk", {"distance": 1})), daemon=True
    )
    thread.start()
    assert robot.hearing.wait(20)
    stopper = threading.Thread(target=skills.robot.stop)
    stopper.start()
    while robot.received.stops == 0:  # at once, although the velocity is still on its way
        time.sleep(0.001)
    robot.hear.set()
    stopper.join(20)
    thread.join(20)
    assert outcome[0].kind == "stopped"
    assert KinematicGo2.pose(robot).posture == "standing"


def test_nothing_begins_once_the_guard_is_closed():
    robot, skills = standing()
    skills.close()
    skills.close()
    with pytest.raises(InvalidStateError, match="closed"):
        skills.robot.moving("mine")
    assert not skills.registry().execute("walk", {"distance": 1}).ok
    assert robot.received.drives == 0


# -- the caller


@pytest.mark.parametrize("how", ["told", "silent"])
def test_a_robot_stops_when_its_caller_is_gone(how):
    with KinematicGo2(real_time=True) as robot:
        robot._posture = "standing"
        skills = Go2Skills(robot, WIDE)
        caller = Caller("planner", expires_s=None if how == "told" else 0.3)
        timer = threading.Timer(0.3, caller.gone, ("the connection broke",) if how == "told" else ("late",))
        if how == "told":
            timer.start()
        with caller:
            result = skills.registry().execute("walk", {"seconds": 30})
        assert result.kind in ("stopped", "limit")
        assert ("connection broke" if how == "told" else "not been heard of") in result.error
        assert robot.pose().posture == "standing"
        with caller:
            assert skills.registry().execute("walk", {"seconds": 1}).kind == "stopped"
        assert skills.registry().execute("turn", {"degrees": 5}).ok  # of another caller


def test_a_caller_that_is_gone_does_not_stop_the_move_of_another():
    robot, skills = standing()
    other = Caller("other")
    with skills.robot.moving("mine") as move:
        move.drive(0.1, 0.0, 0.0)
        with other:
            assert skills.registry().execute("report_state").ok
        other.gone()
        move.drive(0.1, 0.0, 0.0)
    assert robot.received.drives == 2


def test_a_caller_that_is_heard_of_is_there_and_one_that_is_gone_does_not_come_back():
    caller = Caller("planner", expires_s=30.0)
    caller.renew()
    assert caller.reason == ""
    caller.gone("bye")
    caller.renew()
    assert caller.reason == "bye"
    late = []
    caller.on_gone(late.append)
    assert late == ["bye"]
    assert "bye" in repr(caller)
    with pytest.raises(DTypeError):
        Caller(3)
    with pytest.raises(DTypeError):
        Caller(progress=3)


# -- the log


def test_what_the_guard_does_is_written_to_the_log(tmp_path):
    path = tmp_path / "audit.jsonl"
    _, skills = standing(audit=AuditLog(path))
    registry = skills.registry()
    registry.execute("walk", {"distance": 0.3})
    registry.execute("look", {"up": 30})
    registry.execute("stop")
    lines = path.read_text().splitlines()
    assert actions(skills) == ["begin", "drive", "end", "begin", "refused", "end", "stop"]
    assert len([line for line in lines if '"guard"' in line]) == 7
    assert len(lines) == 7 + 2 * 3


def test_nothing_moves_that_cannot_be_written_down(tmp_path):
    robot, skills = standing(audit=AuditLog(tmp_path / "audit.jsonl"))
    skills.audit.close()
    with pytest.raises(SkillError, match="audit log"):
        skills.robot.moving("mine")
    assert robot.received.drives == 0
    assert skills.registry().execute("stop").ok
