"""A push on the trunk of the simulated robot."""

from dataclasses import dataclass

from rfx import arrays
from rfx.errors import ConfigError, RfxError


@dataclass(frozen=True)
class Push:
    """A force on the trunk: when it starts and how long it lasts (simulated seconds), and what it is (world, N)."""

    start_s: float
    duration_s: float
    force_n: tuple[float, float, float]

    def __post_init__(self) -> None:
        arrays.number(self.start_s, "start_s", minimum=0)
        arrays.number(self.duration_s, "duration_s", above=0)
        if len(self.force_n) != 3:
            raise ConfigError(f"expected force_n to have 3 components, got {len(self.force_n)}")
        for axis, value in zip("xyz", self.force_n, strict=True):
            arrays.number(value, f"force_n {axis}")

    @classmethod
    def parse(cls, text: str) -> "Push":
        """Read ``START:DURATION:FX,FY,FZ``."""
        try:
            start, duration, force = text.split(":")
            x, y, z = (float(part) for part in force.split(","))
            return cls(float(start), float(duration), (x, y, z))
        except ValueError as error:
            if isinstance(error, RfxError):
                raise
            raise ConfigError(f"expected a push as START:DURATION:FX,FY,FZ, got {text!r} ({error})") from error

    def __str__(self) -> str:
        x, y, z = self.force_n
        return f"{self.start_s:g}:{self.duration_s:g}:{x:g},{y:g},{z:g}"
