"""Models that say anything at all: the run ends within its limits, everything is written down, and nothing moves after."""

import json
import math
import os
import random
import threading
from dataclasses import asdict
from typing import Annotated

import pytest

from rfx.skills import AgentConfig, Answers, Bound, CancelToken, MockAgent, Reply, ToolCall, Usage, skill
from rfx.skills.messages import STOPS

RUNS = int(os.environ.get("RFX_FUZZ_RUNS", "600"))
ENDS = {"done", "cancelled", "turns", "calls", "tokens", "time", "length", "context", "refusal", "model"}


class Cart:
    """Moves on a line, within an envelope that its skills promise."""

    def __init__(self):
        self.over = False
        self.wrong = []
        self.moving = 0
        self.x = 0.0

    def _move(self, metres):
        if self.over:
            self.wrong.append("moved after the end")
        self.moving += 1
        if self.moving > 1:
            self.wrong.append("two movers at once")
        if not (isinstance(metres, float) and -1 <= metres <= 1):
            self.wrong.append(f"moved by {metres!r}")
        self.x += metres
        self.moving -= 1

    @skill
    def roll(self, metres: Annotated[float, Bound(ge=-1, le=1)], times: Annotated[int, Bound(ge=0, le=3)] = 1) -> float:
        """Roll."""
        for _ in range(times):
            self._move(metres)
        return self.x

    @skill
    def drift(self, cancel: CancelToken) -> None:
        """Roll a little until told otherwise, at most a while."""
        for _ in range(8):
            cancel.check()
            self._move(0.001)
            cancel.wait(0.001)

    @skill(effects="reads")
    def where(self, unit: str = "m", more: list[float] | None = None) -> str:
        """Tell where it is."""
        return f"{self.x:g} {unit}"

    @skill(effects="reads")
    def fails(self) -> None:
        """Raise."""
        raise ValueError("a bad sensor")

    @skill(effects="stops")
    def halt(self) -> None:
        """Stop."""


LEAVES = [
    None,
    True,
    0,
    1,
    -1,
    0.5,
    math.nan,
    math.inf,
    1e308,
    10**400,
    "",
    "x" * 300,
    "\ud800",
    b"raw",
    object(),
    {1, 2},
]


def anything(rng, depth=3):
    kind = rng.randrange(6 if depth else 4)
    if kind < 4:
        return rng.choice(LEAVES)
    if kind == 4:
        return [anything(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(["metres", "times", "unit", "more", "y", 7, None]): anything(rng, depth - 1) for _ in range(3)}


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def a_call(rng):
    name = rng.choice(["roll", "roll", "roll", "where", "fails", "halt", "drift", "fly", "", "roll ", 7, None])
    metres = rng.choice([0.5, -1, 1, 1.5, 0, math.nan, 1e9])
    choices = [{"metres": metres}, {"metres": metres, "times": rng.randrange(5)}, {}, anything(rng), "{", deep(500)]
    return ToolCall(name, rng.choice(choices), rng.choice(["", "a", "b", "a b", None, 5]))


def a_reply(rng, agent):
    dice = rng.random()
    if dice < 0.04:
        return rng.choice([ValueError("no"), OSError("gone"), RecursionError(), MemoryError()])
    if dice < 0.06:
        return lambda request: rng.choice([None, 5, b"", {"text": "hi"}, [5]])
    if dice < 0.10:
        return lambda request: agent[0].cancel("the model pressed the button") and "Done."
    if dice < 0.13:
        threading.Timer(rng.random() * 0.003, lambda: agent[0].cancel("somebody did")).start()
    if dice < 0.30:
        return rng.choice(["Done.", Reply("", (), rng.choice(STOPS))])
    calls = tuple(a_call(rng) for _ in range(rng.choice([1, 1, 2, 3, 8])))
    usage = Usage(rng.choice([0, 10, 400]), rng.choice([0, 5, 10**6 if dice > 0.98 else 3]))
    return Reply(rng.choice(["", "Hm."]), calls, rng.choice(["calls"] * 9 + list(STOPS)), usage)


def one_run(seed):
    rng = random.Random(seed)
    cart, holder = Cart(), []
    config = AgentConfig(
        max_turns=rng.randrange(1, 7),
        max_tool_calls=rng.randrange(1, 12),
        max_calls_per_turn=rng.randrange(1, 5),
        max_total_tokens=1000,
        max_seconds=rng.choice([0.005, 5.0, 5.0]),
    )

    def script():
        while True:
            yield a_reply(rng, holder)

    agent = MockAgent(robot=cart, replies=script(), config=config)
    holder.append(agent)
    result = agent.run("do something")
    cart.over = True
    return agent, cart, result, config


def conversation_holds(messages):
    for number, message in enumerate(messages):
        if isinstance(message, Reply) and message.calls:
            answers = messages[number + 1]
            assert isinstance(answers, Answers)
            assert [c.id for c, _ in answers.results] == [c.id for c in message.calls]
    ids = [c.id for m in messages if isinstance(m, Reply) for c in m.calls]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("block", range(3))
def test_whatever_a_model_says_the_run_ends_well(block):
    seen, carts = set(), []
    for seed in range(block * RUNS // 3, (block + 1) * RUNS // 3):
        agent, cart, result, config = one_run(seed)
        carts.append((seed, cart))
        assert result.ended in ENDS, seed
        seen.add(result.ended)
        assert result.turns <= config.max_turns
        assert agent.registry.mover == "", seed
        conversation_holds(result.messages)
        replies = [e for e in result.transcript if e.kind == "reply"]
        results = [e.data for e in result.transcript if e.kind == "result"]
        assert sum(len(e.data["calls"]) for e in replies) == len(results) == result.calls
        audit = {e.call: e for e in agent.registry.audit.entries()}
        for told in results:
            entry = audit[told["call"]]
            assert (entry.skill, entry.ok, entry.kind) == (told["skill"], told["ok"], told.get("kind", ""))
        made = [e for e in audit.values() if e.kind not in ("calls", "truncated", "duplicate") and e.skill != "halt"]
        assert len([e for e in made if "run has ended" not in e.error]) <= config.max_tool_calls
        assert audit[max(audit)].skill == "halt", seed  # the last thing that was done
        for entry in result.transcript:
            json.dumps(asdict(entry), allow_nan=False)
        assert MockAgent(robot=Cart(), replies=result.transcript.replies()).model is not None
    assert [(seed, c.wrong) for seed, c in carts if c.wrong] == []
    assert len(seen) >= 7
