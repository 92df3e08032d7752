"""The registry: what runs, what does not, and what comes back."""

import json
import math

import pytest
import registry_robots
from registry_robots import Robot

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.skills import AuditLog, CancelToken, SkillCancelled, SkillRegistry, skill

registry = registry_robots.registry
robot = registry_robots.robot


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
