"""What comes between two steps of a skill: stops, and calls that have ended, at the worst moment, one at a time."""

import threading

import pytest
from hesitant_robots import WIDE, Gate, Hesitant, ended, held, meanwhile
from waiting import wait_for

from rfx.skills import (
    Caller,
    CancelToken,
    Go2Skills,
    KinematicGo2,
    SkillCancelled,
    SkillError,
    SkillRegistry,
    skill,
)
from rfx.skills.caller import current_caller

# -- a stop between the beginning of a call and its first motion


@pytest.mark.parametrize("by", ["registry", "program"])
@pytest.mark.parametrize("name", ["stand", "sit", "look", "walk"])
def test_a_stop_that_comes_before_a_skill_takes_the_robot_holds(monkeypatch, name, by):
    robot, gate = KinematicGo2(), Gate()
    if name != "stand":
        robot.stand()
    skills = Go2Skills(robot)
    registry, before = skills.registry(), robot.pose().posture
    held(monkeypatch, skills._guard, "_begin", gate)
    thread, results = meanwhile(registry.execute, name, {"seconds": 1} if name == "walk" else {})
    assert gate.there.wait(20)
    assert by == "program" or registry.execute("stop").ok
    skills.robot.stop()
    gate.through.set()
    assert ended(thread)
    assert results[0].kind == "stopped"
    assert (robot.pose().posture, robot.received.drives, robot.looks) == (before, 0, (0.0, 0.0))


@pytest.mark.parametrize("name", ["stand", "sit"])
def test_a_posture_that_begins_while_a_stop_is_on_its_way_is_left_off(monkeypatch, name):
    monkeypatch.setattr("rfx.skills.simulated._POSTURE_S", 100.0)
    with Hesitant(real_time=True) as robot:
        robot._posture = before = "lying" if name == "stand" else "standing"
        skills, robot.gate = Go2Skills(robot), Gate()
        registry = skills.registry()
        thread, results = meanwhile(registry.execute, name)
        assert robot.gate.there.wait(20)
        stopping, said = meanwhile(registry.execute, "stop")
        assert wait_for(lambda: robot.received.stops >= 1)  # told at once, and the motion has not begun
        robot.gate.through.set()
        assert ended(stopping)
        assert ended(thread)
        assert (said[0].ok, results[0].kind, robot.pose().posture) == (True, "stopped", before)


def test_a_stop_returns_although_a_posture_hangs_and_the_watch_goes_on_with_it():
    with Hesitant(real_time=True) as robot:
        skills, robot.gate = Go2Skills(robot), Gate()
        thread, _ = meanwhile(skills.registry().execute, "stand")
        assert robot.gate.there.wait(20)
        stopping, _ = meanwhile(skills.robot.stop)
        assert ended(stopping)
        with pytest.raises(SkillError, match="still moving"):
            skills.robot.moving("next")  # until the robot has come back from what it was told
        told = robot.received.stops
        robot.gate.through.set()
        assert ended(thread)
        assert robot.received.stops > told
        assert robot.pose().posture == "lying"
        with skills.robot.moving("next"):
            pass


def test_a_stop_while_a_move_begins_holds(monkeypatch):
    robot = KinematicGo2()
    robot.stand()
    skills, gate = Go2Skills(robot), Gate()
    clock = type(robot).time_s.fget

    def hesitating(self):
        if threading.current_thread() is not threading.main_thread():
            gate.wait()
        return clock(self)

    monkeypatch.setattr(KinematicGo2, "time_s", property(hesitating))
    thread, results = meanwhile(skills.robot.moving, "mine")
    assert gate.there.wait(20)
    skills.robot.stop()
    gate.through.set()
    assert ended(thread)
    assert isinstance(results[0], SkillCancelled)


# -- calls that have ended for those who made them, and go on


@pytest.mark.parametrize("effects", ["moves", "reads"])
def test_a_call_that_ran_out_of_time_moves_nothing_later(effects):
    robot, go = KinematicGo2(), threading.Event()
    robot.stand()
    skills, refused = Go2Skills(robot, WIDE), []

    @skill(effects=effects, timeout=0.05)
    def haunt() -> None:
        go.wait(20)
        try:
            with skills.robot.moving("haunt") as move:
                move.drive(0.3, 0.0, 0.0)
        except SkillCancelled as error:
            refused.append(str(error))

    registry = skills.registry()
    registry.register(haunt)
    assert registry.execute("haunt").kind == "timeout"
    go.set()
    assert wait_for(lambda: refused)
    assert "longer than 0.05 s" in refused[0]
    assert robot.received.drives == 0


def test_a_call_that_was_stopped_does_not_take_the_robot_again():
    robot, tries = KinematicGo2(), []
    robot.stand()
    skills = Go2Skills(robot, WIDE)
    begun = threading.Event()

    @skill(timeout=20)
    def stubborn() -> None:
        for _ in range(3):
            try:
                with skills.robot.moving("stubborn") as move:
                    while True:
                        move.drive(0.1, 0.0, 0.0)
                        begun.set()
                        move.wait(0.05)
            except SkillCancelled as error:
                tries.append(str(error))

    registry = skills.registry()
    registry.register(stubborn)
    thread, _ = meanwhile(registry.execute, "stubborn")
    assert begun.wait(20)
    assert registry.execute("stop").ok
    drives = robot.received.drives
    assert ended(thread)
    assert len(tries) == 3
    assert robot.received.drives == drives


def test_a_call_inside_of_one_that_is_over_moves_nothing():
    robot, go, inner = KinematicGo2(), threading.Event(), []
    robot.stand()
    registry = Go2Skills(robot, WIDE).registry()

    @skill(effects="reads", timeout=0.05)
    def patrol() -> None:
        go.wait(20)
        inner.append(registry.execute("walk", {"seconds": 1}))

    registry.register(patrol)
    assert registry.execute("patrol").kind == "timeout"
    go.set()
    assert wait_for(lambda: inner)
    assert (inner[0].kind, robot.received.drives) == ("stopped", 0)


def test_a_call_that_stops_may_itself_go_on_moving_and_another_may_not():
    robot, between, go, inner = KinematicGo2(), threading.Event(), threading.Event(), []
    robot.stand()
    registry = Go2Skills(robot, WIDE).registry()

    @skill(effects="reads", timeout=20)
    def patrol() -> None:
        inner.append(registry.execute("stop").kind)
        inner.append(registry.execute("walk", {"seconds": 0.2}).kind)
        between.set()
        go.wait(20)
        inner.append(registry.execute("walk", {"seconds": 0.2}).kind)

    registry.register(patrol)
    thread, _ = meanwhile(registry.execute, "patrol")
    assert between.wait(20)
    assert registry.execute("stop").ok  # somebody else's
    go.set()
    assert ended(thread)
    assert inner == ["", "", "stopped"]


def test_a_skill_that_stops_the_robot_itself_may_go_on_and_not_after_the_stop_of_another():
    robot, between, go, moved = KinematicGo2(), threading.Event(), threading.Event(), []
    robot.stand()
    skills = Go2Skills(robot, WIDE)

    def drive():
        skills.robot.stop("from rest")
        with skills.robot.moving("dance") as move:
            moved.append(move.drive(0.1, 0.0, 0.0))

    @skill(timeout=20)
    def dance() -> None:
        drive()
        between.set()
        go.wait(20)
        drive()

    registry = SkillRegistry([dance])
    thread, results = meanwhile(registry.execute, "dance")
    assert between.wait(20)
    skills.robot.stop()
    go.set()
    assert ended(thread)
    assert (len(moved), results[0].kind) == (1, "stopped")


def test_a_walk_inside_of_a_call_that_runs_out_of_time_ends_with_it():
    with KinematicGo2(real_time=True) as robot:
        robot._posture, inner = "standing", []
        registry = Go2Skills(robot, WIDE).registry()

        @skill(effects="reads", timeout=0.5)
        def patrol() -> None:
            inner.append(registry.execute("walk", {"seconds": 30}))

        registry.register(patrol)
        assert registry.execute("patrol").kind == "timeout"
        assert wait_for(lambda: inner)
        assert inner[0].kind == "stopped"
        assert robot.pose().posture == "standing"


def test_a_mover_without_a_guard_ends_when_its_caller_falls_silent():
    reasons = []

    @skill(timeout=20)
    def wander(cancel: CancelToken) -> None:
        while not cancel.wait(0.02):
            pass
        reasons.append(cancel.reason)

    with Caller("planner", expires_s=0.2):
        assert SkillRegistry([wander]).execute("wander").kind == "stopped"
    assert "not been heard of" in reasons[0]


def test_a_caller_may_be_entered_in_several_threads_at_once():
    caller, other, seen = Caller("planner"), Caller("other"), []
    turns = [threading.Event() for _ in range(4)]

    def first():
        with caller:
            turns[0].set()
            assert turns[1].wait(20)
        seen.append(current_caller())
        turns[2].set()

    def second():
        assert turns[0].wait(20)
        with other, caller:
            turns[1].set()
            assert turns[2].wait(20)
            with caller:
                pass
            seen.append(current_caller())
        seen.append(current_caller())

    threads = [meanwhile(first), meanwhile(second)]
    for thread, results in threads:
        assert ended(thread)
        assert results == [None]
    assert seen == [None, caller, None]
