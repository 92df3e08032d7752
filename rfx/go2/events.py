"""What the safety envelope did, in words: its kinds, its events, and their way into the log."""

import logging
import math
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from rfx.errors import ConfigError
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import LowState
from rfx.robots.go2 import MOTOR_NAMES

log = logging.getLogger("rfx.go2")

# In the order of the ENV_ numbers in rfx/kernels/envelope.pxd.
KINDS = (
    "position",
    "step",
    "velocity",
    "torque",
    "gain",
    "command",
    "overspeed",
    "temperature",
    "lost",
    "measured",
    "tilt",
    "stale",
)
SUMMARY_S = 5.0


class SafetyEvent(NamedTuple):
    """Something that the envelope began to do.

    ``tick`` is the robot's clock (ms), ``joint`` a name or ``"robot"``, ``what`` one of :data:`KINDS`. For what was
    changed, ``asked`` and ``sent`` are the target, velocity, gain or torque before and after. For what brought damping,
    ``asked`` is what was seen (rad/s, degrees, states lost in a row, rad, s) and ``sent`` is NaN.
    """

    tick: int
    joint: str
    what: str
    asked: float
    sent: float


class Verdict(NamedTuple):
    """What the envelope did to one command; false where the command is as it was.

    Attributes
    ----------
    damping : bool
        The command became damping, for one of ``kinds`` or because an earlier reason still holds (``latched``).
    kinds : tuple of str
        What was done or found, of :data:`KINDS`; empty where the command is as it was.
    latched : tuple of str
        Reasons that hold until :meth:`SafetyEnvelope.reset`.
    by_kind : mapping of str to tuple of str
        The joints that each kind concerned.
    reason : str
        In words, why damping is due; empty where it is not.
    """

    damping: bool = False
    kinds: tuple[str, ...] = ()
    latched: tuple[str, ...] = ()
    by_kind: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    reason: str = ""

    def joints(self, kind: str) -> tuple[str, ...]:
        """Return the names of the joints that a kind concerned; ConfigError for an unknown one."""
        if kind not in KINDS:
            raise ConfigError(f"expected kind to be one of {', '.join(KINDS)}, got {kind!r}")
        return self.by_kind.get(kind, ())

    def __bool__(self) -> bool:
        return bool(self.kinds or self.latched)

    def __repr__(self) -> str:
        done = [f"{kind} {' '.join(self.by_kind[kind])}".rstrip() for kind in self.kinds]
        return f"Verdict({'damping' if self.damping else 'sent'}: {', '.join(done) or 'nothing to do'})"


def tilt_of(quaternion: tuple[float, ...]) -> float:
    """Return the angle (rad) between the z axis and the vertical; NaN for what is no orientation."""
    w, x, y, z = quaternion
    norm = w * w + x * x + y * y + z * z
    if not (math.isfinite(norm) and norm > 0.25):
        return math.nan
    return math.acos(max(-1.0, min(1.0, (w * w - x * x - y * y + z * z) / norm)))


def words(verdict: Verdict, limits: SafetyLimits, low: LowState, age_s: float) -> str:
    """Say why damping is due: what was expected, and what came."""
    names = {kind: verdict.joints(kind) for kind in KINDS}
    parts = []
    for kind in verdict.kinds:
        which = ", ".join(names[kind])
        if kind == "command":
            parts.append(f"expected finite numbers and gains of at least 0, got others for {which}")
        elif kind == "overspeed":
            dq = low.dq
            fast = (f"{abs(dq[MOTOR_NAMES.index(n)]):.1f} of {n}" for n in names[kind])
            parts.append(f"expected no joint to turn faster than its limit, got {', '.join(fast)} rad/s")
        elif kind == "temperature":
            hot = (f"{low.motor_state[MOTOR_NAMES.index(n)].temperature} of {n}" for n in names[kind])
            parts.append(f"expected motors below {limits.temperature:g} degrees, got {', '.join(hot)}")
        elif kind == "lost":
            parts.append(f"expected all motors to be measured, {which} not any more")
        elif kind == "measured":
            parts.append(f"expected finite measurements, got others of {which}")
        elif kind == "tilt":
            tilt = tilt_of(low.imu_state.quaternion)
            parts.append(f"expected the trunk within {limits.tilt:.2f} rad of upright, got {tilt:.2f}")
        elif kind == "stale":
            parts.append(f"expected a state no older than {limits.stale_s:g} s, got one of {age_s:.2f} s")
    earlier = [kind for kind in verdict.latched if kind not in verdict.kinds]
    if earlier:
        parts.append(f"{', '.join(earlier)} seen before holds until safety.reset()")
    return "; ".join(parts)


class Reporter:
    """Writes the envelopes' actions to the log ``rfx.go2``: the first of a kind at once, then summaries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._said: dict[str, int] = {}
        self._next = 0  # the number of the first event that was not looked at
        self._summed_s = -math.inf

    def __repr__(self) -> str:
        return f"Reporter(said={self._said})"

    def begin(self) -> None:
        """Tell of the first of each kind again: somebody else commands now."""
        with self._lock:
            self._told.clear()

    def due(self) -> bool:
        """Whether it is time for a summary, should there be news."""
        return time.monotonic() - self._summed_s >= SUMMARY_S

    def report(self, account: Any, final: bool = False) -> None:
        """Say what is new since the last time."""
        if not self._lock.acquire(blocking=False):
            return  # somebody else is at it
        try:
            events, self._next = account.news(self._next)
            totals = {kind: sum(row.values()) for kind, row in account.counts().items()}
            first = [event for event in events if event.what not in self._told]
            if first:
                for event in first:
                    if event.what in self._told:
                        continue
                    self._told.add(event.what)
                    change = "" if math.isnan(event.sent) else f", sent {event.sent:g}"
                    log.warning(
                        "envelope: %s of %s at tick %d: %g%s",
                        event.what, event.joint, event.tick, event.asked, change,
                    )  # fmt: skip
            elif totals != self._said and (final or self.due()):
                log.warning("envelope: so far %s", ", ".join(f"{kind} {n} times" for kind, n in totals.items()))
            else:
                return
            self._said, self._summed_s = totals, time.monotonic()
        finally:
            self._lock.release()
