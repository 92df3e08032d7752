"""The registry: what runs, what does not, and what comes back."""

import json
import math
import threading
from typing import Annotated

import pytest

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.skills import AuditLog, Bound, CancelToken, SkillCancelled, SkillRegistry, skill

SPEED = Annotated[float, Bound(ge=-0.5, le=0.5, unit="m/s")]


class Robot:
    """Notes what it is told, and moves until it may end."""

    def __init__(self):
        self.seen = []
        self.moving = threading.Event()
        self.release = threading.Event()

    @skill(tags="motion")
    def walk(self, speed: SPEED, times: int = 1) -> int:
        """Walk."""
        self.seen.append((speed, times))
        return times

    @skill(tags=["motion", "slow"], timeout=None)
    def wander(self, cancel: CancelToken) -> str:
        """Walk until told otherwise."""
        self.moving.set()
        while not cancel.wait(0.01):
            pass
        self.seen.append("wandered")
        cancel.check()
        return "done"

    @skill(timeout=20)
    def deaf(self) -> str:
        """Move without listening."""
        self.moving.set()
        self.release.wait(20)
        return "done"

    @skill(effects="stops")
    def halt(self) -> None:
        """Stop at once."""
        self.seen.append("halt")

    @skill(effects="reads", tags="state")
    def battery(self) -> float:
        """Charge in percent."""
        return 80.0

    @skill(confirmation=True)
    def jump(self) -> None:
        """Jump."""
        self.seen.append("jump")


@pytest.fixture
def robot():
    robot = Robot()
    yield robot
    robot.release.set()


@pytest.fixture
def registry(robot):
    registry = SkillRegistry()
    registry.register_all(robot)
    yield registry
    registry.stop_all()


def begun(registry, robot, name):
    """Start a mover in a thread, and return the thread and where its result will be."""
    results = []
    thread = threading.Thread(target=lambda: results.append(registry.execute(name)))
    thread.start()
    assert robot.moving.wait(10)
    return thread, results


def test_a_call_runs_with_coerced_arguments(registry, robot):
    result = registry.execute("walk", {"speed": 0, "times": 2.0})
    assert (result.ok, result.value, result.skill, result.call) == (True, 2, "walk", 1)
    assert robot.seen == [(0.0, 2)]
    assert [type(v) for v in robot.seen[0]] == [float, int]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"speed": 0.6}, "speed: expected a finite number at least -0.5 and at most 0.5, got 0.6"),
        ({"speed": "0.1"}, "speed: expected a finite number at least -0.5 and at most 0.5, got '0.1'"),
        ({"speed": math.nan}, "got nan"),
        ({}, "speed: expected a finite number at least -0.5 and at most 0.5, got nothing"),
        ({"speed": 0.1, "fast": True}, "expected only the keys speed, times, got 'fast'"),
        ([0.1], "arguments: expected an object with the keys speed, times (optional), got an array of 1 item"),
        ("{", "arguments: expected an object with the keys speed, times (optional), got '{'"),
    ],
)
def test_wrong_arguments_come_back_as_words_and_nothing_runs(registry, robot, arguments, said):
    result = registry.execute("walk", arguments)
    assert (result.ok, result.kind) == (False, "arguments")
    assert said in result.error
    assert "call walk again" in result.hint
    assert robot.seen == []


def test_an_unknown_name_brings_the_nearest_one(registry):
    assert registry.execute("wlak").hint == "Did you mean 'walk'?"
    assert "walk" in registry.execute("xyz").hint
    assert registry.execute(5).kind == "unknown skill"


def test_an_exception_of_a_skill_comes_back_as_words():
    class Odd(BaseException):
        def __str__(self):
            raise RuntimeError

    @skill(effects="reads", timeout=None)
    def broken(odd: bool) -> None:
        raise Odd if odd else ZeroDivisionError("by zero")

    registry = SkillRegistry([broken])
    assert registry.execute("broken", {"odd": False}).error == "broken failed: ZeroDivisionError: by zero"
    assert registry.execute("broken", {"odd": True}).error == "broken failed: Odd: without a message"


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


def test_a_result_that_breaks_its_promise_is_told():
    @skill(effects="reads")
    def charge() -> float:
        return math.nan

    result = SkillRegistry([charge]).execute("charge")
    assert (result.kind, result.error) == (
        "result",
        "charge returned what it should not: result: expected a finite number, got 'NaN'",
    )


def test_a_token_says_why():
    token = CancelToken()
    token.check()
    token.cancel("first")
    token.cancel("second")
    assert token.wait(1000)
    with pytest.raises(SkillCancelled, match="first"):
        token.check()


def test_registering_keeps_names_unique(registry, robot):
    with pytest.raises(ConfigError, match="name that is free"):
        registry.register(robot.walk)
    with pytest.raises(ConfigError, match="names that are free"):
        registry.register_all(robot)
    with pytest.raises(ConfigError, match="taken from an object"):
        registry.register(Robot.walk, replace=True)
    with pytest.raises(DTypeError, match="no options"):
        registry.register(robot.walk, name="w")
    assert registry.register(Robot().walk, replace=True) is registry.get("walk")
    assert registry.unregister("walk").name == "walk"
    assert "walk" not in registry
    with pytest.raises(ConfigError, match="name of a skill"):
        registry.unregister("walk")


def test_a_function_becomes_a_skill_when_it_is_registered():
    def add(a: int, b: int) -> int:
        return a + b

    registry = SkillRegistry()
    registry.register(add, name="plus", effects="reads")
    assert registry.execute("plus", {"a": 1, "b": 2}).value == 3


def test_skills_are_filtered_by_tags_and_effects(registry):
    def names(**given):
        return [s.name for s in registry.filter(**given)]

    assert names(tags="motion") == ["walk", "wander"]
    assert names(tags=["motion", "slow"]) == ["wander"]
    assert names(effects="reads") == ["battery"]
    assert names(effects=["stops", "reads"]) == ["battery", "halt"]
    assert len(names()) == len(registry) == 6
    with pytest.raises(ConfigError, match="effects"):
        registry.filter(effects="flies")


def test_describe_is_for_reading(registry):
    text = registry.describe()
    assert "walk (moves): Walk.\n  speed: a finite number at least -0.5 and at most 0.5. In m/s." in text
    assert "jump (moves; needs confirmation): Jump." in text
    assert "times: an integer. Default 1." in text


def test_every_call_is_in_the_audit_log(tmp_path, robot):
    path = tmp_path / "audit.jsonl"
    registry = SkillRegistry([robot.walk], audit=AuditLog(path, size=2))
    registry.execute("walk", {"speed": 0.1}, caller="model")
    registry.execute("walk", {"speed": math.nan, "text": "x" * 1000})
    registry.execute("walk\ud800", object())
    entries = registry.audit.entries()
    assert [(e.call, e.ok, e.kind) for e in entries] == [(2, False, "arguments"), (3, False, "unknown skill")]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["call"]) for line in lines] == [(e, n) for n in (1, 2, 3) for e in ("begin", "end")]
    assert lines[0]["caller"] == "model"
    assert lines[0]["arguments"] == {"speed": 0.1}
    assert lines[2]["arguments"]["speed"] == "NaN"
    assert len(lines[2]["arguments"]["text"]) < 250


def test_nothing_moves_when_the_log_cannot_be_written(tmp_path, robot):
    audit = AuditLog(tmp_path / "audit.jsonl")
    registry = SkillRegistry(audit=audit)
    registry.register_all(robot)
    audit.close()
    assert registry.execute("walk", {"speed": 0.1}).kind == "audit"
    assert registry.execute("battery").ok
    assert registry.execute("halt").ok
    assert robot.seen == ["halt"]


def test_the_registry_checks_its_own_arguments():
    with pytest.raises(InvalidValueError, match="timeout"):
        SkillRegistry(timeout=0)
    with pytest.raises(DTypeError, match="confirm"):
        SkillRegistry(confirm=5)
    with pytest.raises(InvalidStateError):
        AuditLog().__reduce__()
