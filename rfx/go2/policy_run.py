"""What a run of a policy leaves behind: why it ended, how long each stage took, what the envelope did."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfx.control import ControlLoopStats, Histogram
from rfx.go2.policy_record import STAGES

GOOD_ENDS = ("the time was over", "it was asked to end")


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """The report of :func:`rfx.go2.run_policy`.

    Attributes
    ----------
    policy : str
        The policy's folder.
    layout : str
        Name of its layout.
    ended : str
        Why the policy ended, in words.
    detail : str
        More about that, where there is more to say.
    seconds : float
        How long the policy acted, by the clock of the run.
    policy_steps, ticks : int
        Actions of the policy, commands to the motors.
    link : str
        ``"native"``: no Python between the robot and the tick; ``"python"``: two calls in each tick.
    link_reason : str
        Why the link is not native.
    stages : dict of str to Histogram
        How long take, decode, estimate, observe, act, envelope, encode, write, log and the total took (ns). In lockstep the
        time in take is the wait for the robot, and is not part of the total.
    counts : dict of str to int
        States, refused and repeated ones, write errors, records that were dropped, and so on.
    envelope : dict
        What the safety envelope did, by kind and joint.
    loop : ControlLoopStats or None
        Lateness of the ticks; None in lockstep.
    log : Path or None
        The flight log.
    """

    policy: str
    layout: str
    ended: str
    detail: str
    seconds: float
    policy_steps: int
    ticks: int
    link: str
    link_reason: str
    stages: dict[str, Histogram] = field(repr=False)
    counts: dict[str, int] = field(repr=False)
    envelope: dict[str, dict[str, int]] = field(repr=False)
    loop: ControlLoopStats | None = field(default=None, repr=False)
    log: Path | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it ended because it was meant to."""
        return self.ended in GOOD_ENDS

    def summary(self) -> str:
        """Return the report as lines."""
        lines = [
            f"{self.policy} ({self.layout}): {self.seconds:.2f} s, {self.policy_steps} actions, {self.ticks} commands",
            f"ended: {self.ended}{f' ({self.detail})' if self.detail else ''}",
            f"link: {self.link}{f', {self.link_reason}' if self.link_reason else ''}",
        ]
        lines.append("stage        median      99 %   greatest  (us)")
        for name in STAGES:
            h = self.stages[name]
            if h.count:
                lines.append(f"{name:<10} {h.p50 / 1e3:8.1f}  {h.p99 / 1e3:8.1f}   {h.max / 1e3:8.1f}")
        if self.loop is not None:
            late = self.loop.lateness
            lines.append(
                f"lateness: {late.p50 / 1e3:.1f} us at the median, {late.p99 / 1e3:.1f} us at 99 %, "
                f"{self.loop.missed_ticks} ticks missed"
            )
        for kind, joints in self.envelope.items():
            lines.append(f"envelope, {kind}: {', '.join(f'{name} {n}' for name, n in joints.items())}")
        wrong = ("refused", "silent", "write_errors", "dropped_records")
        noted = [f"{name.replace('_', ' ')} {self.counts[name]}" for name in wrong if self.counts.get(name)]
        if noted:
            lines.append(", ".join(noted))
        if self.log is not None:
            lines.append(f"log: {self.log}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, fit for JSON; times carry their unit in the key."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["stages"] = {name: h.as_dict() for name, h in self.stages.items()}
        plain["loop"] = None if self.loop is None else self.loop.as_dict()
        plain["log"] = None if self.log is None else str(self.log)
        return {**plain, "ok": self.ok}
