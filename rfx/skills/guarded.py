"""What the guard hands out: the robot as skills hold it, and the right to move it."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rfx.skills.caller import Caller
from rfx.skills.limits import REST, SkillLimits, Velocity
from rfx.skills.robots import RobotPose
from rfx.skills.slot import Turn


class Move:
    """The right to move the robot, until the ``with`` block ends. Made by :meth:`GuardedRobot.moving`."""

    __slots__ = ("_ask", "name")

    def __init__(self, ask: Callable[..., Any], name: str) -> None:
        self._ask, self.name = ask, name

    def drive(self, vx: float, vy: float, vyaw: float) -> Velocity:
        """Walk with this velocity (m/s, m/s, rad/s) until the next call, at most ``limits.dead_man_s``.

        Returns
        -------
        tuple of float
            What the robot was told: near the edge of the area less than was asked for.

        Raises
        ------
        SkillError
            Beyond a limit, or the robot's state is not known: it was told to stop, and the move is over.
        SkillCancelled
            A stop came, or the caller is gone.
        """
        velocity: Velocity = self._ask("drive", vx, vy, vyaw)
        return velocity

    def wait(self, seconds: float) -> None:
        """Let time pass (s); SkillCancelled when the move is over."""
        self._ask("wait", seconds)

    def stand(self) -> None:
        """Stand up, and return when it stands."""
        self._ask("posture", "stand")

    def sit(self) -> None:
        """Sit down, and return when it sits."""
        self._ask("posture", "sit")

    def look(self, pitch: float, yaw: float) -> None:
        """Turn the trunk over standing feet (rad): nose down and to the left are positive."""
        self._ask("look", pitch, yaw)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ask("end", "done" if error is None else f"{kind.__name__ if kind else ''}: {error}")

    def __repr__(self) -> str:
        return f"Move({self.name!r})"


class GuardedRobot:
    """The robot as skills hold it: everything it can do goes through the guard.

    Attributes
    ----------
    limits : SkillLimits
    """

    __slots__ = ("_ask", "limits")

    def __init__(self, ask: Callable[..., Any], limits: SkillLimits) -> None:
        self._ask, self.limits = ask, limits

    @property
    def time_s(self) -> float:
        """The robot's clock (s)."""
        seconds: float = self._ask("time")
        return seconds

    def pose(self) -> RobotPose:
        """Return where the robot is, in the frame of its start; SkillError when that is not known."""
        pose: RobotPose = self._ask("pose")
        return pose

    def depth(self) -> float:
        """Return how far the robot is from the edge of its area (m); negative outside."""
        pose = self.pose()
        return self.limits.area.depth(pose.x, pose.y)

    def moving(self, name: str) -> Move:
        """Begin a move: ``with robot.moving("walk") as move: ...``. One at a time.

        Raises
        ------
        SkillError
            Another move is under way, or the audit log cannot be written.
        SkillCancelled
            The caller is gone.
        """
        move: Move = self._ask("begin", name)
        return move

    def stop(self, why: str = "stop") -> None:
        """Stop the robot at once and end the move that is under way. Never refused, never kept waiting."""
        self._ask("stop", why)

    def __repr__(self) -> str:
        return "GuardedRobot()"


class MoveState:
    """A move that is under way, as the guard knows it."""

    def __init__(self, name: str, caller: Caller | None, turn: Turn | None, now: float) -> None:
        self.name, self.caller, self.turn = name, caller, turn
        self.began_s, self.driven_s = now, -math.inf
        self.velocity, self.until_s = REST, -math.inf
        self.drives, self.share = 0, 1.0
        self.stops, self.stopped = 0, 0  # stops that the robot was to be told, and up to which it has been
        self.over = ""  # why it has ended
        self.limit = False  # whether a limit ended it
        self.last: RobotPose | None = None
        self.forget: Callable[[], None] | None = None

    @property
    def unstopped(self) -> bool:
        """Whether the robot was to be stopped, and has not been told for certain."""
        return self.stopped < self.stops

    @property
    def unwanted(self) -> str:
        """Why nobody wants this move any more, or an empty string: its caller is gone, or its call was ended."""
        gone = self.caller.reason if self.caller is not None else ""
        return gone or (self.turn.over if self.turn is not None else "")
