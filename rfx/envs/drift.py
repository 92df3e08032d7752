"""Physics that do not stay the same: how a number changes with time."""

import math
from dataclasses import dataclass

from rfx import arrays
from rfx.errors import ConfigError

KINDS = ("linear", "sine", "walk")
EVERY = ("step", "episode")


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How one number of an environment's physics changes, in each environment on its own.

    Parameters
    ----------
    kind : str
        "linear": ``size`` is added every time; it stops at a bound.
        "sine": ``size`` is the amplitude about where the number begins, ``period`` the length in times; the phase is drawn.
        "walk": a number drawn from [-size, size) is added every time; it is reflected at a bound.
    size : float
        At least 0 but for "linear".
    low, high : float
        The number never leaves [low, high].
    every : str
        "step" or "episode": when it changes. Steps and episodes are counted since the environment was seeded.
    period : float, optional
        For "sine", in steps or episodes, above 0.
    spread : float
        The number begins up to this much below or above what the environment has without drift.

    Raises
    ------
    ConfigError
        A kind, an ``every`` or a period that does not fit.
    InvalidValueError, DTypeError
        A number is out of range, or none.

    Notes
    -----
    What is drawn comes from the environment's seed, but from a stream of its own: first states are those of an
    environment without drift.
    """

    kind: str
    size: float
    low: float
    high: float
    every: str = "step"
    period: float | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"expected kind to be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.every not in EVERY:
            raise ConfigError(f"expected every to be 'step' or 'episode', got {self.every!r}")
        arrays.number(self.size, "size", minimum=-math.inf if self.kind == "linear" else 0.0)
        arrays.number(self.low, "low")
        arrays.number(self.high, "high", minimum=self.low)
        arrays.number(self.spread, "spread", minimum=0.0)
        if (self.period is None) == (self.kind == "sine"):
            raise ConfigError("expected a period with 'sine', and with nothing else")
        if self.period is not None:
            arrays.number(self.period, "period", above=0.0)
