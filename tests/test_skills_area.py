"""The area of a guard: no velocities lead out of it, and who is outside may come in."""

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standing_robots import actions, standing

from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.skills import (
    Circle,
    Polygon,
    SkillError,
    SkillLimits,
)


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
