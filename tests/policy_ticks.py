"""Ticks of a policy on a robot made of numbers."""

from policy_robots import WIDE

from rfx.go2.command_source import CommandSource
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.policy_side import PolicySide
from rfx.go2.policy_tick import PolicyTick

SHORT = {"ramp_s": 0.02, "settle_s": 0.01, "lie_s": 0.02, "damp_s": 0.01}


def tick_on(robot, policy, commands=(0.0, 0.0, 0.0), limits=WIDE, **options):
    source = commands if isinstance(commands, CommandSource) else CommandSource(policy.contract, commands)
    options = {"lockstep": True, "seconds": 0.2, **SHORT, **options}
    return PolicyTick(PolicySide(policy), robot.link, SafetyEnvelope(limits), source, **options)


def run(tick, most=5000):
    phases = []
    while tick.step(0.0) and len(phases) < most:
        phases.append(tick.phase)
    return phases
