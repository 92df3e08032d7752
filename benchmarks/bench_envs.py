"""Rows 12 and 13: steps of many CartPoles and Pendulums with auto-reset, against rlox and Gymnasium's vector environments."""

import numpy as np
import pytest
from rlox_core import rlox_core

from rfx.envs import VecEnv

SIZES = (8, 64, 1024)


def actions_of(env_id, n):
    rng = np.random.default_rng(0)
    if env_id == "CartPole-v1":
        return rng.integers(2, size=n)
    return rng.uniform(-2, 2, (n, 1)).astype(np.float32)


def ours(env_id, n):
    env, actions = VecEnv(env_id, n), actions_of(env_id, n)
    return lambda: env.step_all(actions).obs


def rlox(env_id, n):
    env, actions = rlox_core().VecEnv(n, 0, env_id), actions_of(env_id, n)
    env.reset_all(0)
    given = actions.tolist() if env_id == "CartPole-v1" else actions  # lists are quicker there
    return lambda: env.step_all(given)["obs"]


def gymnasium(env_id, n):
    gym = pytest.importorskip("gymnasium")
    mode = "vector_entry_point" if env_id == "CartPole-v1" else "sync"
    if mode == "sync" and n > 64:
        pytest.skip("takes a second a step")
    env, actions = gym.make_vec(env_id, n, vectorization_mode=mode), actions_of(env_id, n)
    env.reset(seed=0)
    return lambda: env.step(actions)[0]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("make", [ours, rlox, gymnasium], ids=lambda f: f.__name__)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_step(benchmark, env_id, make, n):
    benchmark.group = f"row {12 if env_id == 'CartPole-v1' else 13}: {n} {env_id}"
    obs = benchmark(make(env_id, n))
    assert obs.shape == (n, 4 if env_id == "CartPole-v1" else 3)
    assert np.isfinite(obs).all()
