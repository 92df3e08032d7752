"""Our normalisers beside stable-baselines3's VecNormalize on the same steps. Skipped where that is not installed."""

import numpy as np
import pytest

from rfx.estimators import RunningObservationNormalizer, RunningRewardNormalizer, RunningStats, RunningStatsVec

spaces = pytest.importorskip("gymnasium.spaces")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env", exc_type=ImportError)
moments = pytest.importorskip("stable_baselines3.common.running_mean_std", exc_type=ImportError)

STEPS, N, D = 80, 4, 3


class Script(vec_env.VecEnv):
    """Random steps of a vector environment; with terminal observations where an episode ends, as theirs give them."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.obs = rng.normal(2.0, 3.0, (STEPS + 1, N, D)).astype(np.float32)
        self.rewards = rng.normal(1.0, 2.0, (STEPS, N)).astype(np.float32)
        self.terminated = rng.random((STEPS, N)) < 0.1
        self.truncated = ~self.terminated & (rng.random((STEPS, N)) < 0.1)
        super().__init__(N, spaces.Box(-np.inf, np.inf, (D,), np.float32), spaces.Discrete(2))

    def reset(self):
        self.t = 0
        return self.obs[0].copy()

    def step_async(self, actions):
        self.t += 1

    def step_wait(self):
        done = self.terminated[self.t - 1] | self.truncated[self.t - 1]
        return self.obs[self.t].copy(), self.rewards[self.t - 1].copy(), done, [{} for _ in range(N)]

    def get_attr(self, attr_name, indices=None):
        return [None] * N

    def close(self): ...
    def set_attr(self, attr_name, value, indices=None): ...
    def env_method(self, method_name, *args, indices=None, **kwargs): ...
    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * N


@pytest.mark.parametrize("clip", [10.0, 0.7])
@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_observations_are_those_of_vecnormalize(clip, epsilon):
    script = Script(0)
    theirs = vec_env.VecNormalize(script, clip_obs=clip, epsilon=epsilon)
    ours = RunningObservationNormalizer(D, clip=clip, epsilon=epsilon)
    np.testing.assert_allclose(ours(script.obs[0]), theirs.reset(), rtol=1e-6, atol=1e-6)
    for t in range(STEPS):
        if t == 60:
            theirs.training, ours.frozen = False, True
        obs = theirs.step(np.zeros(N))[0]
        np.testing.assert_allclose(ours(script.obs[t + 1]), obs, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ours.stats.mean(), theirs.obs_rms.mean, rtol=1e-6)
        np.testing.assert_allclose(ours.stats.var(), theirs.obs_rms.var, rtol=1e-6)


def test_observation_statistics_are_theirs_to_1e_12_in_float64():
    theirs, ours = moments.RunningMeanStd(shape=(D,)), RunningStatsVec(D, prior_count=1e-4)
    for batch in np.random.default_rng(1).normal(-3.0, 2.0, (STEPS, N, D)):
        theirs.update(batch)
        ours.batch_update(batch)
        np.testing.assert_allclose(ours.mean(), theirs.mean, rtol=1e-12)
        np.testing.assert_allclose(ours.var(), theirs.var, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.9, 0.99])
def test_rewards_are_those_of_vecnormalize(gamma):
    script = Script(2)
    theirs = vec_env.VecNormalize(script, gamma=gamma)
    ours = RunningRewardNormalizer(N, gamma=gamma)
    theirs.reset()
    for t in range(STEPS):
        if t == 60:
            theirs.training, ours.frozen = False, True
        rewards = theirs.step(np.zeros(N))[1]
        mine = ours(script.rewards[t], script.terminated[t], script.truncated[t])
        np.testing.assert_allclose(mine, rewards, rtol=1e-6)
        if not ours.frozen:  # then our return goes on, as gymnasium's does, and theirs stands still
            np.testing.assert_allclose(ours.returns, theirs.returns, rtol=1e-12, atol=1e-12)
        assert ours.stats.mean() == pytest.approx(theirs.ret_rms.mean, rel=1e-10)
        assert ours.stats.var() == pytest.approx(theirs.ret_rms.var, rel=1e-10)


def test_statistics_without_a_prior_are_numpys_and_theirs_differ_by_the_prior_alone():
    x = np.random.default_rng(3).normal(5.0, 2.0, 400)
    theirs, ours = moments.RunningMeanStd(shape=()), RunningStats()
    theirs.update(x)
    ours.batch_update(x)
    assert ours.mean() == pytest.approx(x.mean(), rel=1e-14)
    assert theirs.mean == pytest.approx(ours.mean() * 400 / 400.0001, rel=1e-12)
