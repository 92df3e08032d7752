"""Steps per second of the batched Go2 on one thread, and what share of the time is not MuJoCo's.

Run ``pytest benchmarks/bench_go2_env.py --benchmark-enable -s``. Times are CPU time, so that other people's load counts little.
The peer is ``mujoco.batch.Batch`` alone, stepped with the same joint targets and nothing else. "random" actions have a standard
deviation of one, "stand" is the action zero. The breakdown wraps the parts of one step; "face" is what is left: checks, copies.
"""

import time

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="mujoco-core is not installed")

from rfx.sim import Go2Batch

ENVS, WARM = 256, 20
KINDS = {
    "plane": {},
    "plane, 45 numbers": {"layout": "rl_sar"},
    "randomised": {"randomisation": "robot"},
    "rough": {"terrain": "rough"},
    "stairs": {"terrain": "stairs"},
    "mixed": {"terrain": "mixed"},
}


class Ours:
    def __init__(self, n=ENVS, width=1.0, **options):
        self.envs = Go2Batch(n, **options)
        self.width, self.rng, d = width, np.random.default_rng(0), self.envs.obs_dim
        self.out = (np.empty((n, d), "f4"), np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty((n, d), "f4"))
        for _ in range(WARM):
            self.step()

    def actions(self):
        return (self.width * self.rng.normal(size=(self.envs.num_envs, 12))).astype(np.float32)

    def step(self):
        self.envs.step(self.actions(), *self.out)


class Alone:
    """MuJoCo's batch with the same model and targets: no observation, reward, command, end or reset."""

    def __init__(self, n=ENVS, width=1.0, **options):
        self.ours = Ours(n, width, **options)
        self.physics, self.task = self.ours.envs._physics, self.ours.envs.task
        self.ctrl = self.physics.bind("ctrl")

    def step(self):
        self.ctrl[:] = self.task.policy.action.targets(self.ours.actions())
        self.physics.step(nstep=self.task.substeps)


def parts_of(envs, clock=time.process_time):
    """Let the parts of a step add their CPU time to a dict."""
    spent = dict.fromkeys(("physics", "act", "reward and ends", "observation", "reset"), 0.0)

    def timed(part, call):
        def run(*args):
            start = clock()
            try:
                return call(*args)
            finally:
                spent[part] += clock() - start

        return run

    class Core:
        def __getattr__(self, name):
            return getattr(core, name)

    core, wrapped = envs._core, Core()
    for part, name in (("act", "act"), ("reward and ends", "score"), ("observation", "observe")):
        setattr(wrapped, name, timed(part, getattr(core, name)))
    envs._core = wrapped
    envs._advance = timed("physics", envs._advance)
    envs._begin = timed("reset", envs._begin)
    return spent


def test_ours_and_mujoco_alone_move_alike():
    ours, alone = Ours(8, 0.0), Alone(8, 0.0)
    for _ in range(10):
        ours.step()
        alone.step()
    assert np.array_equal(ours.envs._physics.bind("qpos"), alone.physics.bind("qpos"))


@pytest.mark.benchmark(group="one step of 256 Go2, one thread", timer=time.process_time)
@pytest.mark.parametrize("maker", [Ours, Alone], ids=["ours", "peer-mujoco-batch-alone"])
@pytest.mark.parametrize("width", [1.0, 0.0], ids=["random", "stand"])
def test_steps(benchmark, maker, width):
    made = maker(width=width)
    benchmark.pedantic(made.step, rounds=40, iterations=1)
    if benchmark.stats is not None:
        benchmark.extra_info["env_steps_per_second"] = round(ENVS / benchmark.stats.stats.min)


@pytest.mark.benchmark(group="one step of 256 Go2 by kind, one thread", timer=time.process_time)
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(benchmark, kind):
    made = Ours(**KINDS[kind])
    benchmark.pedantic(made.step, rounds=25, iterations=1)
    if benchmark.stats is not None:
        benchmark.extra_info["env_steps_per_second"] = round(ENVS / benchmark.stats.stats.min)


@pytest.mark.parametrize("kind", KINDS)
def test_breakdown(kind, request, capsys):
    enabled = request.config.getoption("benchmark_enable", False)
    made = Ours(ENVS if enabled else 4, **KINDS[kind])
    spent, rounds, total = parts_of(made.envs), 60 if enabled else 2, 0.0
    for _ in range(rounds):
        actions, start = made.actions(), time.process_time()
        made.envs.step(actions, *made.out)
        total += time.process_time() - start
    spent["face"] = total - sum(spent.values())
    assert all(part in spent for part in ("physics", "reset"))
    assert spent["physics"] > 0.0
    if enabled:
        per = {part: 1e6 * t / rounds / ENVS for part, t in spent.items()}
        outside = 1.0 - spent["physics"] / total
        with capsys.disabled():
            listed = ", ".join(f"{part} {t:.2f}" for part, t in per.items())
            print(f"\n{kind}: {rounds * ENVS / total:.0f} steps/s; us per step: {listed}; outside MuJoCo {outside:.1%}")
        assert outside < 0.15
