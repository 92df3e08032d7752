"""One mover at a time, stops that come first, time limits and people who are asked."""

import threading

import pytest
import registry_robots

from rfx.skills import AuditLog, SkillRegistry, skill

registry = registry_robots.registry
robot = registry_robots.robot


def begun(registry, robot, name):
    """Start a mover in a thread, and return the thread and where its result will be."""
    results = []
    thread = threading.Thread(target=lambda: results.append(registry.execute(name)))
    thread.start()
    assert robot.moving.wait(10)
    return thread, results


@pytest.mark.parametrize("timeout", [None, 10])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_only_the_end_of_the_program_comes_through_and_it_stops_the_robot(timeout, error):
    seen = []

    @skill(timeout=timeout)
    def move() -> None:
        raise error

    @skill(effects="stops")
    def halt() -> None:
        seen.append("halt")

    registry = SkillRegistry([move, halt], timeout=None)
    with pytest.raises(error):
        registry.execute("move")
    assert seen == ["halt"]
    assert registry.mover == ""
    assert [e.kind for e in registry.audit.entries()] == ["", "failed"]


def test_a_second_mover_is_refused_while_one_moves(registry, robot):
    thread, results = begun(registry, robot, "wander")
    assert registry.mover == "wander"
    refused = registry.execute("walk", {"speed": 0.1})
    assert (refused.kind, refused.error) == ("busy", "walk may not begin: wander is still moving the robot")
    assert registry.execute("battery").value == 80.0
    assert registry.execute("halt").ok
    thread.join(10)
    assert (results[0].ok, results[0].kind) == (False, "stopped")
    assert "stopped by halt" in results[0].error
    assert robot.seen[0] == "halt" or robot.seen[0] == "wandered"
    assert registry.execute("walk", {"speed": 0.1}).ok


def test_a_mover_that_does_not_listen_keeps_others_out_until_it_returns(registry, robot):
    thread, results = begun(registry, robot, "deaf")
    assert registry.execute("halt").ok
    assert registry.execute("walk", {"speed": 0.1}).kind == "busy"
    robot.release.set()
    thread.join(10)
    assert results[0].kind == "stopped"
    assert registry.execute("walk", {"speed": 0.1}).ok


def test_a_call_that_came_before_a_stop_does_not_move_after_it():
    seen = []

    @skill(confirmation=True)
    def jump() -> None:
        seen.append("jump")

    @skill(effects="stops")
    def halt() -> None:
        seen.append("halt")

    registry = SkillRegistry([jump, halt], confirm=lambda s, a: registry.execute("halt").ok)
    assert registry.execute("jump").kind == "stopped"
    assert seen == ["halt"]


def test_a_stop_with_wrong_arguments_stops_all_the_same(registry, robot):
    thread, results = begun(registry, robot, "wander")
    result = registry.execute("halt", {"why": "danger"})
    assert result.ok
    assert "not used: arguments: expected no arguments, got 'why'" in result.hint
    thread.join(10)
    assert results[0].kind == "stopped"
    assert "halt" in robot.seen


def test_a_stop_that_lacks_an_argument_runs_the_other_stops(registry, robot):
    @skill(effects="stops")
    def brake(force: float) -> None:
        robot.seen.append("brake")

    registry.register(brake)
    thread, results = begun(registry, robot, "wander")
    result = registry.execute("brake", {"force": "all"})
    assert (result.ok, result.kind) == (False, "arguments")
    thread.join(10)
    assert results[0].kind == "stopped"
    assert "halt" in robot.seen
    assert "brake" not in robot.seen
    assert registry.execute("walk", {"speed": 0.1}).ok


def test_a_stop_does_not_wait_for_the_log(tmp_path, robot):
    audit = AuditLog(tmp_path / "audit.jsonl")
    registry = SkillRegistry([robot.halt], audit=audit)
    with audit._lock:  # the disk hangs
        thread = threading.Thread(target=registry.execute, args=("halt",))
        thread.start()
        for _ in range(1000):
            if robot.seen:
                break
            thread.join(0.01)
        assert robot.seen == ["halt"]
    thread.join(10)
    assert [e.skill for e in audit.entries()] == ["halt"]


def test_a_mover_that_never_began_leaves_its_place(registry, monkeypatch):
    class NoThread(threading.Thread):
        def start(self):
            raise self.error

    monkeypatch.setattr("rfx.skills.registry.threading.Thread", NoThread)
    NoThread.error = RuntimeError("can't start new thread")
    result = registry.execute("walk", {"speed": 0.1})
    assert (result.kind, registry.mover) == ("failed", "")
    assert registry.execute("halt").ok
    NoThread.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        registry.execute("walk", {"speed": 0.1})
    assert registry.mover == ""
    monkeypatch.undo()
    assert registry.execute("walk", {"speed": 0.1}).ok


def test_what_contains_itself_is_written_down_and_has_an_end(registry):
    loop = []
    loop.extend([loop] * 40)
    assert registry.execute("walk", {"speed": loop}).kind == "arguments"
    assert len(registry.audit.entries()) == 1


def test_nothing_begins_to_move_during_a_stop():
    kinds = []

    @skill
    def move() -> None: ...

    @skill(effects="stops")
    def halt() -> None:
        kinds.append(registry.execute("move").kind)

    registry = SkillRegistry([move, halt])
    assert registry.execute("halt").ok
    assert kinds == ["stopped"]


def test_a_mover_out_of_time_is_cancelled_and_the_robot_stopped(robot):
    registry = SkillRegistry([robot.wander, robot.halt], timeout=0.05)
    result = registry.execute("wander")
    assert (result.ok, result.kind) == (False, "timeout")
    assert result.error == "wander took longer than 0.05 s and was stopped"
    assert "halt" in robot.seen
    assert [e.skill for e in registry.audit.entries()] == ["halt", "wander"]


def test_a_reader_out_of_time_comes_back():
    go = threading.Event()

    @skill(effects="reads", timeout=0.05)
    def slow() -> bool:
        return go.wait(20)

    assert SkillRegistry([slow]).execute("slow").kind == "timeout"
    go.set()


def test_a_person_is_asked_and_may_refuse(robot):
    asked = []
    registry = SkillRegistry([robot.jump])
    assert "nobody can be asked" in registry.execute("jump").error
    for answer in (False, None, 1):
        registry = SkillRegistry([robot.jump], confirm=lambda s, a, answer=answer: asked.append(s.name) or answer)
        assert registry.execute("jump").kind == "confirmation"
    assert robot.seen == []
    registry = SkillRegistry([robot.jump], confirm=lambda s, a: 1 / 0)
    assert "ZeroDivisionError" in registry.execute("jump").error
    registry = SkillRegistry([robot.jump], confirm=lambda s, a: True)
    assert registry.execute("jump").ok
    assert (asked, robot.seen) == (["jump"] * 3, ["jump"])
