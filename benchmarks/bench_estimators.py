"""Rows 1 to 4: advantages and V-trace against rlox and plain numpy.

rlox's compiled module is loaded by itself, without the torch that its package asks for. It takes one environment's steps
side by side, so for time-major data the copy into that order counts; "env-major" is what it takes where the caller's
data lie that way already.
"""

import numpy as np
import pytest
from rlox_core import rlox_core

from rfx.estimators import compute_gae, gae, vtrace

GAMMA, LAM = 0.99, 0.95


def rollout(steps, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    shape = (steps, n) if n else (steps,)
    rewards, values = rng.normal(size=(2, *shape)).astype(dtype)
    return rewards, values, rng.random(shape) < 0.005, rng.normal(size=n or None)


def numpy_gae(rewards, values, dones, last_values):
    """Vectorised over environments, as rollout buffers do it."""
    advantages = np.zeros_like(rewards)
    ahead, running = last_values, 0.0
    for t in range(len(rewards) - 1, -1, -1):
        going = 1.0 - dones[t]
        delta = rewards[t] + GAMMA * ahead * going - values[t]
        advantages[t] = running = delta + GAMMA * LAM * going * running
        ahead = values[t]
    return advantages, advantages + values


def agree(ours, peer, atol):
    for a, b in zip(ours, peer, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("who", ["rfx", "rfx gae()", "rlox", "numpy"])
@pytest.mark.benchmark(group="row 1: GAE, T = 2048, one environment, float64")
def test_one_environment(benchmark, who):
    rewards, values, dones, last = rollout(2048, 0, np.float64)
    numbers, none = dones.astype(np.float64), np.zeros(2048, bool)
    if who == "rfx":
        run = lambda: compute_gae(rewards, values, dones, last, GAMMA, LAM)  # noqa: E731
    elif who == "rfx gae()":
        run = lambda: gae(rewards, values, dones, none, None, last, GAMMA, LAM)  # noqa: E731
    elif who == "numpy":
        run = lambda: numpy_gae(rewards, values, dones, last)  # noqa: E731
    else:
        compute = rlox_core().compute_gae
        run = lambda: compute(rewards, values, numbers, last, GAMMA, LAM)  # noqa: E731
    agree(run(), numpy_gae(rewards, values, dones, last), 1e-12)
    benchmark(run)


@pytest.mark.parametrize("who", ["rfx", "rfx env-major", "rlox", "rlox env-major", "numpy"])
@pytest.mark.parametrize(("steps", "n"), [(128, 256), (2048, 64)])
def test_many_environments(benchmark, who, steps, n):
    benchmark.group = f"row {2 if n == 256 else 3}: GAE, ({steps}, {n}), float32"
    rewards, values, dones, last = rollout(steps, n, np.float32)
    last = last.astype(np.float32)
    rewards_n, values_n, dones_n, none = rewards.T.copy(), values.T.copy(), dones.T.copy(), np.zeros_like(dones)
    none_n, numbers, numbers_n = none.T.copy(), dones.astype(np.float32), dones_n.astype(np.float32)
    if who == "rfx":
        run = lambda: gae(rewards, values, dones, none, None, last, GAMMA, LAM)  # noqa: E731
    elif who == "rfx env-major":
        run = lambda: gae(rewards_n, values_n, dones_n, none_n, None, last, GAMMA, LAM, time_axis=1)  # noqa: E731
    elif who == "numpy":
        run = lambda: numpy_gae(rewards, values, numbers, last)  # noqa: E731
    else:
        compute = rlox_core().compute_gae_batched_f32

        def run():
            if who == "rlox":
                a, b = compute(rewards.T.ravel(), values.T.ravel(), numbers.T.ravel(), last, steps, GAMMA, LAM)
                return a.reshape(n, steps).T.copy(), b.reshape(n, steps).T.copy()
            return compute(rewards_n.ravel(), values_n.ravel(), numbers_n.ravel(), last, steps, GAMMA, LAM)

    got = [x.reshape(n, steps).T if "env-major" in who else x for x in run()]
    agree(got, numpy_gae(rewards, values, numbers, last), 2e-5)
    benchmark(run)


def numpy_vtrace(log_rhos, rewards, values, dones, last_values):
    """Vectorised over environments, in float64."""
    ratio, vs, advantages = np.exp(log_rhos.astype(np.float64)), np.zeros(values.shape), np.zeros(values.shape)
    clipped, going = np.minimum(ratio, 1.0), 1.0 - dones
    ahead = target = last_values.astype(np.float64)
    for t in range(len(rewards) - 1, -1, -1):
        discount = GAMMA * going[t]
        delta = clipped[t] * (rewards[t] + discount * ahead - values[t])
        vs[t] = values[t] + delta + discount * clipped[t] * (target - ahead)
        advantages[t] = clipped[t] * (rewards[t] + discount * target - values[t])
        ahead, target = values[t], vs[t]
    return vs, advantages


@pytest.mark.parametrize("who", ["rfx", "rfx env-major", "rlox env-major", "numpy"])
@pytest.mark.benchmark(group="row 4: V-trace, (128, 256), float32")
def test_vtrace(benchmark, who):
    steps, n = 128, 256
    rewards, values, dones, last = rollout(steps, n, np.float32)
    last = last.astype(np.float32)
    log_rhos = np.random.default_rng(1).normal(size=(steps, n)).astype(np.float32) * np.float32(0.3)
    none, numbers = np.zeros_like(dones), dones.astype(np.float32)
    turned = [np.ascontiguousarray(x.T) for x in (log_rhos, rewards, values, numbers)]
    dones_n, none_n = np.ascontiguousarray(dones.T), np.ascontiguousarray(none.T)
    if who == "rfx":
        run = lambda: vtrace(log_rhos, rewards, values, dones, none, None, last, GAMMA)  # noqa: E731
    elif who == "rfx env-major":
        run = lambda: vtrace(*turned[:3], dones_n, none_n, None, last, GAMMA, time_axis=1)  # noqa: E731
    elif who == "numpy":
        run = lambda: numpy_vtrace(log_rhos, rewards, values, numbers, last)  # noqa: E731
    else:
        compute, lasts = rlox_core().compute_vtrace, last.tolist()

        def run():
            rows = [compute(*columns, b, GAMMA) for *columns, b in zip(*turned, lasts, strict=True)]
            return np.array([r[0] for r in rows]), np.array([r[1] for r in rows])

    got = [x.T if "env-major" in who else x for x in run()]
    agree(got, numpy_vtrace(log_rhos, rewards, values, numbers, last), 1e-4)
    benchmark(run)
