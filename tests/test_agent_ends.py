"""How an agent's run ends: limits, cut and missing replies, cancelling, time, stops and interrupts."""

import itertools
import signal
import threading

import agent_robots
import pytest
from agent_robots import BATTERY, WALK, answers

from rfx.skills import (
    Agent,
    AgentConfig,
    MockAgent,
    Reply,
    ToolCall,
    Usage,
    agent_run,
    skill,
)

robot = agent_robots.robot

WANDER = ToolCall("wander", {})


def test_a_model_that_never_stops_calling_is_ended_by_turns(robot):
    agent = MockAgent(robot=robot, replies=itertools.repeat(BATTERY), config=AgentConfig(max_turns=5))
    result = agent.run("go")
    assert (result.ended, result.turns, result.calls) == ("turns", 5, 5)
    assert not result.ok
    assert "5 times" in result.error


def test_calls_beyond_the_limit_of_a_run_are_refused_and_end_it(robot):
    agent = MockAgent(robot=robot, replies=itertools.repeat([WALK, WALK]), config=AgentConfig(max_tool_calls=3))
    result = agent.run("go")
    assert result.ended == "calls"
    assert robot.seen == [("walk", 1.0)] * 3 + ["halt"]
    assert [kind for *_, kind in result.transcript.calls] == ["", "", "", "calls"]


def test_the_last_call_that_is_allowed_does_not_end_the_run(robot):
    agent = MockAgent(robot=robot, replies=[WALK, "Done."], config=AgentConfig(max_tool_calls=1))
    assert agent.run("go").ended == "done"


def test_calls_beyond_the_limit_of_a_turn_are_refused_but_not_stops(robot):
    replies = [[WALK, WALK, WALK, ToolCall("halt", {})], "Done."]
    agent = MockAgent(robot=robot, replies=replies, config=AgentConfig(max_calls_per_turn=2))
    assert agent.run("go").ok
    assert [r.kind for r in answers(agent, 2)] == ["", "", "calls", ""]
    assert robot.seen == [("walk", 1.0)] * 2 + ["halt", "halt"]


def test_tokens_are_counted_and_end_the_run(robot):
    reply = Reply("", (BATTERY,), "calls", Usage(90, 10))
    agent = MockAgent(robot=robot, replies=itertools.repeat(reply), config=AgentConfig(max_total_tokens=250))
    result = agent.run("go")
    assert (result.ended, result.turns, result.usage) == ("tokens", 3, Usage(270, 30))


def test_a_reply_cut_off_in_the_middle_of_a_call_runs_nothing_but_stops(robot):
    cut = Reply("", (ToolCall("walk", {"metres": 1}), ToolCall("halt", {})), "length")
    agent = MockAgent(robot=robot, replies=[cut, "Done."])
    assert agent.run("go").ok
    assert [r.kind for r in answers(agent, 2)] == ["truncated", ""]
    assert ("walk", 1.0) not in robot.seen


@pytest.mark.parametrize(
    ("reply", "ended", "error"),
    [
        (Reply("I will not.", (WALK,), "refusal"), "refusal", "I will not."),
        (Reply("Once upon", (), "length"), "length", "cut off at 4096 tokens"),
        (Reply("", (), "context"), "context", "too long"),
        (Reply("", (), "calls"), "model", "got none"),
        (ConnectionError("no route"), "model", "ConnectionError: no route"),
        (lambda request: 7, "model", "got 7"),
    ],
)
def test_what_a_model_does_instead_of_finishing_ends_the_run(robot, reply, ended, error):
    result = MockAgent(robot=robot, replies=[reply]).run("go")
    assert result.ended == ended
    assert error in result.error
    assert robot.seen == ["halt"]
    assert result.transcript.ended == ended


def test_a_model_that_pauses_is_asked_again(robot):
    agent = MockAgent(robot=robot, replies=[Reply("Let me think.", (), "pause"), "Done."])
    result = agent.run("go")
    assert result.ok
    assert agent.model.requests[1].messages[-1] == Reply("Let me think.", (), "pause")


def test_a_model_that_gives_no_reply_at_all_is_named(robot):
    class Mute:
        name = "mute"

        def reply(self, request):
            return {"text": "hello"}

    result = Agent(Mute(), robot=robot).run("go")
    assert result.ended == "model"
    assert "expected a Reply" in result.error


def test_cancel_stops_the_robot_before_it_returns(robot):
    agent = MockAgent(robot=robot, replies=[[WANDER, WALK], "Done."])
    results = []
    runner = threading.Thread(target=lambda: results.append(agent.run("go")))
    runner.start()
    assert robot.moving.wait(10)
    assert agent.cancel("that is enough")
    assert "halt" in robot.seen
    runner.join(10)
    assert (results[0].ended, results[0].error) == ("cancelled", "that is enough")
    assert robot.at_rest
    assert ("walk", 1.0) not in robot.seen
    assert [kind for *_, kind in results[0].transcript.calls] == ["stopped", "stopped"]
    assert not agent.cancel()


def test_cancel_does_not_wait_for_a_model_that_thinks(robot):
    asked, release = threading.Event(), threading.Event()

    def slow(request):
        asked.set()
        release.wait(20)
        return WALK

    agent = MockAgent(robot=robot, replies=[slow, "Done."])
    results = []
    runner = threading.Thread(target=lambda: results.append(agent.run("go")))
    runner.start()
    assert asked.wait(10)
    agent.cancel()
    runner.join(10)
    release.set()
    assert results[0].ended == "cancelled"
    assert robot.seen == ["halt", "halt"]


def test_the_run_ends_in_time_whatever_a_skill_does(robot):
    agent = MockAgent(robot=robot, replies=[WANDER, "Done."], config=AgentConfig(max_seconds=0.1))
    result = agent.run("go")
    assert result.ended == "time"
    assert robot.at_rest
    assert "halt" in robot.seen


def test_the_run_ends_in_time_whatever_the_model_does(robot):
    release = threading.Event()
    agent = MockAgent(robot=robot, replies=[lambda request: release.wait(20)], config=AgentConfig(max_seconds=0.1))
    assert agent.run("go").ended == "time"
    release.set()


def test_a_mover_that_does_not_listen_is_named():
    release = threading.Event()

    @skill(timeout=20)
    def deaf() -> None:
        """Move without listening."""
        release.wait(20)

    result = MockAgent([deaf], [ToolCall("deaf", {})], config=AgentConfig(max_seconds=0.05)).run("go")
    release.set()
    assert result.ended == "time"
    assert "deaf does not end although it was stopped" in result.error


def test_a_stop_from_elsewhere_ends_what_was_asked_for_before_it(robot):
    def after_the_stop(request):
        stopper.join(10)
        return [WALK]

    agent = MockAgent(robot=robot, replies=[[WANDER, WALK, BATTERY], after_the_stop, "Done."])
    stopper = threading.Thread(target=lambda: robot.moving.wait(10) and agent.registry.stop_all("the red button"))
    stopper.start()
    assert agent.run("go").ok
    stopper.join(10)
    assert [r.kind for r in answers(agent, 2)] == ["stopped", "stopped", ""]
    assert robot.seen == ["halt", ("walk", 1.0), "halt"]


def test_the_models_own_stop_does_not_refuse_what_it_asks_for_after_it(robot):
    agent = MockAgent(robot=robot, replies=[[ToolCall("halt", {}), WALK], "Done."])
    agent.run("go")
    assert robot.seen == ["halt", ("walk", 1.0), "halt"]


def test_without_stop_at_end_the_robot_is_left_alone_only_when_the_model_has_finished(robot):
    config = AgentConfig(stop_at_end=False)
    assert MockAgent(robot=robot, replies=[WALK, "Done."], config=config).run("go").ok
    assert robot.seen == [("walk", 1.0)]
    MockAgent(robot=robot, replies=[OSError("gone")], config=config).run("go")
    assert robot.seen == [("walk", 1.0), "halt"]


def test_a_stop_that_fails_is_told():
    @skill(effects="stops")
    def halt() -> None:
        """Stop."""
        raise OSError("no link")

    result = MockAgent([halt], ["Done."]).run("go")
    assert (result.ended, result.ok) == ("done", False)
    assert "halt failed" in result.error
    assert "no link" in result.error


def test_ctrl_c_gets_through_and_the_robot_is_stopped(robot):
    agent = MockAgent(robot=robot, replies=[[WANDER, WALK], "Done."])

    def interrupt():
        robot.moving.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    presser = threading.Thread(target=interrupt)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        agent.run("go")
    presser.join(10)
    assert robot.at_rest
    assert set(robot.seen) == {"halt"}
    assert agent.transcript.ended == "interrupted"
    assert MockAgent(robot=robot, replies=["Hello."]).run("go").ok


def test_after_an_interrupt_as_a_call_begins_that_call_has_ended(robot, monkeypatch):
    begin = agent_run._Job.start

    def interrupted(job):
        begin(job)
        if job.thread.name == "agent call":
            robot.moving.wait(20)
            raise KeyboardInterrupt
        return job

    monkeypatch.setattr(agent_run._Job, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        MockAgent(robot=robot, replies=[[WANDER, WALK], "Done."]).run("go")
    assert robot.at_rest
    assert set(robot.seen) == {"halt"}


def test_an_interrupt_out_of_a_skill_comes_through(robot):
    @skill(effects="reads")
    def leave() -> None:
        """Leave."""
        raise SystemExit(3)

    agent = MockAgent([leave], [ToolCall("leave", {})], robot)
    with pytest.raises(SystemExit):
        agent.run("go")
    assert robot.seen == ["halt"]
    assert agent.transcript.ended == "interrupted"
