"""rfx.estimators.gae in the three autoreset modes of Gymnasium."""

import numpy as np
import pytest
from gae_parts import plain
from rollouts import EXACT, Rollout

from rfx.errors import DTypeError, ShapeError
from rfx.estimators import gae, next_step_rows


class Corridor:
    """Walk right; over at 5 (terminated) or after 7 steps (truncated). Each episode starts and pays differently."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.place, self.age = int(self.rng.integers(0, 4)), 0
        return self.place

    def step(self):
        self.age += 1
        self.place += int(self.rng.integers(-1, 3))
        return self.place, float(self.rng.normal()), self.place >= 5, self.age >= 7


def value(place):
    return np.sin(3.0 * np.asarray(place)) * 4.0


def episodes(seed, steps):
    """Steps of one environment, as (place, reward, terminated, truncated, place after it)."""
    env, found = Corridor(seed), []
    place = env.reset()
    while len(found) < steps:
        after, reward, terminated, truncated = env.step()
        found.append((place, reward, terminated, truncated, after))
        place = env.reset() if terminated or truncated else after
    return found, place


def truth(found):
    """Advantages episode by episode, from arrays that know nothing of resets."""
    result, first = [], 0
    for t, (_, _, terminated, truncated, after) in enumerate(found):
        if terminated or truncated or t == len(found) - 1:
            part = found[first : t + 1]
            rewards, places = np.array([s[1] for s in part]), np.array([s[0] for s in part])
            ahead = 0.0 if terminated else value(after)
            result += [*plain(rewards, value(places), np.zeros(len(part)), ahead, 0.97, 0.9)]
            first = t + 1
    return np.array(result)


def test_same_step_and_disabled_autoreset():
    # both: the row after an end is the first of the next episode; the final observation came apart (info["final_obs"]),
    # or before the reset that the user asked for
    for seed in range(50):
        found, place = episodes(seed, 60)
        places, rewards, terminated, truncated, after = (np.array(c) for c in zip(*found, strict=True))
        final = np.where(truncated, value(after), np.nan)
        got, _ = gae(rewards, value(places), terminated, truncated, final, value(place), 0.97, 0.9)
        np.testing.assert_allclose(got, truth(found), rtol=0, atol=EXACT)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_next_step_autoreset(start):
    for seed in range(50):
        found, place = episodes(seed, 60)
        rows, real_rows = [], []
        for s in found:
            rows.append(s)
            real_rows.append(True)
            if s[2] or s[3]:  # the reset takes a row of its own, which begins with the final observation
                rows.append((s[4], 0.0, False, False, None))
                real_rows.append(False)
        last = value(rows[-1][4] if real_rows[-1] else place)
        before = start > 0 and not real_rows[start]
        places, rewards, terminated, truncated, _ = (np.array(c) for c in zip(*rows[start:], strict=True))
        final, real = next_step_rows(value(places), last, terminated, truncated, ended_before=np.bool_(before))
        np.testing.assert_array_equal(real, real_rows[start:])
        got, _ = gae(rewards, value(places), terminated, truncated, final, last, 0.97, 0.9)
        np.testing.assert_allclose(got[real], truth(found)[sum(real_rows[:start]) :], rtol=0, atol=EXACT)


def gymnasium_corridors(mode, n):
    gymnasium = pytest.importorskip("gymnasium")

    class Env(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-20, 20, (1,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)

        def __init__(self, seed):
            self.walk = Corridor(seed)

        def reset(self, *, seed=None, options=None):
            return np.array([self.walk.reset()], np.float64), {}

        def step(self, action):
            place, reward, terminated, truncated = self.walk.step()
            return np.array([place], np.float64), reward, terminated, truncated, {}

    modes = gymnasium.vector.AutoresetMode
    return gymnasium.vector.SyncVectorEnv([lambda i=i: Env(i) for i in range(n)], autoreset_mode=modes[mode])


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP", "DISABLED"])
def test_gymnasium_rollouts_in_each_autoreset_mode(mode):
    n, steps = 4, 60
    envs = gymnasium_corridors(mode, n)
    obs, _ = envs.reset()
    columns = []
    for _ in range(steps):
        after, rewards, terminated, truncated, infos = envs.step(np.zeros(n, int))
        ended, final = terminated | truncated, after[:, 0].copy()
        if mode == "SAME_STEP" and ended.any():
            final[ended] = np.stack(infos["final_obs"][ended])[:, 0]
        columns.append((value(obs[:, 0]), rewards, terminated, truncated, value(final)))
        if mode == "DISABLED" and ended.any():
            after, _ = envs.reset(options={"reset_mask": ended})
        obs = after.copy()
    values, rewards, terminated, truncated, final = (np.array(c) for c in zip(*columns, strict=True))
    real, last = np.ones((steps, n), bool), value(obs[:, 0])
    if mode == "NEXT_STEP":
        final, real = next_step_rows(values, last, terminated, truncated)
        np.testing.assert_array_equal(rewards[~real], 0.0)
    assert truncated.any()
    assert terminated.any()
    advantages, _ = gae(rewards, values, terminated, truncated, final, last, 0.97, 0.9)
    for i in range(n):
        found, _ = episodes(i, real[:, i].sum())
        np.testing.assert_allclose(advantages[real[:, i], i], truth(found), rtol=0, atol=EXACT)


def test_next_step_rows_takes_environment_major_arrays():
    case = Rollout(np.random.default_rng(7), 20, 4)
    final, real = next_step_rows(case.values, case.last, case.terminated, case.truncated)
    turned = next_step_rows(case.values.T, case.last, case.terminated.T, case.truncated.T, time_axis=1)
    np.testing.assert_array_equal(turned[0], final.T)
    np.testing.assert_array_equal(turned[1], real.T)


def test_next_step_rows_refuses_what_does_not_fit():
    flags = np.zeros((3, 2), bool)
    with pytest.raises(ShapeError, match="last_values"):
        next_step_rows(np.zeros((3, 2)), np.zeros(3), flags, flags)
    with pytest.raises(ShapeError, match="truncated"):
        next_step_rows(np.zeros((3, 2)), np.zeros(2), flags, flags.T)
    with pytest.raises(DTypeError, match="terminated"):
        next_step_rows(np.zeros((3, 2)), np.zeros(2), flags.astype(int), flags)
