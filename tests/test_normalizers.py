"""rfx.estimators.normalizers against gymnasium's wrappers and the formulae of stable-baselines3's VecNormalize."""

import math
import pickle

import numpy as np
import pytest
from guides import run_guide

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators import RunningObservationNormalizer, RunningRewardNormalizer


class Moments:
    """Mean and variance as both libraries merge them, from mean 0, variance 1 and count 1e-4."""

    def __init__(self, shape=()):
        self.mean, self.var, self.count = np.zeros(shape), np.ones(shape), 1e-4

    def update(self, x):
        n, delta = len(x), x.mean(0) - self.mean
        total = self.count + n
        squares = self.var * self.count + x.var(0) * n + delta**2 * self.count * n / total
        self.mean, self.var, self.count = self.mean + delta * n / total, squares / total, total


class Script:
    """Random steps of a vector environment."""

    def __init__(self, steps=60, n=4, d=3, seed=0):
        rng = np.random.default_rng(seed)
        self.obs = rng.normal(2.0, 3.0, (steps + 1, n, d)).astype(np.float32)
        self.rewards = rng.normal(1.0, 2.0, (steps, n))
        self.terminated = rng.random((steps, n)) < 0.1
        self.truncated = ~self.terminated & (rng.random((steps, n)) < 0.1)
        self.n, self.d = n, d

    def steps(self):
        return zip(self.rewards, self.terminated, self.truncated, strict=True)


def scripted_env(script, mode):
    gymnasium = pytest.importorskip("gymnasium")

    class Env(gymnasium.vector.VectorEnv):
        num_envs = script.n
        single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (script.d,), np.float32)
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (script.n, script.d), np.float32)
        single_action_space = gymnasium.spaces.Discrete(2)
        action_space = gymnasium.spaces.MultiDiscrete([2] * script.n)

        def __init__(self):
            self.metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode(mode)}

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return script.obs[0], {}

        def step(self, actions):
            t, self.t = self.t, self.t + 1
            return script.obs[t + 1], script.rewards[t], script.terminated[t], script.truncated[t], {}

    return Env()


def test_observations_match_gymnasiums_vector_wrapper():
    wrappers = pytest.importorskip("gymnasium.wrappers.vector")
    script = Script()
    env = wrappers.NormalizeObservation(scripted_env(script, "NextStep"))
    ours = RunningObservationNormalizer(script.d, clip=None)
    np.testing.assert_allclose(ours(script.obs[0]), env.reset()[0], rtol=1e-4, atol=1e-4)
    for t in range(len(script.rewards)):
        if t == 40:
            env.update_running_mean, ours.frozen = False, True
        np.testing.assert_allclose(ours(script.obs[t + 1]), env.step(None)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("mode", "autoreset"), [("SameStep", "same_step"), ("NextStep", "next_step")])
def test_rewards_match_gymnasiums_vector_wrapper(mode, autoreset):
    wrappers = pytest.importorskip("gymnasium.wrappers.vector")
    script = Script(seed=1)
    env = wrappers.NormalizeReward(scripted_env(script, mode), gamma=0.9)
    ours = RunningRewardNormalizer(script.n, gamma=0.9, clip=None, convention="gymnasium", autoreset=autoreset)
    env.reset()
    for t, step in enumerate(script.steps()):
        if t == 40:
            env.update_running_mean, ours.frozen = False, True
        np.testing.assert_allclose(ours(*step), env.step(None)[1], rtol=1e-5)
        np.testing.assert_allclose(ours.returns, env.accumulated_reward, rtol=1e-5, atol=1e-6)


def test_rewards_match_gymnasiums_wrapper_of_one_environment():
    """Its return goes on over a truncation and the reset after it, so that ours is not told of them."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.wrappers.NormalizeReward(gymnasium.make("Pendulum-v1"), gamma=0.95)
    plain = gymnasium.make("Pendulum-v1")
    ours = RunningRewardNormalizer(gamma=0.95, clip=None, convention="gymnasium")
    for episode in range(2):
        env.reset(seed=episode)
        plain.reset(seed=episode)
        cut = False
        while not cut:
            reward, expected = plain.step([0.3])[1], env.step([0.3])
            cut = expected[3]
            np.testing.assert_allclose(ours([reward], [False], [False]), [expected[1]], rtol=1e-6)


def test_observations_match_vecnormalize():
    script, moments = Script(seed=2), Moments(3)
    ours = RunningObservationNormalizer(3)
    for obs in script.obs.astype(np.float64):
        moments.update(obs)
        expected = np.clip((obs - moments.mean) / np.sqrt(moments.var + 1e-8), -10.0, 10.0)
        np.testing.assert_allclose(ours(obs), expected, rtol=1e-10, atol=1e-12)


def test_rewards_match_vecnormalize():
    script, moments, returns = Script(seed=3), Moments(), np.zeros(4)
    ours = RunningRewardNormalizer(4, gamma=0.97)
    for rewards, terminated, truncated in script.steps():
        returns = returns * 0.97 + rewards
        moments.update(returns)
        expected = np.clip(rewards / np.sqrt(moments.var + 1e-8), -10.0, 10.0)
        np.testing.assert_allclose(ours(rewards, terminated, truncated), expected, rtol=1e-10)
        returns[terminated | truncated] = 0.0


def test_clip_is_the_largest_value_that_comes_out():
    ours = RunningObservationNormalizer(1, clip=0.5)
    assert np.abs(ours(np.array([[0.0], [1.0], [9.0]]))).max() == 0.5
    rewards = RunningRewardNormalizer(2, clip=0.25)
    assert rewards([5.0, -5.0], [False, False], [False, False]).tolist() == [0.25, -0.25]


def test_frozen_statistics_stay():
    ours = RunningObservationNormalizer(2)
    ours(np.eye(2))
    before = pickle.dumps(ours.stats.state_dict())
    ours.frozen = True
    ours(np.ones((5, 2)))
    ours.normalize(np.ones(2))
    assert pickle.dumps(ours.stats.state_dict()) == before
    rewards = RunningRewardNormalizer(1)
    rewards.frozen = True
    rewards([2.0], [False], [False])
    assert rewards.stats.count() == 0
    assert rewards.returns.tolist() == [2.0]


def test_one_observation_counts_as_one():
    ours = RunningObservationNormalizer((2, 2))
    assert ours(np.ones((2, 2), np.float32)).dtype == np.float32
    assert ours.stats.count() == 1
    ours(np.ones((7, 2, 2)))
    assert ours.stats.count() == 8


def test_denormalize_is_the_way_back():
    ours = RunningObservationNormalizer(3, clip=None)
    x = np.random.default_rng(4).normal(5.0, 2.0, (20, 3))
    np.testing.assert_allclose(ours.denormalize(ours(x)), x, rtol=1e-12)
    with pytest.raises(ShapeError):
        ours.denormalize(np.zeros((3, 2)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_not_finite_is_refused_and_changes_nothing(bad, frozen):
    ours, rewards = RunningObservationNormalizer(2), RunningRewardNormalizer(2)
    ours(np.eye(2))
    rewards([1.0, 2.0], [False, False], [False, False])
    ours.frozen = rewards.frozen = frozen
    before = pickle.dumps(ours.state_dict()), pickle.dumps(rewards.state_dict())
    with pytest.raises(InvalidValueError):
        ours([[1.0, bad]])
    with pytest.raises(InvalidValueError):
        rewards([1.0, bad], [False, False], [True, True])
    assert (pickle.dumps(ours.state_dict()), pickle.dumps(rewards.state_dict())) == before


def test_float32_results_that_overflow_are_refused():
    ours = RunningObservationNormalizer(1, clip=None)
    ours(np.zeros((100, 1)))
    with pytest.raises(InvalidValueError):
        ours.normalize(np.full((1, 1), 3e38, np.float32))


def test_a_wrong_out_changes_nothing():
    ours = RunningObservationNormalizer(2)
    with pytest.raises(ShapeError):
        ours(np.eye(2), out=np.empty((3, 2)))
    assert ours.stats.count() == 0


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="convention"):
        RunningRewardNormalizer(convention="sb3")
    with pytest.raises(ConfigError, match="autoreset"):
        RunningRewardNormalizer(autoreset="never")
    with pytest.raises(InvalidValueError, match="gamma"):
        RunningRewardNormalizer(gamma=1.1)
    with pytest.raises(InvalidValueError, match="clip"):
        RunningObservationNormalizer(2, clip=0.0)
    with pytest.raises(DTypeError, match="terminated"):
        RunningRewardNormalizer(1)([1.0], [0.5], [False])
    with pytest.raises(ShapeError, match="truncated"):
        RunningRewardNormalizer(1)([1.0], [False], [False, True])
    with pytest.raises(ShapeError, match="rewards"):
        RunningRewardNormalizer(2)([1.0], [False], [False])


def test_state_and_pickle_go_on_with_the_same_numbers():
    script = Script(seed=5)
    ours = RunningRewardNormalizer(4, convention="gymnasium", autoreset="next_step", clip=None)
    obs = RunningObservationNormalizer(3, clip=3.0)
    for step in list(script.steps())[:20]:
        ours(*step)
    obs(script.obs[0])
    fresh = RunningRewardNormalizer(4, convention="gymnasium", autoreset="next_step", clip=None)
    fresh.load_state_dict(ours.state_dict())
    other, other_obs = pickle.loads(pickle.dumps(ours)), pickle.loads(pickle.dumps(obs))
    for step in list(script.steps())[20:]:
        expected = ours(*step).tolist()
        assert other(*step).tolist() == fresh(*step).tolist() == expected
    assert other_obs(script.obs[1]).tolist() == obs(script.obs[1]).tolist()
    assert repr(other_obs) == "RunningObservationNormalizer((3,), count=8, clip=3.0, frozen=False)"
    assert "convention='gymnasium'" in repr(other)


def test_bad_states_are_refused_whole():
    ours = RunningRewardNormalizer(2)
    ours([1.0, 2.0], [False, False], [False, False])
    before = pickle.dumps(ours.state_dict())
    state = ours.state_dict()
    for change in ({"returns": [0.0]}, {"ended": [0.0, 1.0]}, {"frozen": 1}, {"stats": {}}, {"more": 1}):
        with pytest.raises((InvalidValueError, DTypeError)):
            ours.load_state_dict({**state, **change})
    assert pickle.dumps(ours.state_dict()) == before


def test_making_it_again_cannot_break_it():
    ours = RunningRewardNormalizer(1)
    ours.__init__(1000, convention="none")
    assert ours.num_envs == 1
    assert ours([1.0], [False], [False]).shape == (1,)


def test_the_examples_of_the_page_run():
    names = run_guide("normalisation_and_shaping.md")
    assert names["stats"].count() == 3
    assert names["observations"].frozen
    assert names["phi"].tolist() == [-5.0, -4.0, 0.0]
    assert names["augment"].augment_batch(names["frames"], 1).shape == (16, 9, 76, 76)
