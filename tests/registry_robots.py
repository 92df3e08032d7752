"""A robot of skills, for the tests of the registry."""

import threading
from typing import Annotated

import pytest

from rfx.skills import Bound, CancelToken, SkillRegistry, skill

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
