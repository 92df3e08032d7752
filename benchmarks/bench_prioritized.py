"""Rows 8 to 11: prioritized replay (obs 48, act 12, a million rows) against rlox, cpprb and tianshou, and images.

The sum tree of tianshou is measured with the columns of its buffer; it needs torch, and is skipped where that is missing.
"""

import itertools

import numpy as np
import pytest
from bench_replay import ACT, FULL, OBS, rows
from rlox_core import rlox_core

from rfx.buffers import FrameStackReplayBuffer, PrioritizedReplayBuffer, ReplayBuffer

ALPHA, BETA = 0.6, 0.4


class Ours:
    def __init__(self, capacity):
        self.inner = PrioritizedReplayBuffer(capacity, OBS, ACT, ALPHA, BETA)
        self.push, self.update = self.inner.push, self.inner.update_priorities

    def fill(self, priorities):
        block = rows(5000)
        for start in range(0, len(priorities), 5000):
            self.inner.push_batch(*block, priorities=priorities[start : start + 5000])
        return self

    def sample(self, n, seed):
        batch = self.inner.sample(n, seed)
        return batch["obs"], batch["rewards"], batch["indices"], batch["weights"]


class Rlox:
    def __init__(self, capacity):
        self.inner = rlox_core().PrioritizedReplayBuffer(capacity, OBS, ACT, ALPHA, BETA)
        self.push = self.inner.push

    def fill(self, priorities):
        obs, actions, _, _, _, next_obs = rows(5000)
        for i, priority in enumerate(priorities):
            k = i % 5000
            self.inner.push(obs[k], actions[k], float(k), False, False, next_obs[k], float(priority))
        return self

    def update(self, indices, priorities):
        self.inner.update_priorities(indices.view(np.uint64), priorities)

    def sample(self, n, seed):
        batch = self.inner.sample(n, seed)
        return batch["obs"], batch["rewards"], batch["indices"], batch["weights"]


class Cpprb:
    def __init__(self, capacity):
        cpprb = pytest.importorskip("cpprb")
        shapes = {"obs": {"shape": OBS}, "next_obs": {"shape": OBS}, "act": {"shape": ACT}, "rew": {}}
        flags = {"terminated": {"dtype": bool}, "truncated": {"dtype": bool}}
        self.inner = cpprb.PrioritizedReplayBuffer(capacity, {**shapes, **flags}, alpha=ALPHA)
        self.update = self.inner.update_priorities

    def push(self, obs, action, reward, terminated, truncated, next_obs):
        self.inner.add(obs=obs, act=action, rew=reward, terminated=terminated, truncated=truncated, next_obs=next_obs)

    def fill(self, priorities):
        obs, actions, rewards, terminated, truncated, next_obs = rows(5000)
        for start in range(0, len(priorities), 5000):
            self.inner.add(
                obs=obs, act=actions, rew=rewards, terminated=terminated, truncated=truncated, next_obs=next_obs,
                priorities=priorities[start : start + 5000],
            )  # fmt: skip
        return self

    def sample(self, n, seed):
        batch = self.inner.sample(n, beta=BETA)
        return batch["obs"], batch["rew"][:, 0], batch["indexes"], batch["weights"]


class Tianshou:
    def __init__(self, capacity):
        pytest.importorskip("torch")
        data = pytest.importorskip("tianshou.data")
        self.batch, self.inner = data.Batch, data.PrioritizedReplayBuffer(capacity, ALPHA, BETA)

    def push(self, obs, action, reward, terminated, truncated, next_obs):
        self.inner.add(
            self.batch(
                obs=obs, act=action, rew=reward, terminated=terminated, truncated=truncated, obs_next=next_obs, info={}
            )
        )

    def fill(self, priorities):
        obs, actions, rewards, terminated, truncated, next_obs = rows(5000)
        self.push(obs[0], actions[0], rewards[0], False, False, next_obs[0])
        meta, n = self.inner._meta, len(priorities)  # a million single calls would take minutes
        copies = -(-n // 5000)
        columns = {
            "obs": obs,
            "act": actions,
            "rew": rewards,
            "terminated": terminated,
            "truncated": truncated,
            "obs_next": next_obs,
        }
        for name, column in columns.items():
            meta[name][:] = np.tile(column, (copies, *[1] * (column.ndim - 1)))[:n]
        self.inner._size, self.inner._insertion_idx = n, 0
        self.inner.weight[np.arange(n)] = priorities**ALPHA
        self.inner._max_prio, self.inner._min_prio = priorities.max(), priorities.min()
        return self

    def update(self, indices, priorities):
        self.inner.update_weight(indices, priorities)

    def sample(self, n, seed):
        batch, indices = self.inner.sample(n)
        return batch.obs, batch.rew, indices, batch.weight


PEERS = [Ours, Rlox, Cpprb, Tianshou]
PRIORITIES = np.random.default_rng(0).uniform(0.1, 5.0, FULL)


def ids(kind):
    return kind.__name__.lower()


@pytest.mark.parametrize("kind", PEERS, ids=ids)
@pytest.mark.benchmark(group="row 9: prioritized push")
def test_push(benchmark, kind):
    buffer = kind(100_000).fill(PRIORITIES[:100_000])
    obs, actions, _, _, _, next_obs = (c[0] for c in rows(1))
    benchmark.pedantic(buffer.push, (obs, actions, 1.0, False, False, next_obs), iterations=500, rounds=200)


@pytest.mark.parametrize("kind", PEERS, ids=ids)
@pytest.mark.benchmark(group="row 10: prioritized sample 256 of 1e6")
def test_sample(benchmark, kind):
    buffer, seeds = kind(FULL).fill(PRIORITIES), itertools.count()
    obs, rewards, _, weights = benchmark(lambda: buffer.sample(256, next(seeds)))
    np.testing.assert_array_equal(obs, rows(5000)[0][np.asarray(rewards).astype(int)])
    assert 0 < np.min(weights) <= np.max(weights) <= 1.0 + 1e-6 or kind is Tianshou


def test_ours_and_rlox_draw_the_same():
    ours, rlox = Ours(20_000).fill(PRIORITIES[:20_000]), Rlox(20_000).fill(PRIORITIES[:20_000])
    for a, b in zip(ours.sample(256, 3), rlox.sample(256, 3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("kind", PEERS, ids=ids)
@pytest.mark.benchmark(group="row 11: prioritized update of 256")
def test_update(benchmark, kind):
    buffer = kind(FULL).fill(PRIORITIES)
    rng = np.random.default_rng(1)
    calls = itertools.cycle([(rng.integers(FULL, size=256), rng.uniform(0.1, 5.0, 256)) for _ in range(100)])
    benchmark.pedantic(lambda: buffer.update(*next(calls)), iterations=10, rounds=500)


FRAMES = 10_000


def images_of_rfx():
    buffer = ReplayBuffer(FRAMES, (4, 84, 84), (), obs_dtype=np.uint8, act_dtype=np.int64)
    return buffer, lambda o, n, i, end: buffer.push(o, i, 1.0, False, end, n), lambda s: buffer.sample(32, s)["obs"]


def images_of_cpprb():
    cpprb = pytest.importorskip("cpprb")
    image = {"shape": (4, 84, 84), "dtype": np.uint8}
    buffer = cpprb.ReplayBuffer(
        FRAMES, {"obs": image, "next_obs": image, "act": {"dtype": np.int64}, "rew": {}, "done": {}}
    )
    return (
        buffer,
        lambda o, n, i, end: buffer.add(obs=o, next_obs=n, act=i, rew=1.0, done=0.0),
        lambda s: buffer.sample(32)["obs"],
    )


def frames_of_rfx():
    buffer = FrameStackReplayBuffer(FRAMES, (84, 84))
    return buffer, lambda o, n, i, end: buffer.push(o, i, 1.0, False, end, n), lambda s: buffer.sample(32, s)["obs"]


@pytest.mark.parametrize(
    "make", [images_of_rfx, images_of_cpprb, frames_of_rfx], ids=["rfx", "cpprb", "rfx frames kept once"]
)
@pytest.mark.benchmark(group="row 8: sample 32 of 4x84x84 uint8, with next_obs")
def test_images(benchmark, make):
    _buffer, push, sample = make()
    frames = np.random.default_rng(0).integers(0, 256, (200, 84, 84), dtype=np.uint8)
    stacks = np.stack([frames[np.maximum(np.arange(k - 3, k + 1), 0)] for k in range(200)])
    for i in range(1990):
        k = i % 199
        push(stacks[k], stacks[k + 1], i, k == 198)  # an episode ends where the frames begin anew
    np.empty(16 << 20, np.uint8)  # makes the allocator keep what is freed, for all of them: no page is cleared anew
    seeds = itertools.count()
    obs = benchmark(lambda: sample(next(seeds)))
    assert {o.tobytes() for o in obs} <= {s.tobytes() for s in stacks}
