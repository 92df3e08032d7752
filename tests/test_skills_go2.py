"""The Go2 as skills, and the guard beneath them: what it lets through, what it stops, and what it writes down."""

import math

import pytest
from guides import docstrings_hold
from standing_robots import actions, standing

from rfx.errors import HardwareError, InvalidStateError, RfxError
from rfx.skills import (
    Caller,
    Circle,
    Go2Skills,
    KinematicGo2,
    SkillError,
    SkillLimits,
    skill,
)

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
