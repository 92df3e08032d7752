"""Steps of our environments beside those of Gymnasium."""

import numpy as np
import pytest

from rfx.envs.engine import DISABLED
from rfx.envs.engines import batch_of

gymnasium = pytest.importorskip("gymnasium")
TIME_LIMIT = {
    "CartPole-v1": 500,
    "Pendulum-v1": 200,
    "MountainCar-v0": 200,
    "MountainCarContinuous-v0": 999,
    "Acrobot-v1": 500,
}
CHOICES = {"CartPole-v1": 2, "MountainCar-v0": 3, "Acrobot-v1": 3}


def actions_of(env_id, rng, n):
    if env_id in CHOICES:
        return rng.integers(CHOICES[env_id], size=n)
    drawn = rng.uniform(-2.5, 2.5, (n, 1)).astype(np.float32)
    return np.where(rng.random((n, 1)) < 0.1, np.round(drawn), drawn)  # the bounds themselves as well


def outputs(batch):
    n, d = batch.num_envs, batch.obs_dim
    return np.empty((n, d), np.float32), np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty((n, d), np.float32)


def follow_gymnasium(env_id, n, steps, choose, seed=0):
    """Step ours and theirs from the same states and compare all bits; returns how many steps, and how many ends."""
    theirs = [gymnasium.make(env_id).unwrapped for _ in range(n)]
    ours = batch_of(env_id, n)
    states = np.zeros((n, ours.state_dim))
    for i, env in enumerate(theirs):
        env.reset(seed=1000 * seed + i)
        states[i] = env.state
    ours.set_states(states)
    obs, rewards, terminated, truncated, _ = arrays = outputs(ours)
    alive = np.ones(n, bool)
    compared = 0
    for t in range(steps):
        actions = choose(ours.states)
        ours.step(actions, *arrays, DISABLED)
        moved = ours.states
        for i in np.flatnonzero(alive):
            seen, reward, ended, _, _ = theirs[i].step(actions[i])
            assert seen.tobytes() == obs[i].tobytes()
            assert (float(reward), ended) == (rewards[i], terminated[i])
            assert moved[i].tobytes() == np.asarray(theirs[i].state, np.float64).tobytes()
            assert truncated[i] == (t + 1 >= TIME_LIMIT[env_id])
            alive[i] = not (ended or truncated[i])
            compared += 1
        ours.reset(mask=~alive)
        if not alive.any():
            break
    return compared, n - int(alive.sum())
