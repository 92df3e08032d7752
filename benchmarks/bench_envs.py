"""Rows 12 and 13: steps of many environments with auto-reset, against rlox and Gymnasium's vector environments.

``ours`` makes new arrays in each step as the peers do, ``ours_into`` writes into those of the step before.
"""

import numpy as np
import pytest
from rlox_core import rlox_core

from rfx.envs import Drift, VecEnv

SIZES = (8, 64, 1024)
ROWS = {"CartPole-v1": "row 12", "Pendulum-v1": "row 13"}
FURTHER = ("MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1")


def actions_of(env_id, n):
    rng = np.random.default_rng(0)
    if env_id in ("Pendulum-v1", "MountainCarContinuous-v0"):
        return rng.uniform(-2, 2, (n, 1)).astype(np.float32)
    return rng.integers(2, size=n)


def ours(env_id, n):
    env, actions = VecEnv(env_id, n), actions_of(env_id, n)
    return lambda: env.step_all(actions).obs


def ours_into(env_id, n):
    env, actions = VecEnv(env_id, n), actions_of(env_id, n)
    batch = env.step_all(actions)
    return lambda: env.step_all(actions, out=batch).obs


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


def agree(env_id, make):
    """Step ours from where a peer is, and expect the same."""
    actions, env = actions_of(env_id, 8), VecEnv(env_id, 8)
    if make is rlox:
        peer = rlox_core().VecEnv(8, 0, env_id)
        first = np.asarray(peer.reset_all(0))
        states = first if env_id == "CartPole-v1" else np.stack([np.arctan2(first[:, 1], first[:, 0]), first[:, 2]], 1)
        env.engine.set_states(states.astype(np.float64))
        seen = np.asarray(peer.step_all(actions.tolist() if env_id == "CartPole-v1" else actions)["obs"])
        np.testing.assert_allclose(env.step_all(actions).obs, seen, atol=1e-5)
    elif make is gymnasium:
        single = pytest.importorskip("gymnasium").make(env_id).unwrapped
        single.reset(seed=0)
        env.engine.set_states(np.tile(np.asarray(single.state, np.float64), (8, 1)))
        assert env.step_all(actions).terminal_obs[0].tobytes() == single.step(actions[0])[0].tobytes()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("make", [ours, ours_into, rlox, gymnasium], ids=lambda f: f.__name__)
@pytest.mark.parametrize("env_id", sorted(ROWS))
def test_step(benchmark, env_id, make, n):
    benchmark.group = f"{ROWS[env_id]}: {n} {env_id}"
    agree(env_id, make)
    obs = benchmark(make(env_id, n))
    assert obs.shape == (n, 4 if env_id == "CartPole-v1" else 3)
    assert np.isfinite(obs).all()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("make", [ours, gymnasium], ids=lambda f: f.__name__)
@pytest.mark.parametrize("env_id", FURTHER)
def test_step_of_further_environments(benchmark, env_id, make, n):
    benchmark.group = f"{n} {env_id}"
    agree(env_id, make)
    obs = benchmark(make(env_id, n))
    assert np.isfinite(obs).all()


@pytest.mark.parametrize("drifting", [False, True])
def test_drift(benchmark, drifting):
    benchmark.group = "drift: 1024 CartPole-v1"
    drift = {"length": Drift(kind="walk", size=0.01, low=0.3, high=0.7)}
    env = VecEnv("CartPole-v1", 1024, **({"drift": drift} if drifting else {}))
    actions = actions_of("CartPole-v1", 1024)
    assert np.isfinite(benchmark(lambda: env.step_all(actions).obs)).all()
