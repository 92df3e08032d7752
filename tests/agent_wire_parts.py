"""A robot of skills with arguments of every kind, for the tests of the agent over real client packages."""

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from rfx.skills import (
    Bound,
    skill,
)

pytest.importorskip("anthropic")
pytest.importorskip("openai")


class Gait(enum.Enum):
    TROT = "trot"
    WALK = "walk"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Robot:
    def __init__(self):
        self.seen: list[Any] = []

    @skill
    def walk(self, metres: Annotated[float, Bound(ge=-2, le=2, unit="m")], gait: Gait = Gait.TROT) -> str:
        """Walk straight on."""
        self.seen.append(("walk", metres, gait))
        return f"walked {metres:g} m"

    @skill
    def go_to(self, points: list[Point], speed: float | None = None) -> int:
        """Visit points."""
        self.seen.append(("go_to", points, speed))
        return len(points)

    @skill(effects="reads")
    def label(self, names: dict[str, str]) -> None:
        """Name things: free keys, which strict mode cannot say."""

    @skill(effects="stops")
    def halt(self) -> None:
        """Stop at once."""
        self.seen.append("halt")
