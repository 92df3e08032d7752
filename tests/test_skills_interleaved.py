"""What comes between two steps of a skill: stops, closings, interrupts and failures at the worst moment, one at a time."""

import threading

import pytest
from waiting import wait_for

from rfx.errors import HardwareError, InvalidStateError
from rfx.sim import make_plant
from rfx.skills import (
    Caller,
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
from rfx.skills.caller import current_caller

WIDE = SkillLimits(area=Circle(50.0), per_minute_s=60.0, move_s=60.0)


class Gate:
    """Somebody waits here until let through."""

    def __init__(self):
        self.there, self.through = threading.Event(), threading.Event()

    def wait(self):
        self.there.set()
        assert self.through.wait(20)


class Hesitant(KinematicGo2):
    """A robot whose motions wait at a gate before they begin."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = None

    def _hesitate(self):
        if self.gate is not None:
            self.gate.wait()

    def stand(self):
        self._hesitate()
        super().stand()

    def sit(self):
        self._hesitate()
        super().sit()

    def look(self, pitch, yaw):
        self._hesitate()
        super().look(pitch, yaw)


def meanwhile(func, *args):
    """Call a function in a thread, and return the thread and where its result will be."""
    results = []

    def run():
        try:
            results.append(func(*args))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def ended(thread):
    thread.join(20)
    return not thread.is_alive()


def held(monkeypatch, owner, name, gate):
    """Let calls of a method wait at a gate before they do anything."""
    real = getattr(owner, name)

    def waiting(*args, **options):
        gate.wait()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, waiting)


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
