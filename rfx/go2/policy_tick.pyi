"""One tick of a policy on a robot, without Python."""

from rfx.control import CompiledTick, Histogram
from rfx.go2.command_source import CommandSource
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.link import Link
from rfx.go2.policy_side import PolicySide
from rfx.go2.record_ring import RecordRing
from rfx.go2.velocity_watch import VelocityWatch

class PolicyTick:
    link: Link
    side: PolicySide
    envelope: SafetyEnvelope
    ring: RecordRing | None
    commands: CommandSource
    velocity: VelocityWatch | None
    def __init__(
        self,
        side: PolicySide,
        link: Link,
        envelope: SafetyEnvelope,
        commands: CommandSource,
        *,
        ring: RecordRing | None = None,
        velocity: VelocityWatch | None = None,
        lockstep: bool = False,
        seconds: float | None = None,
        finish: str = "lie",
        ramp_s: float = 2.0,
        settle_s: float = 0.5,
        lie_s: float = 2.0,
        damp_s: float = 0.5,
        patience_s: float = 5.0,
        stand_kp: float = 60.0,
        stand_kd: float = 4.0,
    ) -> None: ...
    @property
    def tick(self) -> CompiledTick: ...
    def step(self, timeout_s: float = 0.05) -> bool: ...
    def finish(self) -> None: ...
    def damp(self) -> None: ...
    @property
    def phase(self) -> str: ...
    @property
    def ended(self) -> str: ...
    @property
    def policy_steps(self) -> int: ...
    @property
    def policy_s(self) -> float: ...
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def last_refusal(self) -> str: ...
    @property
    def histograms(self) -> dict[str, Histogram]: ...
