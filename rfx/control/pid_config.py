"""What a PID controller is set to."""

import math
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, Self

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError

ANTI_WINDUP = ("none", "clamping", "back_calculation")
DERIVATIVE_ON = ("measurement", "error")


def _limit(value: float, name: str) -> float:
    """Return a float that may be infinite but not NaN."""
    if isinstance(value, (float, np.floating)) and math.isinf(value):
        return float(value)
    return arrays.number(value, name)


@dataclass(frozen=True)
class PidConfig:
    """Gains and limits of a :class:`Pid`.

    Parameters
    ----------
    kp, ki, kd : float
        Gains of error, integral (per s) and derivative (s).
    output_min, output_max : float
        The output stays within; infinite for no limit.
    integral_limit : float
        Largest size of the integral of the error (before ki), at least 0; infinite for no limit.
    derivative_alpha : float
        Share of the new difference in the derivative, above 0 to 1; 1 does not filter.
    anti_windup : {"clamping", "back_calculation", "none"}
        What keeps the integral from growing while the output is at its limit.
    back_calculation_gain : float
        For back-calculation, 1/s, at least 0. Its product with dt counts as 1 where it is more.
    derivative_on : {"measurement", "error"}
        On the measurement a step of the set point gives no kick.

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError
        Limits the wrong way round, NaN, unknown names.
    """

    kp: float = 1.0
    ki: float = 0.0
    kd: float = 0.0
    _: KW_ONLY
    output_min: float = -math.inf
    output_max: float = math.inf
    integral_limit: float = math.inf
    derivative_alpha: float = 1.0
    anti_windup: Literal["none", "clamping", "back_calculation"] = "clamping"
    back_calculation_gain: float = 1.0
    derivative_on: Literal["measurement", "error"] = "measurement"

    def __post_init__(self) -> None:
        for name in ("kp", "ki", "kd"):
            arrays.number(getattr(self, name), name)
        low, high = _limit(self.output_min, "output_min"), _limit(self.output_max, "output_max")
        if not low <= high:
            raise ConfigError(f"expected output_min to be at most output_max, got {low:g} and {high:g}")
        if low == math.inf or high == -math.inf:
            raise ConfigError(f"expected a finite output to be possible, got limits {low:g} and {high:g}")
        if _limit(self.integral_limit, "integral_limit") < 0:
            raise InvalidValueError(f"expected integral_limit to be at least 0, got {self.integral_limit:g}")
        arrays.number(self.derivative_alpha, "derivative_alpha", above=0, maximum=1)
        arrays.number(self.back_calculation_gain, "back_calculation_gain", minimum=0)
        for name, known in (("anti_windup", ANTI_WINDUP), ("derivative_on", DERIVATIVE_ON)):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise DTypeError(f"expected {name} to be a name, got {type(value).__name__}")
            if value not in known:
                raise ConfigError(f"expected {name} to be one of {', '.join(known)}, got {value!r}")

    def with_limits(self, output_min: float, output_max: float) -> Self:
        """Return a copy with these output limits."""
        return replace(self, output_min=output_min, output_max=output_max)

    def with_integral_limit(self, limit: float) -> Self:
        """Return a copy with this limit of the integral."""
        return replace(self, integral_limit=limit)

    def with_derivative_cutoff(self, cutoff_hz: float, sample_rate_hz: float) -> Self:
        """Return a copy whose derivative is low-passed at this cutoff: alpha = dt / (rc + dt), rc = 1 / (2 pi cutoff)."""
        cutoff = arrays.number(cutoff_hz, "cutoff_hz", above=0)
        rate = arrays.number(sample_rate_hz, "sample_rate_hz", above=0)
        ratio = 2.0 * math.pi * (cutoff / rate)
        return replace(self, derivative_alpha=1.0 / (1.0 + 1.0 / ratio) if ratio > 0 else 0.0)

    def with_gains(self, kp: float, ki: float, kd: float) -> Self:
        """Return a copy with these gains."""
        return replace(self, kp=kp, ki=ki, kd=kd)
