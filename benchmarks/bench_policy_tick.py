"""The compiled tick of a policy against the path that Python takes, on one state and one command over DDS in one process.

``pytest benchmarks/bench_policy_tick.py --benchmark-enable`` times ten ticks, one of them with a step of the policy: take,
decode, (observe, act), envelope, encode, write. The peer does the same with this package's Python faces, as the demo does:
LowState.from_cdr, ContractSide, CompiledPolicy, SafetyEnvelope.apply, LowCmd.to_cdr. ``python benchmarks/bench_policy_tick.py``
prints medians by stage, CPU time per tick and the ratio, minima of interleaved rounds; and lateness at 500 Hz with a Python
thread that computes beside it.
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from policy_robots import WIDE, random_policy

from rfx.control import ControlLoop
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.backends.links import raw_link
from rfx.go2.command_source import CommandSource
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import LowCmd, LowState
from rfx.go2.policy_side import PolicySide
from rfx.go2.policy_tick import PolicyTick
from rfx.nn.contract_side import ContractSide
from rfx.robots import GO2

WAYS = ("compiled", "python")
SHAPE = {"ramp_s": 0.02, "settle_s": 0.0, "seconds": 1e6}


def state(tick):
    """A state of a robot that stands."""
    made = LowState(tick=tick)
    made.imu_state.quaternion = (1.0, 0.0, 0.0, 0.0)
    made.set_motors(q=GO2.pose("stand"), dq=0.0, temperature=30)
    return made


class Bench:
    """One domain, a publisher of states, and the two ways to answer them, in step with each other."""

    def __init__(self, domain, native=True):
        self.states = domain.writer("bench/state", LowState)
        self.message, self.time, self.count = state(0), 0, 0
        self.out = {name: domain.writer(f"bench/{name}", LowCmd) for name in WAYS}
        self.sent = {name: domain.reader(f"bench/{name}", LowCmd) for name in WAYS}
        policy, self.twin = random_policy(), random_policy()
        self.link = raw_link(domain, domain.reader("bench/state", LowState), self.out["compiled"], native)
        source, side = CommandSource(policy.contract), PolicySide(policy)
        self.tick = PolicyTick(side, self.link, SafetyEnvelope(WIDE), source, lockstep=True, **SHAPE)
        self.reader = domain.reader("bench/state", LowState)
        self.side, self.envelope, self.command = ContractSide(policy.contract), SafetyEnvelope(WIDE), LowCmd()
        self.gains = [policy.contract.layout.action.in_motor_order(name) for name in ("kp", "kd")]
        while self.tick.phase != "policy":
            self.publish()
            self.compiled()
        self.python()  # the same state: both have taken their first step

    def publish(self):
        self.time += 2
        self.message.tick = self.time
        self.states.write(self.message.to_cdr())

    def compiled(self):
        self.tick.step(1.0)

    def python(self):
        """What a Python callback does with the faces of this package."""
        low = LowState.from_cdr(self.reader.take_latest())
        assert low.crc_ok
        if self.count % 10 == 0:
            imu = low.imu_state
            readings = {
                "quaternion": np.array(imu.quaternion),
                "base_lin_vel": np.zeros(3),
                "base_ang_vel": np.array(imu.gyroscope),
                "velocity_commands": np.zeros(3),
                "joint_pos": low.q,
                "joint_vel": low.dq,
            }
            self.targets = self.side.targets(self.twin(self.side.observe(readings)))
        self.count += 1
        self.command.set_motors(q=self.targets, dq=0.0, tau=0.0, kp=self.gains[0], kd=self.gains[1])
        self.command.reserve = low.tick
        self.envelope.apply(self.command, low, 0.0)
        self.out["python"].write(self.command.to_cdr())

    def ticks(self, way, n=10):
        """CPU time (ns) of n ticks, and their commands."""
        spent, sent = 0, []
        for _ in range(n):
            self.publish()
            begun = time.thread_time_ns()
            getattr(self, way)()
            spent += time.thread_time_ns() - begun
            sent.append(self.sent[way].take_latest())
        return spent, sent

    def agree(self, n=50):
        """Check that both send the same bytes on the same states."""
        for _ in range(n):
            self.publish()
            self.compiled()
            self.python()
            assert self.sent["compiled"].take_latest() == self.sent["python"].take_latest()


@pytest.fixture
def bench():
    with CycloneDomain(97, LOOPBACK) as domain:
        made = Bench(domain)
        made.agree()
        yield made


@pytest.mark.benchmark(group="ten ticks of a policy")
@pytest.mark.parametrize("way", WAYS)
def test_ten_ticks(benchmark, bench, way):
    benchmark(bench.ticks, way)


def compute(ended):
    while not ended.is_set():
        sum(range(100))


def late(native, beside):
    """Lateness and total of the tick at 500 Hz for a second, on a state that does not change."""
    ended = threading.Event()
    thread = threading.Thread(target=compute, args=(ended,))
    with CycloneDomain(98, LOOPBACK) as domain:
        link = raw_link(domain, domain.reader("s", LowState), domain.writer("c", LowCmd), native)
        domain.writer("s", LowState).write(state(2).to_cdr())
        policy = random_policy()
        envelope = SafetyEnvelope(SafetyLimits(stale_s=3600))
        source = CommandSource(policy.contract)
        tick = PolicyTick(PolicySide(policy), link, envelope, source, **{**SHAPE, "seconds": 1.0}, finish="damp")
        if beside:
            thread.start()
        stats = ControlLoop(500.0, tick.tick).run()
        ended.set()
        if beside:
            thread.join()
    return stats, tick.histograms["total"]


def main():
    with CycloneDomain(97, LOOPBACK) as domain:
        made = Bench(domain)
        made.agree()
        best = dict.fromkeys(WAYS, float("inf"))
        for _ in range(300):
            for way in WAYS:
                best[way] = min(best[way], made.ticks(way)[0] / 10)
        print("CPU time per tick (us):", {way: round(ns / 1e3, 1) for way, ns in best.items()})
        print(f"  compiled / Python faces = {best['compiled'] / best['python']:.3f}")
        print("medians by stage (us):", {k: round(h.p50 / 1e3, 1) for k, h in made.tick.histograms.items() if h.count})
    print("500 Hz for a second:       link    beside   lateness p50, p99 (us)   total p50, p99 (us)   missed")
    for native in (True, False):
        for beside in (False, True):
            stats, total = late(native, beside)
            numbers = [stats.lateness.p50, stats.lateness.p99, total.p50, total.p99]
            text = "  ".join(f"{n / 1e3:10.1f}" for n in numbers)
            print(
                f"{'native' if native else 'python':>31}  {'thread' if beside else 'nothing':>8}  {text}  {stats.missed_ticks:6}"
            )


if __name__ == "__main__":
    main()
