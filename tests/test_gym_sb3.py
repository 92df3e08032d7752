"""The adapter for stable-baselines3, where that is installed: what DummyVecEnv gives, and PPO that runs and learns."""

import numpy as np
import pytest
from python_envs import Walk

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from rfx.envs.gym_env import RfxEnv
from rfx.envs.sb3 import Sb3VecEnv
from rfx.errors import InvalidStateError, InvalidValueError


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", Walk])
def test_it_gives_what_dummy_vec_env_gives(env):
    n, limit = 4, 30
    options = {"limit": limit} if env is Walk else {"max_episode_steps": limit}
    ours = Sb3VecEnv(env, n, **options)
    theirs = DummyVecEnv([lambda: RfxEnv(env, **options)] * n)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert ours.seed(3) == theirs.seed(3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    ours.action_space.seed(0)
    ends = 0
    for _ in range(100):
        actions = np.array([ours.action_space.sample() for _ in range(n)])
        a, b = ours.step(actions), theirs.step(actions)
        for x, y in zip(a[:3], b[:3], strict=True):
            assert (x.dtype, x.tobytes()) == (y.dtype, y.tobytes())
        assert all(equal(x, y) for x, y in zip(a[3], b[3], strict=True))
        ends += a[2].sum()
    assert ends >= 2 * n


def test_attributes_methods_and_seeds():
    env = Sb3VecEnv(Walk, 3)
    env.set_attr("limit", 5, indices=1)
    assert env.get_attr("limit") == [20, 5, 20]
    assert env.get_attr("limit", indices=[1, 0]) == [5, 20]
    env.reset()
    assert len(env.env_method("render", indices=0)) == 1
    assert env.has_attr("limit")
    assert not env.has_attr("nothing")
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    compiled = Sb3VecEnv("CartPole-v1", 2)
    assert compiled.get_attr("max_episode_steps") == [500, 500]
    for call in (lambda: compiled.set_attr("x", 1), lambda: compiled.env_method("x"), lambda: compiled.get_attr("x")):
        with pytest.raises(AttributeError):
            call()


def test_pictures_of_all_are_tiled():
    env = Sb3VecEnv("CartPole-v1", 4, render_mode="rgb_array")
    env.reset()
    assert env.render().shape == (800, 1200, 3)
    assert Sb3VecEnv("CartPole-v1", 2).get_images() == [None, None]


def test_what_is_wrong_is_said():
    env = Sb3VecEnv("CartPole-v1", 2)
    env.reset()
    with pytest.raises(InvalidStateError):
        env.step_wait()
    with pytest.raises(InvalidValueError):
        env.step(np.array([0, 3]))
    env.set_options({"low": 1})
    with pytest.raises(InvalidStateError, match="options"):
        env.reset()


def test_workers_end_with_close():
    env = Sb3VecEnv(Walk, 2, workers=2)
    env.reset()
    assert env.step(np.array([0, 1]))[0].shape == (2, 2)
    env.close()
    with pytest.raises(InvalidStateError):
        env.reset()


def test_ppo_runs_and_learns_something():
    import torch

    torch.set_num_threads(1)
    env = VecMonitor(Sb3VecEnv("CartPole-v1", 8, seed=1))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=128, seed=1, device="cpu")
    model.learn(4096)
    assert np.mean([e["r"] for e in model.ep_info_buffer]) > 25


def test_vec_normalize_goes_around_it():
    env = VecNormalize(Sb3VecEnv("Pendulum-v1", 2))
    env.reset()
    obs, rewards, _, _ = env.step(np.zeros((2, 1), np.float32))
    assert np.isfinite(obs).all()
    assert np.isfinite(rewards).all()
