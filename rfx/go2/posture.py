"""Stand up, hold, lie down: joint targets over time, for a robot that has no trained policy yet."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError
from rfx.robots.go2 import GO2, NUM_MOTORS

STAND = GO2.pose("stand")
LIE = GO2.pose("lie")


@dataclass(frozen=True, eq=False)
class Phase:
    """Move to a joint target in so many seconds, with these gains at its end."""

    name: str
    seconds: float
    target: NDArray[np.float64]
    kp: float
    kd: float

    def __post_init__(self) -> None:
        arrays.number(self.seconds, f"seconds of {self.name}", above=0)
        arrays.number(self.kp, f"kp of {self.name}", minimum=0)
        arrays.number(self.kd, f"kd of {self.name}", minimum=0)
        arrays.finite(arrays.floats(self.target, f"target of {self.name}", (NUM_MOTORS,)), f"target of {self.name}")


class PosturePlan:
    """A sequence of phases, each a smooth move from where the last one ended.

    Parameters
    ----------
    phases : sequence of Phase
        At least one. The first starts from the joints as measured at :meth:`start`.

    Notes
    -----
    Within a phase the target is q0 + s(u) (q1 - q0) with s(u) = 3 u^2 - 2 u^3 and u the share of its time that has
    passed: no jump in position and no velocity at either end. Gains move along the same curve, so that a robot that
    was limp takes up its load gently.
    """

    def __init__(self, phases: list[Phase]) -> None:
        if not phases:
            raise ConfigError("expected at least one phase, got none")
        self.phases = list(phases)
        self._ends = np.cumsum([p.seconds for p in self.phases])
        self._start: NDArray[np.float64] | None = None

    @classmethod
    def stand_and_lie(cls, seconds: float) -> "PosturePlan":
        """Settle, stand up, hold and lie down again within so many seconds (at least 5)."""
        arrays.number(seconds, "seconds", minimum=5.0, maximum=3600.0)
        settle, up, down, rest = 0.4, 1.8, 1.8, 0.5
        return cls(
            [
                Phase("settle", settle, LIE, 40.0, 3.0),
                Phase("stand up", up, STAND, 60.0, 4.0),
                Phase("hold", seconds - settle - up - down - rest, STAND, 60.0, 4.0),
                Phase("lie down", down, LIE, 40.0, 4.0),
                Phase("rest", rest, LIE, 5.0, 4.0),
            ]
        )

    def __repr__(self) -> str:
        return f"PosturePlan({', '.join(f'{p.name} {p.seconds:g} s' for p in self.phases)})"

    @property
    def seconds(self) -> float:
        """How long all phases take."""
        return float(self._ends[-1])

    def spans(self) -> list[tuple[str, float, float]]:
        """Name, start and end (s) of each phase."""
        starts = [0.0, *map(float, self._ends[:-1])]
        return [(p.name, a, float(b)) for p, a, b in zip(self.phases, starts, self._ends, strict=True)]

    def start(self, q: Any) -> None:
        """Take the measured joint positions (12,), rad, as the place to start from."""
        self._start = arrays.finite(arrays.floats(q, "q", (NUM_MOTORS,)), "q").astype(np.float64)

    def phase_at(self, time_s: float) -> str:
        """Return the name of the phase at this time; after the end the last one."""
        return self.phases[min(int(np.searchsorted(self._ends, time_s, side="right")), len(self.phases) - 1)].name

    def at(self, time_s: float) -> tuple[NDArray[np.float64], float, float]:
        """Return joint targets (12,), rad, kp and kd at this time since :meth:`start`; after the end the last target."""
        if self._start is None:
            raise ConfigError("expected start() before at()")
        i = min(int(np.searchsorted(self._ends, time_s, side="right")), len(self.phases) - 1)
        phase = self.phases[i]
        begin = float(self._ends[i]) - phase.seconds
        u = min(1.0, max(0.0, (time_s - begin) / phase.seconds))
        s = u * u * (3.0 - 2.0 * u)
        if i:
            last = self.phases[i - 1]
            q0, kp0, kd0 = last.target, last.kp, last.kd
        else:
            q0, kp0, kd0 = self._start, 0.0, phase.kd
        return q0 + s * (phase.target - q0), kp0 + s * (phase.kp - kp0), kd0 + s * (phase.kd - kd0)
