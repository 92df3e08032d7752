"""The Go2 as skills, and the guard beneath them: what it lets through, what it stops, and what it writes down."""

import math
import threading
import time
from contextlib import suppress

import pytest
from guides import docstrings_hold
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import wait_for

from rfx.errors import ConfigError, DTypeError, HardwareError, InvalidStateError, InvalidValueError, RfxError
from rfx.skills import (
    AuditLog,
    Caller,
    Circle,
    Go2Skills,
    Guard,
    KinematicGo2,
    Polygon,
    RobotPose,
    SkillCancelled,
    SkillError,
    SkillLimits,
    skill,
)

WIDE = SkillLimits(area=Circle(50.0), per_minute_s=60.0, move_s=60.0)


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


def standing(robot=None, limits=WIDE, **options):
    robot = KinematicGo2() if robot is None else robot
    robot.stand()
    return robot, Go2Skills(robot, limits, **options)


def actions(skills):
    return [note["action"] for note in skills.audit.notes()]


# -- what the skills do


def test_a_robot_stands_walks_turns_looks_and_sits():
    robot = KinematicGo2()
    registry = Go2Skills(robot).registry()
    assert registry.execute("stand").value.posture == "standing"
    walked = registry.execute("walk", {"distance": 0.5}).value
    assert abs(walked.distance - 0.5) < 0.04
    assert abs(registry.execute("turn", {"degrees": -90}).value.turned + 90) < 3
    aside = registry.execute("walk", {"distance": 0.4, "direction": "left", "speed": 0.2}).value
    assert abs(aside.state.x - 0.9) < 0.06  # to its left is forwards again, as it stood at the start
    assert registry.execute("look", {"up": 10, "left": -5}).ok
    assert robot.looks == pytest.approx((-math.radians(10), -math.radians(5)))
    assert registry.execute("sit").value.posture == "sitting"
    assert registry.execute("report_state").value.heading == pytest.approx(-90, abs=3)


def test_walking_for_a_time_takes_that_time():
    robot, skills = standing()
    moved = skills.registry().execute("walk", {"seconds": 2, "speed": 0.4, "direction": "backward"}).value
    assert moved.seconds == pytest.approx(2.0)
    assert robot.pose().x == pytest.approx(-0.8)


@pytest.mark.parametrize("given", [{}, {"distance": 1, "seconds": 1}])
def test_a_walk_wants_a_distance_or_a_time(given):
    robot, skills = standing()
    result = skills.registry().execute("walk", given)
    assert result.kind == "arguments"
    assert robot.received.drives == 0


@pytest.mark.parametrize("call", [("walk", {"distance": 1}), ("turn", {"degrees": 90}), ("look", {}), ("sit", {})])
def test_a_robot_that_lies_is_told_to_stand_first(call):
    robot = KinematicGo2()
    result = Go2Skills(robot).registry().execute(*call)
    assert not result.ok
    assert "Call stand first" in result.hint
    assert robot.received.drives == 0


def test_a_robot_that_does_not_get_ahead_gives_up_and_says_how_far_it_came():
    class Stuck(KinematicGo2):
        def _advance(self, seconds):
            x, y, yaw = self._at
            super()._advance(seconds)
            self._at = (x, y, yaw)

    _, skills = standing(Stuck())
    result = skills.registry().execute("walk", {"distance": 0.5})
    assert result.kind == "failed"
    assert "walked 0.00 m of 0.5 m" in result.error
    assert result.value.distance == 0.0
    turned = skills.registry().execute("turn", {"degrees": 45})
    assert "turned 0 of 45 degrees" in turned.error


def test_the_frame_of_a_report_is_that_of_the_start():
    robot, _ = standing()
    robot.drive(0.5, 0.0, 1.0, robot.time_s + 2.0)
    robot.wait(3.0)
    skills = Go2Skills(robot)
    report = skills.registry().execute("report_state").value
    assert (report.x, report.y, report.heading) == (0.0, 0.0, 0.0)
    walked = skills.registry().execute("walk", {"distance": 0.5}).value.state
    assert walked.x == pytest.approx(0.48, abs=0.03)
    assert walked.y == pytest.approx(0.0, abs=1e-6)


def test_progress_is_told_to_the_caller():
    told = []
    _, skills = standing()
    with Caller("planner", progress=lambda *what: told.append(what)):
        skills.registry().execute("walk", {"distance": 0.5})
    done = [d for d, _, _ in told]
    assert done == sorted(done)
    assert done[0] == 0.0
    assert told[-1][1] == 0.5
    assert skills.audit.entries()[-1].caller == "planner"


# -- speed


@pytest.mark.parametrize(
    "velocity", [(0.6, 0, 0), (0, -0.31, 0), (0, 0, 1.01), (math.nan, 0, 0), (0, math.inf, 0), ("1", 0, 0)]
)
def test_a_velocity_beyond_the_limits_is_refused_and_the_move_is_over(velocity):
    robot, skills = standing()
    with skills.robot.moving("mine") as move:
        move.drive(0.1, 0.0, 0.0)
        with pytest.raises(SkillError, match="expected v"):
            move.drive(*velocity)
        with pytest.raises(SkillError, match="expected v"):
            move.drive(0.1, 0.0, 0.0)
    assert robot.received.fastest == (0.1, 0.0, 0.0)
    assert robot.pose().posture == "standing"
    assert "stop" in actions(skills)


def test_a_skill_of_a_user_gets_no_farther_than_ours():
    robot, skills = standing(limits=SkillLimits(area=Circle(1.0)))

    @skill
    def rush(speed: float) -> str:
        """Run."""
        with skills.robot.moving("rush") as move:
            while True:
                move.drive(speed, 0.0, 0.0)
                move.wait(0.1)

    registry = skills.registry()
    registry.register(rush)
    fast, far = registry.execute("rush", {"speed": 3.0}), registry.execute("rush", {"speed": 0.5})
    assert (fast.kind, far.kind) == ("limit", "limit")
    assert "out of the area" in far.error
    assert robot.pose().x < 0.81


def test_leaning_has_limits():
    robot, skills = standing()
    assert skills.registry().execute("look", {"up": 30}).kind == "limit"
    assert robot.looks == (0.0, 0.0)


# -- area


def farthest(robot):
    seen = [0.0]
    robot.on_step(lambda t, x, y: seen.append(math.hypot(x, y)))
    return seen


def test_the_robot_stops_at_the_edge_and_may_come_back():
    limits = SkillLimits(area=Circle(1.0), per_minute_s=60.0)
    robot, skills = standing(limits=limits)
    seen, registry = farthest(robot), skills.registry()
    out = registry.execute("walk", {"distance": 3, "speed": 0.5})
    assert out.kind == "limit"
    assert 0.7 < max(seen) <= 1.0 - limits.margin + 1e-6
    assert registry.execute("walk", {"distance": 3}).kind == "limit"  # still outwards
    assert registry.execute("turn", {"degrees": 180}).ok
    assert registry.execute("walk", {"distance": 1}).ok
    assert "slow down near the edge" in actions(skills)


def test_one_who_was_carried_out_may_only_come_in():
    robot, skills = standing(limits=SkillLimits(area=Circle(1.0)))
    robot._at = (1.5, 0.0, 0.0)
    registry = skills.registry()
    assert registry.execute("walk", {"distance": 1}).kind == "limit"
    assert registry.execute("walk", {"distance": 0.3, "direction": "left", "speed": 0.2}).kind == "limit"
    assert robot.pose().x == 1.5
    assert registry.execute("walk", {"distance": 1, "direction": "backward"}).ok


@given(
    corners=st.lists(st.floats(0.8, 3.0), min_size=3, max_size=7),
    moves=st.lists(st.tuples(*[st.floats(-1, 1)] * 3), min_size=1, max_size=12),
)
@settings(max_examples=40, deadline=None)
def test_no_velocities_lead_out_of_a_polygon(corners, moves):
    n = len(corners)
    points = [(r * math.cos(2 * math.pi * i / n), r * math.sin(2 * math.pi * i / n)) for i, r in enumerate(corners)]
    limits = SkillLimits(area=Polygon(points), per_minute_s=60.0, margin=0.1)
    robot, skills = standing(limits=limits)
    depths = []
    robot.on_step(lambda t, x, y: depths.append(limits.area.depth(x, y)))
    for part in moves:
        velocity = [share * most for share, most in zip(part, limits.speed, strict=True)]
        with suppress(SkillError), skills.robot.moving("mine") as move:
            for _ in range(20):
                move.drive(*velocity)
                robot.wait(1.0)  # a mover that hangs: the velocity ends by itself
    assert min(depths, default=1.0) >= limits.margin - 0.02
    skills.close()


@given(x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_the_depth_in_a_polygon_is_what_shapely_would_say(x, y):
    corners = [(-1.0, -1.0), (2.0, -1.0), (2.0, 1.0), (0.5, 0.4), (-1.0, 1.0)]
    steps = [
        (ax + (bx - ax) * k / 400, ay + (by - ay) * k / 400)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True)
        for k in range(400)
    ]
    near = min(math.hypot(x - a, y - b) for a, b in steps)
    turns = sum(  # the winding number: how often the border goes around the point
        math.atan2((ax - x) * (by - y) - (ay - y) * (bx - x), (ax - x) * (bx - x) + (ay - y) * (by - y))
        for (ax, ay), (bx, by) in zip(steps, steps[1:] + steps[:1], strict=True)
    )
    depth = Polygon(corners).depth(x, y)
    assert abs(depth) == pytest.approx(near, abs=0.01)
    if near > 0.01:
        assert (depth > 0) == (abs(turns) > math.pi)


@pytest.mark.parametrize(
    "corners",
    [[(0, 0), (1, 0)], [(1, 1), (2, 1), (2, 2)], [(-1, -1), (1, 1), (1, -1), (-1, 1)]],
)
def test_a_polygon_that_is_none_is_refused(corners):
    with pytest.raises(ConfigError):
        Polygon(corners)


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": (1.0, 1.0)},
        {"speed": (math.nan, 0.1, 0.1)},
        {"speed": (9.0, 0.1, 0.1)},
        {"area": 2.0},
        {"area": Circle(0.1)},
        {"move_s": 0.0},
        {"per_minute_s": 61.0},
        {"dead_man_s": math.inf},
        {"lean": (0.1, 2.0)},
        {"lean": 0.1},
    ],
)
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises((InvalidValueError, DTypeError)):
        SkillLimits(**wrong)


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


# -- the robot of numbers


def test_the_robot_of_numbers_goes_where_the_formula_says():
    robot = KinematicGo2(step_s=0.001)
    robot.stand()
    robot.drive(0.5, 0.0, 0.5, robot.time_s + 4.0)
    robot.wait(10.0)
    here = robot.pose()
    radius, angle = 0.5 / 0.5, 0.5 * 4.0
    assert (here.x, here.y, here.yaw) == pytest.approx(
        (radius * math.sin(angle), radius * (1 - math.cos(angle)), angle), abs=1e-5
    )
    assert robot.trips == [pytest.approx((1.5, 5.5))]


def test_a_simulated_robot_refuses_what_it_cannot_do():
    robot = KinematicGo2()
    with pytest.raises(HardwareError, match="stands"):
        robot.drive(0.1, 0.0, 0.0, 1.0)
    with pytest.raises(RfxError):
        robot.drive(math.nan, 0.0, 0.0, 1.0)
    robot.close()
    with pytest.raises(InvalidStateError, match="closed"):
        robot.stop()


@pytest.mark.parametrize("module", ["rfx.skills.go2", "rfx.skills.simulated"])
def test_the_docstrings_hold(module):
    docstrings_hold(module)
