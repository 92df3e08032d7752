"""Threads of Python and compiled environments: each thread gets the bytes it would get alone, and nobody is harmed."""

import hashlib
import threading

import numpy as np
import pytest

from rfx.envs import MountainCar, VecEnv

STEPS = 150


def digest(env_id, seed, n):
    """Step an environment of one's own and hash all that it gives."""
    env, rng = VecEnv(env_id, n, seed=seed), np.random.default_rng(seed)
    choices = getattr(env.action_space, "n", None)
    found = hashlib.sha256(env.reset_all().tobytes())
    for _ in range(STEPS):
        actions = rng.uniform(-1, 1, (n, 1)).astype(np.float32) if choices is None else rng.integers(choices, size=n)
        batch = env.step_all(actions)
        for array in (batch.obs, batch.rewards, batch.terminated, batch.truncated, batch.terminal_obs):
            found.update(array.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1"])
def test_any_number_of_threads_gives_the_bytes_of_one(env_id, count):
    alone = [digest(env_id, seed, 70) for seed in range(4)]
    found = {}

    def run(seeds):
        for seed in seeds:
            found[seed] = digest(env_id, seed, 70)

    threads = [threading.Thread(target=run, args=(range(k, 4, count),)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [found[seed] for seed in range(4)] == alone


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1"])
def test_threads_may_step_and_reset_one_environment_together(env_id):
    shared = VecEnv(env_id, 64)
    choices = getattr(shared.action_space, "n", None)
    actions = np.zeros((64, 1), np.float32) if choices is None else np.ones(64, int)
    steps, failures = [], []

    def run(resets):
        try:
            for i in range(200):
                batch = shared.step_all(actions)
                steps.append(int((batch.terminated | batch.truncated).sum()))
                assert np.isfinite(batch.obs).all()
                if resets and i % 50 == 0:
                    shared.reset_all()
        except BaseException as error:
            failures.append(error)

    for resets in (False, True):
        threads = [threading.Thread(target=run, args=(resets,)) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures
    assert len(steps) == 1200
    assert np.isfinite(shared.engine.states).all()


def test_steps_of_threads_on_one_environment_are_all_counted():
    shared = VecEnv("Pendulum-v1", 16, max_episode_steps=10**6)
    actions = np.zeros((16, 1), np.float32)
    threads = [threading.Thread(target=lambda: [shared.step_all(actions) for _ in range(250)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert shared.engine.episode_steps.tolist() == [1000] * 16


def test_threads_may_step_one_single_environment():
    env = MountainCar(0, max_episode_steps=10**6)
    failures = []

    def run():
        try:
            for _ in range(500):
                transition = env.step(1)
                assert transition.obs.shape == (2,)
                assert transition.reward == -1.0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert env.engine.episode_steps.tolist() == [2000]
