"""The Go2 as skills: stand, sit, walk, turn, look, say where it is, stop. Under a guard that the registry cannot bypass."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rfx.errors import DTypeError
from rfx.go2 import Go2
from rfx.skills.annotations import Bound
from rfx.skills.audit import AuditLog
from rfx.skills.caller import report_progress
from rfx.skills.cancel import CancelToken
from rfx.skills.decorator import skill
from rfx.skills.guard import Guard
from rfx.skills.guarded import GuardedRobot, Move
from rfx.skills.limits import SkillLimits
from rfx.skills.registry import SkillRegistry
from rfx.skills.result import SkillError
from rfx.skills.robots import Go2Robot, RobotPose, SkillRobot

TICK_S = 0.1  # how often a velocity is renewed
LEAST_S = 0.01  # shorter waits would not make a clock go on
NEAR_M, NEAR_RAD = 0.03, 0.03  # so near to where it was to go counts as there
SLOWEST, SLOWEST_TURN = 0.1, 0.2  # m/s, rad/s; slower than this a gait does not get anywhere
_WAYS = {"forward": (1.0, 0.0), "backward": (-1.0, 0.0), "left": (0.0, 1.0), "right": (0.0, -1.0)}

Direction = Literal["forward", "backward", "left", "right"]
Metres = Annotated[float, Bound(gt=0, le=20, unit="m")]
Seconds = Annotated[float, Bound(gt=0, le=60, unit="s")]
Speed = Annotated[float, Bound(ge=SLOWEST, le=1.5, unit="m/s")]
Degrees = Annotated[float, Bound(ge=-360, le=360, unit="degrees")]
Lean = Annotated[float, Bound(ge=-35, le=35, unit="degrees")]


@dataclass(frozen=True)
class Report:
    """Where the robot is, in the frame of its start.

    Parameters
    ----------
    x, y : float
        Metres forwards and to the left of where it started.
    heading : float
        Degrees to the left of how it stood then, -180 to 180.
    posture : str
        standing, walking, sitting, lying, fallen or moving.
    battery : int
        Percent.
    to_edge : float
        Metres to the edge of the area in which it may move.
    """

    x: float
    y: float
    heading: float
    posture: str
    battery: int
    to_edge: float


@dataclass(frozen=True)
class Moved:
    """What a move came to.

    Parameters
    ----------
    distance : float
        Metres from where the move began, as the crow flies.
    turned : float
        Degrees to the left.
    seconds : float
        How long it took.
    state : Report
        Where the robot is now.
    """

    distance: float
    turned: float
    seconds: float
    state: Report


class Go2Skills:
    """The skills of a Go2, real or simulated.

    Parameters
    ----------
    go2 : Go2 or SkillRobot
        A connected client, or anything with the methods of :class:`rfx.skills.SkillRobot`, as :class:`rfx.skills.GaitGo2`
        and :class:`rfx.skills.KinematicGo2`. Nobody else should drive it.
    limits : SkillLimits, optional
        The envelope, around where the robot is now.
    audit : AuditLog, optional
        Where calls and what the guard does are written down.

    Raises
    ------
    DTypeError
        ``go2`` is neither.
    HardwareError
        The robot does not know where it is.

    Examples
    --------
    >>> from rfx.skills import Go2Skills, KinematicGo2
    >>> registry = Go2Skills(KinematicGo2()).registry()
    >>> registry.execute("stand").ok
    True
    >>> round(registry.execute("walk", {"distance": 0.5}).value.distance, 1)
    0.5
    >>> registry.execute("walk", {"distance": 9}).kind
    'limit'
    """

    def __init__(
        self, go2: Go2 | SkillRobot, limits: SkillLimits | None = None, *, audit: AuditLog | None = None
    ) -> None:
        robot = Go2Robot(go2) if isinstance(go2, Go2) else go2
        if not isinstance(robot, SkillRobot):
            raise DTypeError(f"expected go2 to be a Go2 or a SkillRobot, got {type(go2).__name__}")
        self._guard = Guard(robot, limits, audit)
        self.limits = self._guard.limits

    @property
    def robot(self) -> GuardedRobot:
        """The robot behind the guard, for skills of your own."""
        return self._guard.robot

    @property
    def audit(self) -> AuditLog:
        """Where calls and what the guard does are written down."""
        return self._guard.audit

    def registry(self, **options: Any) -> SkillRegistry:
        """Return a registry with these skills and their log; options as :class:`SkillRegistry` takes them."""
        made = SkillRegistry(**{"audit": self.audit, **options})
        made.register_all(self)
        return made

    def close(self) -> None:
        """Stop the robot and let nothing move it any more. Calling it again does nothing."""
        self._guard.close()

    def __enter__(self) -> "Go2Skills":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Go2Skills({self._guard!r})"

    # -- skills

    @skill(effects="reads", tags=["go2", "state"], timeout=5)
    def report_state(self) -> Report:
        """Say where the robot is, how it holds itself, and how far it is from the edge of its area."""
        return self._report()

    @skill(effects="stops", tags="go2", timeout=10)
    def stop(self) -> str:
        """Stop the robot at once, whatever it does. Never refused."""
        self.robot.stop("the skill stop")
        return "stopped"

    @skill(tags=["go2", "posture"], timeout=45)
    def stand(self) -> Report:
        """Stand up from lying, sitting or a fall. The robot has to stand before it can walk, turn or look."""
        with self.robot.moving("stand") as move:
            move.stand()
        return self._report()

    @skill(tags=["go2", "posture"], timeout=30)
    def sit(self) -> Report:
        """Sit down. The robot has to stand before."""
        posture = self.robot.pose().posture
        if posture not in ("standing", "walking", "sitting"):
            raise SkillError(f"the robot cannot sit down, it is {posture}", hint="Call stand first.")
        with self.robot.moving("sit") as move:
            move.sit()
        return self._report()

    @skill(tags=["go2", "motion"], timeout=120)
    def walk(
        self,
        distance: Metres | None = None,
        seconds: Seconds | None = None,
        direction: Direction = "forward",
        speed: Speed = 0.3,
        *,
        cancel: CancelToken,
    ) -> Moved:
        """Walk straight for a distance or for a time, then stop. Give one of the two.

        Parameters
        ----------
        distance : float, optional
            How far.
        seconds : float, optional
            For how long.
        direction : str
            As the robot sees it.
        speed : float
            How fast. Sideways it may have to be less.
        """
        if (distance is None) == (seconds is None):
            given = "both" if distance is not None else "neither"
            raise SkillError(
                f"expected either distance or seconds, got {given}",
                "arguments",
                "Nothing was run. Give one of the two.",
            )
        ahead, aside = _WAYS[direction]
        with self.robot.moving("walk") as move:
            start, began = self.robot.pose(), self.robot.time_s
            wish = seconds * speed if seconds is not None else distance or 0.0
            longest = seconds if seconds is not None else min(2.0 * wish / speed + 3.0, self.limits.move_s)
            done = 0.0
            while True:
                here, spent = self.robot.pose(), self.robot.time_s - began
                dx, dy = here.x - start.x, here.y - start.y
                c, s = math.cos(start.yaw), math.sin(start.yaw)
                done = ahead * (c * dx + s * dy) + aside * (c * dy - s * dx)
                report_progress(spent if seconds is not None else done, seconds or wish, f"{done:.2f} m")
                if spent >= longest or (distance is not None and done >= distance - NEAR_M):
                    break
                pace = speed if distance is None else max(SLOWEST, min(speed, 1.5 * (distance - done)))
                swing = 0.0 if here.posture == "standing" else math.remainder(start.yaw - here.yaw, 2 * math.pi)
                most = min(0.3, self.limits.speed[2])
                step = TICK_S if distance is None else min(TICK_S, max(0.02, (distance - done) / pace))
                self._go(
                    move, cancel, pace * ahead, pace * aside, max(-most, min(most, swing)), min(step, longest - spent)
                )
        result = self._moved(start, began)
        if distance is not None and done < distance - NEAR_M:
            raise _short(f"walked {done:.2f} m of {distance:g} m in {longest:.1f} s", result)
        return result

    @skill(tags=["go2", "motion"], timeout=120)
    def turn(self, degrees: Degrees, *, cancel: CancelToken) -> Moved:
        """Turn on the spot by so much, then stop.

        Parameters
        ----------
        degrees : float
            To the left; negative is to the right.
        """
        wish = math.radians(degrees)
        most = min(0.8, self.limits.speed[2])
        with self.robot.moving("turn") as move:
            start, began = self.robot.pose(), self.robot.time_s
            longest = min(2.0 * abs(wish) / max(most, 1e-3) + 3.0, self.limits.move_s)
            done, last = 0.0, start.yaw
            while True:
                here, spent = self.robot.pose(), self.robot.time_s - began
                done += math.remainder(here.yaw - last, 2 * math.pi)
                last = here.yaw
                left = wish - done
                report_progress(abs(math.degrees(done)), abs(degrees), f"{math.degrees(done):.0f} degrees")
                if spent >= longest or left * math.copysign(1.0, wish) <= NEAR_RAD:
                    break
                pace = min(most, max(SLOWEST_TURN, 1.5 * abs(left)))
                step = min(TICK_S, max(0.02, abs(left) / pace))
                self._go(move, cancel, 0.0, 0.0, math.copysign(pace, left), step)
        result = self._moved(start, began, done)
        if left * math.copysign(1.0, wish) > NEAR_RAD:
            raise _short(f"turned {math.degrees(done):.0f} of {degrees:g} degrees in {longest:.1f} s", result)
        return result

    @skill(tags=["go2", "posture"], timeout=30)
    def look(self, up: Lean = 0.0, left: Lean = 0.0) -> Report:
        """Tilt and turn the trunk over standing feet, as to look somewhere. It stays so until the next move.

        Parameters
        ----------
        up : float
            Nose up; negative is down.
        left : float
            To the left; negative is to the right.
        """
        posture = self.robot.pose().posture
        if posture not in ("standing", "walking"):
            raise SkillError(f"the robot cannot look around, it is {posture}", hint="Call stand first.")
        with self.robot.moving("look") as move:
            move.look(-math.radians(up), math.radians(left))
        return self._report()

    # -- parts of them

    def _go(self, move: Move, cancel: CancelToken, vx: float, vy: float, vyaw: float, seconds: float) -> None:
        cancel.check()
        move.drive(vx, vy, vyaw)
        move.wait(max(seconds, LEAST_S))
        cancel.check()

    def _report(self) -> Report:
        here = self.robot.pose()
        return Report(
            round(here.x, 3),
            round(here.y, 3),
            round(math.degrees(here.yaw), 1),
            here.posture,
            here.battery_percent,
            round(self.limits.area.depth(here.x, here.y), 3),
        )

    def _moved(self, start: RobotPose, began: float, turned: float | None = None) -> Moved:
        here = self.robot.pose()
        if turned is None:
            turned = math.remainder(here.yaw - start.yaw, 2 * math.pi)
        gone = math.hypot(here.x - start.x, here.y - start.y)
        spent = self.robot.time_s - began
        return Moved(round(gone, 3), round(math.degrees(turned), 1), round(spent, 2), self._report())


def _short(why: str, result: Moved) -> SkillError:
    return SkillError(why, hint="Something may be in the way. The result says where the robot is.", value=result)
