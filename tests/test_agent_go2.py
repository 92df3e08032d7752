"""From a model's words to a simulated Go2 that moves one metre and stops, and what keeps it within its limits."""

import math
import os
import random
import threading
import time

import pytest
from waiting import wait_for

from rfx.errors import ConfigError, InvalidStateError
from rfx.skills import (
    Agent,
    AgentConfig,
    AnthropicModel,
    GaitGo2,
    Go2Skills,
    KinematicGo2,
    MockAgent,
    OpenAIChatModel,
    OpenAIResponsesModel,
    ScriptedServer,
    ToolCall,
    model_for,
)

SEEDS = int(os.environ.get("RFX_FUZZ_RUNS", "100"))
WALK = [
    ["I stand up first.", ToolCall("stand", {})],
    ToolCall("walk", {"distance": 1.0}),
    ToolCall("report_state", {}),
    "I walked one metre.",
]


@pytest.mark.parametrize("cls", [AnthropicModel, OpenAIResponsesModel, OpenAIChatModel])
def test_a_scripted_model_walks_the_robot_one_metre_over_each_api(cls):
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    with KinematicGo2() as robot, Go2Skills(robot) as skills, ScriptedServer(WALK) as server:
        model = cls("some-model", api_key=server.key, base_url=server.url)
        result = Agent(model, robot=skills).run("walk one metre")
        assert result.ok, result.error
        assert result.text == "I walked one metre."
        here = robot.pose()
        assert abs(here.x - 1.0) < 0.05
        assert abs(here.y) < 0.01
        assert here.posture == "standing"
        assert len(robot.trips) == 1
        assert robot.received.expired == 0
    told = next(e.data["result"] for e in result.transcript if e.data.get("skill") == "report_state")
    assert abs(told["x"] - 1.0) < 0.05
    assert told["posture"] == "standing"
    assert [name for name, *_ in result.transcript.calls] == ["stand", "walk", "report_state"]


def test_the_walking_robot_of_the_physics_gets_there_and_stands():
    pytest.importorskip("mujoco")
    with GaitGo2() as robot, Go2Skills(robot) as skills:
        result = MockAgent(robot=skills, replies=WALK).run("walk one metre")
        assert result.ok, result.error
        walked = next(e.data["result"] for e in result.transcript if e.data.get("skill") == "walk")
        assert abs(walked["distance"] - 1.0) < 0.15
        robot.wait(1.0)
        at = robot.pose()
        robot.wait(1.0)
        then = robot.pose()
        assert abs(then.x - at.x) < 0.01
        assert abs(then.y - at.y) < 0.01
        assert then.posture == "standing"


def test_the_model_is_told_of_the_limits_and_the_robot_stays_within_them():
    calls = [ToolCall("stand", {}), ToolCall("walk", {"distance": 9}), ToolCall("walk", {"distance": 1, "seconds": 1})]
    robot = KinematicGo2()
    result = MockAgent(robot=robot, replies=[calls, "I cannot go that far."]).run("walk nine metres")
    assert result.ok
    assert [kind for *_, kind in result.transcript.calls] == ["", "limit", "arguments"]
    assert 1.5 < robot.pose().x < 2.0  # as far as it may go


def test_cancel_stops_a_robot_that_walks():
    with KinematicGo2(real_time=True) as robot, Go2Skills(robot) as skills:
        script = [
            [ToolCall("stand", {}), ToolCall("walk", {"distance": 1.8, "speed": 0.2}), ToolCall("sit", {})],
            "Done.",
        ]
        agent = MockAgent(robot=skills, replies=script)
        results = []
        runner = threading.Thread(target=lambda: results.append(agent.run("walk")))
        runner.start()
        assert wait_for(lambda: robot.pose().x > 0.05)
        agent.cancel("that is far enough")
        stopped = robot.pose().x
        runner.join(20)
        time.sleep(0.3)
        assert results[0].ended == "cancelled"
        assert [kind for *_, kind in results[0].transcript.calls] == ["", "stopped", "stopped"]
        assert robot.pose().x == pytest.approx(stopped, abs=1e-6)
        assert robot.pose().posture == "standing"


def test_a_bare_robot_gets_a_guard_that_closes_with_the_agent():
    robot = KinematicGo2()
    with MockAgent(robot=robot, replies=["Hello."]) as agent:
        assert isinstance(agent.robot, Go2Skills)
        assert agent.registry.audit is agent.robot.audit
        assert agent.execute_skill("stand").ok
    assert not agent.execute_skill("walk", distance=0.5).ok
    assert robot.pose().x == 0.0


def test_a_guard_that_was_given_stays_open():
    with Go2Skills(KinematicGo2()) as skills:
        with MockAgent(robot=skills):
            pass
        assert skills.registry().execute("stand").ok


def test_skills_of_ones_own_stand_beside_the_robots():
    from rfx.skills import skill

    @skill(effects="reads")
    def weather() -> str:
        """Tell the weather."""
        return "dry"

    agent = MockAgent([weather], robot=Go2Skills(KinematicGo2()))
    assert {"weather", "walk", "stop"} <= {s.name for s in agent.registry}
    registry = agent.registry
    assert MockAgent(registry, robot=agent.robot).registry is registry


def test_a_wrong_model_leaves_the_robot_alone():
    robot = KinematicGo2()
    with pytest.raises(ConfigError):
        Agent("nobody", robot=robot)
    with pytest.raises(InvalidStateError, match="stay in its process"):
        MockAgent(robot=robot).__reduce__()
    assert robot.received.drives == 0
    assert model_for(MockAgent(robot=robot).model).name == "mock"


def wild_script(rng, agent):
    """Calls of the robot's skills with values that are right, almost right and wrong, and a cancel now and then."""
    numbers = [0.3, 1.0, 2.5, -1, 0, 19, 1e9, float("nan"), float("inf"), "1", None, [1]]
    names = ["stand", "walk", "walk", "walk", "turn", "look", "sit", "stop", "report_state", "fly"]
    keys = ["distance", "seconds", "speed", "degrees", "up", "left", "direction", "cancel"]
    while True:
        calls = [ToolCall("stand", {})]
        for _ in range(rng.randrange(1, 4)):
            chosen = {rng.choice(keys): rng.choice(numbers) for _ in range(rng.randrange(3))}
            wanted = {"distance": rng.choice(numbers), "direction": rng.choice(["forward", "left", "backward", "up"])}
            calls.append(ToolCall(rng.choice(names), wanted if rng.random() < 0.4 else chosen))
        if rng.random() < 0.1:
            threading.Timer(rng.random() * 0.01, agent[0].cancel).start()
        yield calls if rng.random() < 0.9 else "Done."


def test_no_model_gets_the_robot_out_of_its_limits():
    driven = 0
    for seed in range(SEEDS):
        rng, holder, robot = random.Random(seed), [], KinematicGo2()
        farthest = [0.0]
        robot.on_step(lambda t, x, y, most=farthest: most.append(max(most.pop(), math.hypot(x, y))))
        config = AgentConfig(max_turns=4, max_seconds=5.0)
        with MockAgent(robot=robot, replies=wild_script(rng, holder), config=config) as agent:
            holder.append(agent)
            result = agent.run("go somewhere")
            at = robot.pose()
            robot.wait(2.0)
            assert robot.pose() == at, seed  # nothing moves after the end
            assert at.posture != "walking"
            assert agent.registry.mover == ""
            assert result.ended in ("done", "turns", "cancelled")
            limits = agent.robot.limits
            assert farthest[0] <= limits.area.radius
            assert all(was <= most for was, most in zip(robot.received.fastest, limits.speed, strict=True))
            driven += robot.received.drives
    assert driven > 200
