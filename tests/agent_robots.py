"""A robot of skills that notes what is asked of it, for the tests of the agent's loop."""

import threading
from typing import Annotated

import pytest

from rfx.skills import (
    Answers,
    Bound,
    CancelToken,
    ToolCall,
    skill,
)


class Robot:
    """Moves until it may end; knows whether it moves."""

    def __init__(self):
        self.seen = []
        self.moving = threading.Event()
        self.at_rest = True

    @skill(timeout=20)
    def walk(self, metres: Annotated[float, Bound(ge=-2, le=2, unit="m")]) -> str:
        """Walk straight on."""
        self.seen.append(("walk", metres))
        return f"walked {metres:g} m"

    @skill(timeout=20)
    def wander(self, cancel: CancelToken) -> str:
        """Walk until told otherwise."""
        self.at_rest = False
        self.moving.set()
        cancel.wait(20.0)
        self.at_rest = True
        cancel.check()
        return "done"

    @skill(effects="stops")
    def halt(self) -> None:
        """Stop at once."""
        self.seen.append("halt")

    @skill(effects="reads")
    def battery(self) -> float:
        """Charge in percent."""
        return 80.0

    @skill(effects="reads")
    def broken(self) -> float:
        """A sensor that fails."""
        raise RuntimeError("no answer from the sensor")


WALK = ToolCall("walk", {"metres": 1.0})
BATTERY = ToolCall("battery", {})


@pytest.fixture
def robot():
    return Robot()


def answers(agent, turn):
    """What the model was told before its reply of that number, from 1."""
    last = agent.model.requests[turn - 1].messages[-1]
    assert isinstance(last, Answers)
    return [result for _, result in last.results]
