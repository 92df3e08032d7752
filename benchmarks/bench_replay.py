"""Rows 5 to 7: push and sample of a replay buffer (obs 48, act 12, with next_obs) against rlox and a plain numpy class.

rlox's compiled module is loaded by itself, without the torch that its package asks for.
"""

import itertools

import numpy as np
import pytest
from rlox_core import rlox_core

from rfx.buffers import ReplayBuffer

OBS, ACT = 48, 12
FULL = 1_000_000


class NumpyBuffer:
    """What people write: one array for each column."""

    def __init__(self, capacity):
        self.obs = np.zeros((capacity, OBS), np.float32)
        self.next_obs = np.zeros((capacity, OBS), np.float32)
        self.actions = np.zeros((capacity, ACT), np.float32)
        self.rewards = np.zeros(capacity, np.float32)
        self.terminated, self.truncated = np.zeros(capacity, bool), np.zeros(capacity, bool)
        self.capacity, self.cursor, self.count = capacity, 0, 0

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs):
        n = len(rewards)
        at = np.arange(self.cursor, self.cursor + n) % self.capacity
        self.obs[at], self.next_obs[at], self.actions[at] = obs, next_obs, actions
        self.rewards[at], self.terminated[at], self.truncated[at] = rewards, terminated, truncated
        self.cursor, self.count = (self.cursor + n) % self.capacity, min(self.count + n, self.capacity)

    def sample(self, n, seed):
        at = np.random.default_rng(seed).integers(self.count, size=n)
        return {
            "obs": self.obs[at],
            "next_obs": self.next_obs[at],
            "actions": self.actions[at],
            "rewards": self.rewards[at],
            "terminated": self.terminated[at],
            "truncated": self.truncated[at],
        }


class RloxBuffer:
    """rlox 1.2.0 under the same names."""

    def __init__(self, capacity):
        self.inner = rlox_core().ReplayBuffer(capacity, OBS, ACT)
        self.push, self.sample = self.inner.push, self.inner.sample

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs):
        flags = terminated.view(np.uint8), truncated.view(np.uint8)
        self.inner.push_batch(obs.ravel(), next_obs.ravel(), actions.ravel(), rewards, *flags)


def ours(capacity):
    return ReplayBuffer(capacity, OBS, ACT)


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, n, OBS)).astype(np.float32)
    flags = np.zeros(n, bool)
    return obs, rng.normal(size=(n, ACT)).astype(np.float32), np.arange(n, dtype=np.float32), flags, flags, next_obs


def fill(buffer, capacity):
    block = rows(5000)
    for _ in range(capacity // 5000 + 1):
        buffer.push_batch(*block)
    return buffer


@pytest.mark.parametrize("make", [ours, RloxBuffer], ids=["rfx", "rlox"])
@pytest.mark.benchmark(group="row 5: push of one transition")
def test_push(benchmark, make):
    buffer = fill(make(100_000), 100_000)
    obs, actions, _, _, _, next_obs = (c[0] for c in rows(1))
    benchmark.pedantic(buffer.push, (obs, actions, 1.0, False, False, next_obs), iterations=2000, rounds=100)


@pytest.mark.parametrize("make", [ours, RloxBuffer, NumpyBuffer], ids=["rfx", "rlox", "numpy"])
@pytest.mark.benchmark(group="row 6: push of 256 rows")
def test_push_256(benchmark, make):
    buffer = fill(make(100_000), 100_000)
    benchmark(buffer.push_batch, *rows(256))


@pytest.mark.parametrize("n", [256, 1024])
@pytest.mark.parametrize("make", [ours, RloxBuffer, NumpyBuffer], ids=["rfx", "rlox", "numpy"])
def test_sample(benchmark, make, n):
    """A new seed each time: the rows are not in the cache, as in training."""
    benchmark.group = f"row 7: sample {n} of 1e6"
    buffer, seeds = fill(make(FULL), FULL), itertools.count()
    check = fill(ours(10_000), 10_000).sample(64, 3)
    np.testing.assert_array_equal(check["obs"], rows(5000)[0][check["rewards"].astype(int)])
    batch = benchmark(lambda: buffer.sample(n, next(seeds)))
    np.testing.assert_array_equal(batch["obs"], rows(5000)[0][np.asarray(batch["rewards"]).astype(int)])
