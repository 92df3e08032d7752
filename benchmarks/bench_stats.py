"""Rows 22 to 24: random shift of images, running mean and variance, Polyak update, against rlox, numpy and torch.

rlox's compiled module is loaded by itself, without the torch that its package asks for. `python benchmarks/bench_stats.py`
prints the ratios of many interleaved rounds.
"""

import numpy as np
import pytest
from interleaved import table
from rlox_core import rlox_core

from rfx.estimators import (
    RunningStats,
    RunningStatsVec,
    average_weight_vectors,
    polyak_update,
    random_shift,
    random_shift_batch,
    reptile_update,
    shape_rewards_pbrs,
)

SHAPE, PAD = (256, 9, 84, 84), 4


def numpy_shift(x, pad, seed):
    """What people write: pad, then cut a window out of each image."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    offsets = np.random.default_rng(seed).integers(2 * pad + 1, size=(len(x), 2))
    out = np.empty_like(x)
    for i, (dy, dx) in enumerate(offsets):
        out[i] = padded[i, :, dy : dy + x.shape[2], dx : dx + x.shape[3]]
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.uint8], ids=["float32", "uint8"])
@pytest.mark.parametrize("who", ["rfx", "rfx, edge", "rfx, out=", "rlox", "numpy", "plain copy"])
def test_random_shift(benchmark, who, dtype):
    benchmark.group = f"row 22: random shift, 256 x 9 x 84 x 84, {np.dtype(dtype)}"
    x = np.random.default_rng(0).integers(0, 256, SHAPE).astype(dtype)
    if who == "rlox":
        if dtype != np.float32:
            pytest.skip("rlox shifts float32 only")
        rlox, flat = rlox_core(), x.ravel()
        np.testing.assert_array_equal(
            random_shift_batch(flat, *SHAPE, PAD, 7), rlox.random_shift_batch(flat, *SHAPE, PAD, 7)
        )
        call = lambda: rlox.random_shift_batch(flat, *SHAPE, PAD, 7)  # noqa: E731
    elif who == "numpy":
        call = lambda: numpy_shift(x, PAD, 7)  # noqa: E731
    elif who == "plain copy":  # what no shift can be faster than
        call = x.copy
    elif who == "rfx, out=":
        out = np.empty_like(x)
        call = lambda: random_shift(x, PAD, 7, out=out)  # noqa: E731
    else:
        mode = "edge" if "edge" in who else "zeros"
        call = lambda: random_shift(x, PAD, 7, mode=mode)  # noqa: E731
    benchmark.pedantic(call, rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("who", ["rfx", "rfx, float32", "rlox", "numpy"])
@pytest.mark.benchmark(group="row 23: running mean and variance, 256 x 48")
def test_running_moments(benchmark, who):
    x = np.random.default_rng(0).normal(3.0, 2.0, (256, 48))
    ours = RunningStatsVec(48)
    if who.startswith("rfx"):
        x = x.astype(np.float32) if "32" in who else x
        benchmark.pedantic(ours.batch_update, (x,), iterations=100, rounds=300)
        np.testing.assert_allclose(ours.var(), x.var(0, dtype=np.float64), rtol=1e-6)
    elif who == "rlox":
        theirs, flat = rlox_core().RunningStatsVec(48), x.ravel()
        theirs.batch_update(flat, 256)
        ours.batch_update(x)
        np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=1e-12)
        np.testing.assert_allclose(ours.var(), theirs.var(), rtol=1e-12)
        benchmark.pedantic(theirs.batch_update, (flat, 256), iterations=100, rounds=300)
    else:
        benchmark.pedantic(lambda: (x.mean(0), x.var(0)), iterations=50, rounds=200)


@pytest.mark.parametrize("who", ["rfx", "rlox"])
@pytest.mark.benchmark(group="running mean and variance of 10 000 numbers")
def test_running_moments_of_numbers(benchmark, who):
    x = np.random.default_rng(0).normal(size=10_000)
    ours, theirs = RunningStats(), rlox_core().RunningStats()
    ours.batch_update(x)
    theirs.batch_update(x)
    assert ours.var() == pytest.approx(theirs.var(), rel=1e-12)
    benchmark.pedantic((ours if who == "rfx" else theirs).batch_update, (x,), iterations=20, rounds=100)


def weights(n=1_000_000):
    return list(np.random.default_rng(0).normal(size=(2, n)).astype(np.float32))


@pytest.mark.parametrize("who", ["rfx, atomic", "rfx, one pass", "rlox", "torch", "numpy"])
@pytest.mark.benchmark(group="row 24: Polyak update of 1e6 float32")
def test_polyak(benchmark, who):
    target, source = weights()
    expected = target + np.float32(0.005) * (source - target)
    if who.startswith("rfx"):
        atomic = "atomic" in who
        call = lambda: polyak_update(target, source, 0.005, atomic=atomic)  # noqa: E731
    elif who == "rlox":
        rlox = rlox_core()
        call = lambda: rlox.polyak_update(target, source, 0.005)  # noqa: E731
    elif who == "torch":
        torch = pytest.importorskip("torch")
        t, s = torch.from_numpy(target), torch.from_numpy(source)
        call = lambda: t.lerp_(s, 0.005)  # noqa: E731
    else:

        def call():
            target[:] = 0.005 * source + 0.995 * target

    call()
    np.testing.assert_allclose(target, expected, rtol=1e-5, atol=1e-6)
    benchmark.pedantic(call, rounds=300, warmup_rounds=20)


@pytest.mark.parametrize("who", ["rfx, atomic", "rfx, one pass", "numpy"])
@pytest.mark.benchmark(group="Polyak update of a network: 20 arrays of 64 x 64 float32")
def test_polyak_of_a_network(benchmark, who):
    rng = np.random.default_rng(0)
    target, source = (list(rng.normal(size=(20, 64, 64)).astype(np.float32)) for _ in range(2))

    def plain():
        for t, s in zip(target, source, strict=True):
            t *= np.float32(0.995)
            t += np.float32(0.005) * s

    call = plain if who == "numpy" else lambda: polyak_update(target, source, 0.005, atomic="atomic" in who)
    benchmark.pedantic(call, iterations=10, rounds=200)


@pytest.mark.parametrize("who", ["rfx", "rlox"])
@pytest.mark.parametrize("what", ["reptile", "average of 4"])
def test_other_weight_operations(benchmark, what, who):
    benchmark.group = f"{what}, 1e6 float32"
    target, source = weights()
    rlox = rlox_core()
    if what == "reptile":
        call = reptile_update if who == "rfx" else rlox.reptile_update
        benchmark.pedantic(call, (target, source, 0.01), rounds=200, warmup_rounds=10)
    else:
        vectors = [target, source, target.copy(), source.copy()]
        call = average_weight_vectors if who == "rfx" else rlox.average_weight_vectors
        np.testing.assert_allclose(call(vectors), np.mean(vectors, 0), rtol=1e-5, atol=1e-6)
        benchmark.pedantic(call, (vectors,), rounds=100, warmup_rounds=5)


@pytest.mark.parametrize("who", ["rfx", "rlox"])
@pytest.mark.benchmark(group="reward shaping of 100 000 steps")
def test_shaping(benchmark, who):
    rng = np.random.default_rng(0)
    rewards, phi, phi_next = rng.normal(size=(3, 100_000))
    dones = (rng.random(100_000) < 0.01).astype(np.float64)
    rlox = rlox_core()
    np.testing.assert_allclose(
        shape_rewards_pbrs(rewards, phi, phi_next, 0.99, dones),
        rlox.shape_rewards_pbrs(rewards, phi, phi_next, 0.99, dones),
        rtol=1e-14,
    )
    call = shape_rewards_pbrs if who == "rfx" else rlox.shape_rewards_pbrs
    benchmark.pedantic(call, (rewards, phi, phi_next, 0.99, dones), iterations=5, rounds=200)


def main():
    rlox = rlox_core()
    for dtype, rounds in ((np.float32, 15), (np.uint8, 30)):
        x = np.random.default_rng(0).integers(0, 256, SHAPE).astype(dtype)
        out = np.empty_like(x)
        calls = {
            "rfx": lambda x=x: random_shift(x, PAD, 7),
            "rfx, out=": lambda x=x, out=out: random_shift(x, PAD, 7, out=out),
            "numpy": lambda x=x: numpy_shift(x, PAD, 7),
        }
        table(f"row 22, random shift, {np.dtype(dtype)}", {k: lambda c=c: c for k, c in calls.items()}, rounds)
        table(
            "  a plain copy of that",
            {"new": lambda x=x: x.copy, "old": lambda x=x, y=out: lambda: np.copyto(y, x)},
            rounds,
        )
    x = np.random.default_rng(0).normal(3.0, 2.0, (256, 48))
    ours, theirs, flat = RunningStatsVec(48), rlox.RunningStatsVec(48), x.ravel()
    moments = {"rfx": lambda: lambda: ours.batch_update(x), "rlox": lambda: lambda: theirs.batch_update(flat, 256)}
    table("row 23, running mean and variance", moments, 20_000)
    target, source = weights()
    polyak = {
        "rfx": lambda: lambda: polyak_update(target, source, 0.005),
        "rfx, atomic": lambda: lambda: polyak_update(target, source, 0.005, atomic=True),
        "rlox": lambda: lambda: rlox.polyak_update(target, source, 0.005),
    }
    table("row 24, Polyak update", polyak, 500)


if __name__ == "__main__":
    main()
