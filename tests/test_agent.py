"""The agent's loop: what ends it, what the model is told, and that the robot is at rest afterwards."""

import signal
import threading
import time

import agent_robots
import pytest
from agent_robots import BATTERY, WALK, Robot, answers

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.skills import (
    Agent,
    AgentConfig,
    Instruction,
    MockAgent,
    MockModel,
    Reply,
    SkillRegistry,
    ToolCall,
    Usage,
    skill,
)

robot = agent_robots.robot


def test_calls_are_made_and_the_model_reads_their_results(robot):
    agent = MockAgent(robot=robot, replies=[["First the battery.", BATTERY], WALK, "Walked one metre."])
    result = agent.run("walk one metre")
    assert result.ok
    assert (result.text, result.ended, result.turns, result.calls) == ("Walked one metre.", "done", 3, 2)
    assert robot.seen == [("walk", 1.0), "halt"]
    assert answers(agent, 2)[0].value == 80.0
    assert answers(agent, 3)[0].value == "walked 1 m"
    assert agent.model.requests[0].messages == (Instruction("walk one metre"),)
    assert result.transcript.calls == [("battery", {}, True, ""), ("walk", {"metres": 1.0}, True, "")]


def test_every_call_is_in_the_audit_log_with_the_caller(robot):
    agent = MockAgent(robot=robot, replies=[[WALK, ToolCall("fly", {}), ToolCall("walk", "{]")], "Done."])
    agent.run("go")
    log = agent.registry.audit.entries()
    assert [(e.skill, e.ok, e.kind) for e in log] == [
        ("walk", True, ""),
        ("fly", False, "unknown skill"),
        ("walk", False, "arguments"),
        ("halt", True, ""),
    ]
    assert {e.caller for e in log} == {"agent mock"}


def test_errors_go_back_to_the_model(robot):
    calls = [
        ToolCall("broken", {}),
        ToolCall("wolk", {}),
        ToolCall("walk", {"metres": 50}),
        ToolCall("walk", "not json"),
    ]
    agent = MockAgent(robot=robot, replies=[calls, "I cannot."])
    assert agent.run("go").ok
    told = answers(agent, 2)
    assert [r.kind for r in told] == ["failed", "unknown skill", "arguments", "arguments"]
    assert "no answer from the sensor" in told[0].error
    assert "'walk'" in told[1].hint
    assert "at most 2" in told[2].error
    assert robot.seen == ["halt"]


def test_a_call_that_comes_twice_in_a_reply_is_made_once(robot):
    twice = [ToolCall("walk", {"metres": 1.0}, "a"), ToolCall("walk", {"metres": 1.0}, "a")]
    agent = MockAgent(robot=robot, replies=[twice, ToolCall("walk", {"metres": 0.5}, "a"), "Done."])
    agent.run("go")
    assert [r.kind for r in answers(agent, 2)] == ["", "duplicate"]
    assert robot.seen == [("walk", 1.0), ("walk", 0.5), "halt"]  # a later reply may count from the beginning
    ids = [c.id for m in agent.model.requests[-1].messages if isinstance(m, Reply) for c in m.calls]
    assert len(set(ids)) == 3


def test_ids_that_no_api_takes_are_exchanged(robot):
    calls = [ToolCall("battery", {}, given) for given in ("", "a b", "x" * 65, 7)]
    result = MockAgent(robot=robot, replies=[calls, "Done."]).run("go")
    assert all(ok for _, _, ok, _ in result.transcript.calls)
    assert [e.data["id"] for e in result.transcript if e.kind == "result"] == ["call_1", "call_2", "call_3", "call_4"]


def test_watch_sees_every_entry_and_what_it_raises_comes_out_after_a_stop(robot):
    seen = []
    agent = MockAgent(robot=robot, replies=[WALK, "Done."], watch=lambda entry: seen.append(entry.kind))
    agent.run("go")
    assert seen == ["instruction", "reply", "result", "reply", "stop", "end"]

    def bad(entry):
        if entry.kind == "result":
            raise ZeroDivisionError

    agent = MockAgent(robot=robot, replies=[WALK, "Done."], watch=bad)
    with pytest.raises(ZeroDivisionError):
        agent.run("go")
    assert agent.transcript.ended == "failed"
    assert robot.seen[-1] == "halt"


def test_a_conversation_goes_on_after_a_run(robot):
    agent = MockAgent(robot=robot, replies=[WALK, "Walked.", "Yes, one metre."])
    first = agent.run("walk")
    second = agent.run("did you?", after=first)
    messages = agent.model.requests[-1].messages
    assert [type(m).__name__ for m in messages] == ["Instruction", "Reply", "Answers", "Reply", "Instruction"]
    assert second.text == "Yes, one metre."


def test_one_run_at_a_time(robot):
    asked, release = threading.Event(), threading.Event()

    def slow(request):
        asked.set()
        release.wait(20)
        return "Done."

    agent = MockAgent(robot=robot, replies=[slow])
    runner = threading.Thread(target=lambda: agent.run("go"))
    runner.start()
    assert asked.wait(10)
    with pytest.raises(InvalidStateError, match="one run at a time"):
        agent.run("and this")
    release.set()
    runner.join(10)


def test_long_results_are_cut():
    @skill(effects="reads")
    def scan() -> list[float]:
        """Distances."""
        return [1.0] * 5000

    agent = MockAgent([scan], [ToolCall("scan", {}), "Done."], config=AgentConfig(max_result_characters=200))
    agent.run("look")
    told = answers(agent, 2)[0]
    assert told.ok
    assert "(cut: 25" in told.value
    assert len(told.text()) < 300


def test_the_old_names_work(robot):
    agent = MockAgent([], ["It is 80 %.", OSError("gone")], robot)

    @skill(effects="reads")
    def tell() -> str:
        """Tell something."""
        return "something"

    agent.add_skill(tell)
    assert "tell (reads): Tell something." in agent.describe_skills()
    assert agent.execute("how full?") == "It is 80 %."
    assert agent.execute("how full?") == "The run ended early (model): the model failed: OSError: gone"
    assert agent.execute_skill("walk", metres=0.5).ok
    assert repr(agent) == "MockAgent('mock', 6 skills)"


def test_a_registry_is_used_as_it_is_and_gets_the_robots_skills(robot):
    registry = SkillRegistry(timeout=5.0)
    assert MockAgent(registry, robot=robot).registry is registry
    assert "walk" in registry
    MockAgent(registry, robot=robot)  # once more: they are the same skills
    with pytest.raises(ConfigError, match="names that are free"):
        MockAgent(registry, robot=Robot())


def test_what_an_agent_does_not_take_is_refused(robot):
    with pytest.raises(ConfigError, match="at least one skill"):
        MockAgent([])
    with pytest.raises(ConfigError, match="methods that are skills"):
        MockAgent(robot=3)
    with pytest.raises(DTypeError, match="model with a name"):
        Agent(7, robot=robot)
    with pytest.raises(ConfigError, match="finished model"):
        Agent(MockModel([]), robot=robot, api_key="k")
    with pytest.raises(ConfigError, match="anthropic:NAME, openai:NAME, openai-chat:NAME"):
        Agent("llama", robot=robot)
    with pytest.raises(DTypeError, match="AgentConfig"):
        MockAgent(robot=robot, config={})
    with pytest.raises(DTypeError, match="watch"):
        MockAgent(robot=robot, watch=3)
    agent = MockAgent(robot=robot)
    with pytest.raises(DTypeError, match="in words"):
        agent.run([{"type": "image"}])
    with pytest.raises(ConfigError, match="empty"):
        agent.run(" ")
    with pytest.raises(DTypeError, match="AgentResult"):
        agent.run("go", after="before")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_turns": 0},
        {"max_tool_calls": 1.5},
        {"max_seconds": float("nan")},
        {"max_seconds": 0},
        {"system_prompt": None},
        {"stop_at_end": 1},
        {"max_result_characters": 5},
    ],
)
def test_limits_are_checked(wrong):
    with pytest.raises((InvalidValueError, DTypeError)):
        AgentConfig(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"text": 5}, {"calls": [WALK]}, {"calls": ("walk",)}, {"stop": "tired"}, {"usage": 5}, {"usage": (1, 2)}]
)
def test_a_reply_is_checked(wrong):
    with pytest.raises((ConfigError, DTypeError)):
        Reply(**wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5, float("nan"), True, "3"])
def test_usage_is_checked(wrong):
    with pytest.raises(DTypeError):
        Usage(wrong, 0)


def test_a_mock_model_says_when_its_script_is_over(robot):
    result = MockAgent(robot=robot, replies=[BATTERY]).run("go")
    assert result.ended == "model"
    assert "expected no more than 1 requests" in result.error
    with pytest.raises(DTypeError, match="a list of replies"):
        MockModel("hello")


def test_time_is_measured(robot):
    result = MockAgent(robot=robot, replies=[lambda request: time.sleep(0.02) or "Done."]).run("go")
    reply = next(e for e in result.transcript if e.kind == "reply")
    assert result.seconds >= reply.seconds >= 0.02


def test_ctrl_c_gets_through_while_the_model_thinks(robot):
    release = threading.Event()

    def slow(request):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        release.wait(20)
        return WALK

    agent = MockAgent(robot=robot, replies=[slow])
    with pytest.raises(KeyboardInterrupt):
        agent.run("go")
    release.set()
    assert robot.seen == ["halt"]
    assert agent.transcript.ended == "interrupted"


def test_a_run_that_comes_to_an_agent_as_it_is_closed_does_not_begin(robot, monkeypatch):
    agent = MockAgent([robot.walk, robot.halt], [ToolCall("walk", {"metres": 1.0}), "Done."])
    there, go, errors = threading.Event(), threading.Event(), []
    taken_on = agent._take_on

    def hesitating(run):
        there.set()
        go.wait(20)
        taken_on(run)

    def run():
        try:
            agent.run("Go.")
        except InvalidStateError as error:
            errors.append(str(error))

    monkeypatch.setattr(agent, "_take_on", hesitating)
    thread = threading.Thread(target=run)
    thread.start()
    assert there.wait(20)
    agent.close()
    go.set()
    thread.join(20)
    assert "closed" in errors[0]
    assert robot.seen == []


def test_an_interrupt_before_a_run_has_begun_leaves_an_agent_that_can_run(robot, monkeypatch):
    agent = MockAgent([robot.walk], ["Done."])
    taken_on = agent._take_on

    def interrupted(run):
        taken_on(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "_take_on", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agent.run("Go.")
    monkeypatch.undo()
    assert agent.run("Go.").ok
