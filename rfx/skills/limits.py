"""How far, how fast and how long a robot may move, as numbers that are checked once."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rfx.arrays import number
from rfx.errors import ConfigError, DTypeError, InvalidValueError

Velocity = tuple[float, float, float]
REST: Velocity = (0.0, 0.0, 0.0)
MINUTE_S = 60.0
_STEP = 0.02  # m between the points at which a path is looked at
_SHARES = (1.0, 0.5, 0.25, 0.1)  # of the speed that was asked for, tried one after the other near the edge
_RISE = 1e-9


@dataclass(frozen=True)
class Circle:
    """A circle around the start.

    Parameters
    ----------
    radius : float
        In metres.
    """

    radius: float

    def __post_init__(self) -> None:
        number(self.radius, "radius", above=0.0, maximum=10_000.0)

    def depth(self, x: float, y: float) -> float:
        """Return how far a point is from the edge (m): positive inside, negative outside."""
        return self.radius - math.hypot(x, y)


@dataclass(frozen=True)
class Polygon:
    """A polygon in the frame of the start: x forwards, y to the left as the robot stood then.

    Parameters
    ----------
    corners : sequence of (x, y)
        At least three (m), in order around it; the edges must not cross. It holds the start.

    Raises
    ------
    ConfigError
        Fewer than three corners, crossing edges, or the start is not inside.
    """

    corners: tuple[tuple[float, float], ...]

    def __init__(self, corners: Sequence[Sequence[float]]) -> None:
        points = tuple((number(x, "x"), number(y, "y")) for x, y in corners)
        if len(points) < 3:
            raise ConfigError(f"expected a polygon of at least 3 corners, got {len(points)}")
        edges = list(zip(points, points[1:] + points[:1], strict=True))
        for i, (a, b) in enumerate(edges):
            if any(_cross(a, b, *edges[j]) for j in range(i + 2, len(edges)) if (i, j) != (0, len(edges) - 1)):
                raise ConfigError("expected the edges of the polygon not to cross")
        object.__setattr__(self, "corners", points)
        if self.depth(0.0, 0.0) <= 0:
            raise ConfigError("expected the polygon to hold the start (0, 0)")

    def depth(self, x: float, y: float) -> float:
        """Return how far a point is from the edge (m): positive inside, negative outside."""
        near, inside = math.inf, False
        ax, ay = self.corners[-1]
        for bx, by in self.corners:
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / length)) if length else 0.0
            near = min(near, math.hypot(x - ax - t * dx, y - ay - t * dy))
            if (ay > y) != (by > y) and x < ax + dx * (y - ay) / dy:
                inside = not inside
            ax, ay = bx, by
        return near if inside else -near


Area = Circle | Polygon


@dataclass(frozen=True)
class SkillLimits:
    """The envelope: what no skill gets past.

    Parameters
    ----------
    speed : tuple of three float
        Greatest speed forwards and backwards (m/s), sideways (m/s), turning (rad/s).
    area : Circle or Polygon
        Where the middle of the trunk stays, around the place where the guard began, by the robot's own odometry.
    margin : float
        So far before the edge it is brought to a stop (m): what it may need to come to rest.
    move_s : float
        Longest single move (s).
    per_minute_s : float
        Most time under way in any 60 s (s).
    dead_man_s : float
        A velocity that is not renewed for so long ends (s).
    stale_s : float
        A state older than this is none (s).
    lean : tuple of two float
        Greatest pitch and yaw of the trunk over standing feet (rad).

    Raises
    ------
    InvalidValueError, DTypeError, ConfigError
        A limit is not a number in its range, or they contradict each other.
    """

    speed: Velocity = (0.5, 0.3, 1.0)
    area: Area = field(default_factory=lambda: Circle(2.0))
    margin: float = 0.2
    move_s: float = 20.0
    per_minute_s: float = 40.0
    dead_man_s: float = 0.4
    stale_s: float = 0.5
    lean: tuple[float, float] = (0.35, 0.35)

    def __post_init__(self) -> None:
        if not isinstance(self.speed, tuple) or len(self.speed) != 3:
            raise DTypeError(f"expected speed to be a tuple of three numbers, got {self.speed!r}")
        for i, most in enumerate((3.8, 1.0, 4.0)):
            number(self.speed[i], f"speed[{i}]", minimum=0.0, maximum=most)
        if not isinstance(self.lean, tuple) or len(self.lean) != 2:
            raise DTypeError(f"expected lean to be a tuple of two numbers, got {self.lean!r}")
        for i in range(2):
            number(self.lean[i], f"lean[{i}]", minimum=0.0, maximum=0.6)
        if not isinstance(self.area, (Circle, Polygon)):
            raise DTypeError(f"expected area to be a Circle or a Polygon, got {type(self.area).__name__}")
        number(self.margin, "margin", minimum=_STEP)
        number(self.move_s, "move_s", above=0.0, maximum=600.0)
        number(self.per_minute_s, "per_minute_s", above=0.0, maximum=60.0)
        number(self.dead_man_s, "dead_man_s", minimum=0.1, maximum=2.0)
        number(self.stale_s, "stale_s", minimum=0.05, maximum=5.0)
        if self.area.depth(0.0, 0.0) <= self.margin:
            raise ConfigError(f"expected the start to be more than the margin of {self.margin:g} m from the edge")

    def check_speed(self, velocity: Velocity) -> None:
        """Raise InvalidValueError or DTypeError for what is no velocity within the limits."""
        for value, most, name, unit in zip(
            velocity, self.speed, ("vx", "vy", "vyaw"), ("m/s", "m/s", "rad/s"), strict=True
        ):
            number(value, name)
            if abs(value) > most:
                raise InvalidValueError(f"expected {name} within {-most:g}..{most:g} {unit}, got {value:g}")

    def share(self, x: float, y: float, yaw: float, velocity: Velocity, horizon_s: float) -> float:
        """Return with which share of this velocity the robot stays in the area for so long; 0 where it may not move on.

        A path may go where it keeps the margin to the edge. From nearer to the edge, or from outside, it may go where
        every point of it is farther in than the one before. Turning on the spot is always allowed.
        """
        speed = math.hypot(velocity[0], velocity[1])
        if speed == 0.0:
            return 1.0
        depth = self.area.depth(x, y)
        if depth - speed * horizon_s >= self.margin:  # nothing within reach is too near to the edge
            return 1.0
        for share in _SHARES:
            if self._path_fits(x, y, yaw, velocity, share, horizon_s, depth):
                return share
        return 0.0

    def _path_fits(
        self, x: float, y: float, yaw: float, velocity: Velocity, share: float, horizon_s: float, depth: float
    ) -> bool:
        vx, vy, vyaw = share * velocity[0], share * velocity[1], share * velocity[2]
        n = max(2, math.ceil(math.hypot(vx, vy) * horizon_s / _STEP))
        dt, keeps, rises, last = horizon_s / n, True, True, depth
        for i in range(n):
            middle = yaw + vyaw * (i + 0.5) * dt
            c, s = math.cos(middle), math.sin(middle)
            x, y = x + dt * (c * vx - s * vy), y + dt * (s * vx + c * vy)
            here = self.area.depth(x, y)
            keeps, rises, last = keeps and here >= self.margin, rises and here > last + _RISE, here
            if not keeps and not rises:
                return False
        return keeps or (rises and depth < self.margin)

    def describe(self) -> str:
        """Say in a sentence what the limits are."""
        where = (
            f"a circle of {self.area.radius:g} m around its start"
            if isinstance(self.area, Circle)
            else "a polygon around its start: " + ", ".join(f"({x:g}, {y:g})" for x, y in self.area.corners)
        )
        vx, vy, vyaw = self.speed
        return (
            f"The robot stays within {where}, and stops {self.margin:g} m before the edge. At most {vx:g} m/s forwards or "
            f"backwards, {vy:g} m/s sideways, {math.degrees(vyaw):.0f} degrees/s turning; {self.move_s:g} s for one move, "
            f"{self.per_minute_s:g} s of moving in a minute."
        )


class Spent:
    """For how long a robot was under way in the last minute."""

    def __init__(self) -> None:
        self._trips: deque[tuple[float, float]] = deque()  # (end, seconds)

    def spend(self, begin_s: float, end_s: float) -> None:
        """Write down that it was under way between these times (s)."""
        if end_s > begin_s:
            self._trips.append((end_s, end_s - begin_s))

    def look(self, now_s: float) -> tuple[float, float]:
        """Return how long it was under way in the last minute, and in how long some of that is forgotten (s)."""
        while self._trips and self._trips[0][0] < now_s - MINUTE_S:
            self._trips.popleft()
        free = self._trips[0][0] + MINUTE_S - now_s if self._trips else 0.0
        return sum(seconds for _, seconds in self._trips), free


def _side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _cross(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> bool:
    near = all(max(a[i], b[i]) >= min(c[i], d[i]) and max(c[i], d[i]) >= min(a[i], b[i]) for i in range(2))
    return near and _side(a, b, c) * _side(a, b, d) <= 0 and _side(c, d, a) * _side(c, d, b) <= 0
