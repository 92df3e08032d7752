"""An agent walks a simulated Go2 one metre. The model is a script behind a server on this machine: no key, no network.

The server speaks the formats of the APIs and checks every request, so all of it but the model is what a real run uses.
With a real model: ``Agent("anthropic:NAME", robot=skills)``, or ``rfx agent --model anthropic:NAME "walk one metre"``.
Needs ``rfx[agent]``; without it the model is a script in this process.
"""

import importlib.util

from rfx.skills import (
    Agent,
    Circle,
    Go2Skills,
    KinematicGo2,
    MockModel,
    ScriptedServer,
    SkillLimits,
    ToolCall,
    model_for,
)

SCRIPT = [
    ["I stand up first.", ToolCall("stand", {})],
    ToolCall("walk", {"distance": 1.0, "speed": 3.0}),  # too fast: refused, and the model is told why
    ToolCall("walk", {"distance": 1.0}),
    ToolCall("report_state", {}),
    "I walked one metre and stand still.",
]


def show(entry):
    """Print what happens, as it happens."""
    if entry.kind == "instruction":
        print(f"person: {entry.data['text']}")
    elif entry.kind == "reply" and entry.data["text"]:
        print(f"model:  {entry.data['text']}")
    elif entry.kind == "result":
        data = entry.data
        print(f"  {data['skill']}: {data.get('result') if data['ok'] else data['error']}")


with (
    KinematicGo2() as robot,
    Go2Skills(robot, SkillLimits(area=Circle(1.5))) as skills,
    ScriptedServer(SCRIPT) as server,
):
    if importlib.util.find_spec("openai"):
        model = model_for("openai:a-script", api_key=server.key, base_url=server.url)
    else:
        model = MockModel(SCRIPT)
    result = Agent(model, robot=skills, watch=show).run("Walk one metre.")
    print(f"{result.ended}: {result.turns} turns, {result.calls} calls; the robot is at x = {robot.pose().x:.2f} m")
    result.transcript.save("agent.jsonl")
    assert result.ok
    assert abs(robot.pose().x - 1.0) < 0.05
