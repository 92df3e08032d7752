"""Robots of numbers on their feet, for the tests of what the skills of a Go2 do."""

from rfx.skills import (
    Circle,
    Go2Skills,
    KinematicGo2,
    SkillLimits,
)

WIDE = SkillLimits(area=Circle(50.0), per_minute_s=60.0, move_s=60.0)


def standing(robot=None, limits=WIDE, **options):
    robot = KinematicGo2() if robot is None else robot
    robot.stand()
    return robot, Go2Skills(robot, limits, **options)


def actions(skills):
    return [note["action"] for note in skills.audit.notes()]
