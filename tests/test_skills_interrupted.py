"""Interrupts, failures and closings between two steps of a skill, and robots that do not hear."""

import threading

import pytest
from hesitant_robots import WIDE, Gate, ended, meanwhile
from waiting import wait_for

from rfx.errors import HardwareError, InvalidStateError
from rfx.sim import make_plant
from rfx.skills import (
    CancelToken,
    Circle,
    GaitGo2,
    Go2Robot,
    Go2Skills,
    KinematicGo2,
    RobotPose,
    SkillCancelled,
    SkillError,
    SkillLimits,
    SkillRegistry,
    skill,
)

# -- interrupts


@pytest.mark.parametrize("name", ["halt", "stop_all"])
def test_an_interrupt_at_the_end_of_a_stop_does_not_leave_a_stop_that_never_ends(monkeypatch, name):
    @skill
    def move() -> None: ...

    @skill(effects="stops")
    def halt() -> None: ...

    registry = SkillRegistry([move, halt])
    real = registry._slot.stop

    def interrupted(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(registry._slot, "stop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        registry.stop_all() if name == "stop_all" else registry.execute("halt")
    monkeypatch.undo()
    assert registry.execute("move").ok


def test_a_skill_that_goes_on_after_an_interrupt_moves_nothing(monkeypatch):
    robot, go, tried = KinematicGo2(), threading.Event(), []
    robot.stand()
    skills = Go2Skills(robot, WIDE)

    @skill(effects="reads", timeout=20)
    def look_around() -> None:
        go.wait(20)
        try:
            skills.robot.moving("late")
        except SkillCancelled as error:
            tried.append(str(error))

    class Interrupted(threading.Event):
        def wait(self, timeout=None):
            raise KeyboardInterrupt

    registry = SkillRegistry([look_around])
    monkeypatch.setattr("rfx.skills.registry.threading.Event", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        registry.execute("look_around")
    monkeypatch.undo()
    go.set()
    assert wait_for(lambda: tried)
    assert "interrupted" in tried[0]


# -- the guard's own thread, and robots that do not hear


def test_nothing_moves_while_the_guard_can_have_no_watch_and_all_is_well_later(monkeypatch):
    robot = KinematicGo2()
    robot.stand()
    skills, real = Go2Skills(robot), threading.Thread.start

    def none_left(self):
        if self.name == "rfx skills guard":
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert "no watch" in skills.registry().execute("walk", {"seconds": 1}).error
    assert robot.received.drives == 0
    monkeypatch.undo()
    assert skills.registry().execute("walk", {"seconds": 1}).ok


def test_the_watch_is_there_only_while_something_moves():
    def watches():
        return [t for t in threading.enumerate() if t.name == "rfx skills guard" and t not in others]

    others = set(threading.enumerate())
    robot = KinematicGo2()
    robot.stand()
    skills = Go2Skills(robot)
    with skills.robot.moving("mine"):
        assert len(watches()) == 1
    assert wait_for(lambda: not watches())


def test_the_watch_of_a_closed_guard_gives_a_closed_robot_up():
    robot = KinematicGo2()
    robot.stand()
    skills = Go2Skills(robot)
    skills.robot.moving("forgotten").drive(0.1, 0.0, 0.0)
    watch = skills._guard._watcher
    robot.close()
    with pytest.raises(InvalidStateError):
        skills.close()
    assert wait_for(lambda: not watch.is_alive() and not (skills._guard._watcher and skills._guard._watcher.is_alive()))


class Deaf(KinematicGo2):
    """A robot that does not hear the next stops."""

    def __init__(self, **options):
        super().__init__(**options)
        self.deaf = 0

    def stop(self):
        if self.deaf:
            self.deaf -= 1
            raise HardwareError("no answer")
        super().stop()


def test_a_stop_that_the_robot_did_not_hear_is_tried_again(monkeypatch):
    monkeypatch.setattr("rfx.skills.simulated._POSTURE_S", 100.0)
    with Deaf(real_time=True) as robot:
        skills = Go2Skills(robot)
        thread, results = meanwhile(skills.registry().execute, "stand")
        assert wait_for(lambda: any(note["action"] == "posture" for note in skills.audit.notes()))
        robot.deaf = 5
        skills.registry().execute("stop")
        assert ended(thread)
        assert (robot.deaf, results[0].kind, robot.pose().posture) == (0, "stopped", "lying")


def test_the_end_of_a_move_that_the_robot_did_not_hear_is_tried_again():
    with Deaf(real_time=True) as robot:
        robot._posture = "standing"
        skills = Go2Skills(robot)
        move = skills.robot.moving("mine")
        move.drive(0.1, 0.0, 0.0)
        robot.deaf = 1
        with pytest.raises(HardwareError, match="no answer"):
            move.__exit__(None, None, None)
        assert wait_for(lambda: robot.received.stops > 0)
        assert wait_for(lambda: skills.registry().execute("turn", {"degrees": 5}).ok)


def test_a_closing_that_failed_may_be_done_again():
    robot = Deaf()
    skills = Go2Skills(robot)
    robot.deaf = 1
    with pytest.raises(HardwareError):
        skills.close()
    skills.close()
    assert robot.received.stops == 1
    skills.close()
    assert robot.received.stops == 1


def test_who_closes_second_waits_until_the_robot_has_been_told():
    class Slow(KinematicGo2):
        gate = Gate()

        def stop(self):
            self.gate.wait()
            super().stop()

    robot = Slow()
    skills = Go2Skills(robot)
    first, _ = meanwhile(skills.close)
    assert robot.gate.there.wait(20)
    second, _ = meanwhile(skills.close)
    second.join(0.1)
    assert second.is_alive()
    robot.gate.through.set()
    assert ended(first)
    assert ended(second)
    assert robot.received.stops == 1


def test_a_limit_stops_the_robot_before_it_is_written_down():
    robot, seen = KinematicGo2(), []
    robot.stand()
    skills = Go2Skills(robot)
    note = skills.audit.note

    def noting(event, **what):
        seen.append((what["action"], robot.received.stops))
        return note(event, **what)

    skills.audit.note = noting
    with skills.robot.moving("mine") as move:
        move.drive(0.1, 0.0, 0.0)
        with pytest.raises(SkillError):
            move.drive(9.0, 0.0, 0.0)
    assert ("stop", 1) in seen


def test_an_old_state_counts_as_one_from_farther_out():
    class Late(KinematicGo2):
        def pose(self):
            here = super().pose()
            return RobotPose(here.x, here.y, here.yaw, 0.45, here.posture)

    def told(kind):
        robot = kind()
        robot.stand()
        skills = Go2Skills(robot, SkillLimits(area=Circle(1.0), margin=0.1))
        robot._at = (0.6, 0.0, 0.0)
        with skills.robot.moving("mine") as move:
            return move.drive(0.5, 0.0, 0.0)[0]

    assert told(KinematicGo2) == 0.5
    assert told(Late) < 0.5


# -- robots


def test_a_robot_that_is_closed_while_it_stands_up_says_so():
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    robot = GaitGo2(real_time=True)
    thread, results = meanwhile(robot.stand)
    assert wait_for(lambda: robot.pose().posture == "moving")
    robot.close()
    assert ended(thread)
    assert isinstance(results[0], InvalidStateError)


def test_a_robot_may_be_closed_by_one_who_watches_its_steps(monkeypatch):
    errors = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    with GaitGo2(real_time=True, plant=make_plant("joint")) as robot:
        robot.on_step(lambda time_s, x, y: robot.close())
        assert wait_for(lambda: not robot._thread.is_alive())
    assert errors == []


class Client:
    """What Go2Robot needs of a client: a robot that walks until it is told otherwise."""

    class config:
        connect_timeout_s = 1.0

    def __init__(self):
        self.asked = []

    def sport_state(self):
        return object()

    def __getattr__(self, name):
        return lambda *given: self.asked.append(name)


@pytest.mark.parametrize(("name", "given"), [("sit", ()), ("look", (0.1, 0.0))])
def test_a_real_robot_that_is_stopped_in_its_last_step_begins_nothing_else(monkeypatch, name, given):
    client, postures = Client(), ["walking"]
    robot, waits = Go2Robot(client), Gate()

    def pose():
        if threading.current_thread() is not threading.main_thread() and client.asked:
            waits.wait()
        return RobotPose(0.0, 0.0, 0.0, 0.0, postures[0])

    monkeypatch.setattr(robot, "pose", pose)
    thread, _ = meanwhile(getattr(robot, name), *given)
    assert waits.there.wait(20)
    robot.stop()
    postures[0] = "standing"
    waits.through.set()
    assert ended(thread)
    assert set(client.asked) == {"stop"}


def test_only_the_first_of_many_reasons_counts():
    for _ in range(200):
        token, go = CancelToken(), threading.Barrier(3)

        def cancel(reason, token=token, go=go):
            go.wait()
            token.cancel(reason)

        threads = [threading.Thread(target=cancel, args=(word,)) for word in ("one", "two")]
        for thread in threads:
            thread.start()
        go.wait()
        assert token.wait(20)
        first = token.reason
        for thread in threads:
            thread.join()
        assert token.reason == first
