"""The batched Go2 by its id: VecEnv, Gymnasium's environments, one and many."""

import pickle

import numpy as np
import pytest

from rfx.envs import VecEnv, make_vec
from rfx.errors import ConfigError
from rfx.sim import Go2Env, Go2VecEnv

gymnasium = pytest.importorskip("gymnasium")


def actions(n, steps, seed=0):
    return np.random.default_rng(seed).normal(0.0, 0.5, (steps, n, 12)).astype(np.float32)


def test_the_id_gives_the_environments_of_go2vecenv():
    by_id, by_name = VecEnv("rfx/Go2-v0", 3, seed=5, episode_seconds=0.2), Go2VecEnv(3, seed=5, episode_seconds=0.2)
    for a in actions(3, 15):
        ours, theirs = by_id.step_all(a), by_name.step_all(a)
        assert ours.obs.tobytes() == theirs.obs.tobytes()
        assert ours.rewards.tobytes() == theirs.rewards.tobytes()
    assert by_name.batch is by_name.engine


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_the_vector_environment_has_the_steps_of_the_engine_in_each_mode(mode):
    envs = make_vec("rfx/Go2-v0", 2, autoreset_mode=gymnasium.vector.AutoresetMode(mode), episode_seconds=0.1)
    obs, _ = envs.reset(seed=3)
    single = Go2Env(seed=3, episode_seconds=0.1)
    assert obs[0].tobytes() == single.reset(3).tobytes()
    for a in actions(2, 5):
        obs, rewards, terminated, truncated, infos = envs.step(a)
        t = single.step(a[0])
        led_to = infos["final_obs"][0] if "final_obs" in infos else obs[0]
        assert led_to.tobytes() == t.obs.tobytes()
        assert (rewards[0], terminated[0], truncated[0]) == (t.reward, t.terminated, t.truncated)
    assert truncated.all()


def test_some_environments_alone_are_seeded_and_reset():
    envs = make_vec("rfx/Go2-v0", 2, autoreset_mode=gymnasium.vector.AutoresetMode.DISABLED)
    first, _ = envs.reset(seed=[7, 8])
    envs.step(np.zeros((2, 12), np.float32))
    again, _ = envs.reset(seed=[7, None], options={"reset_mask": np.array([True, False])})
    assert again[0].tobytes() == first[0].tobytes()
    assert again[1].tobytes() != first[1].tobytes()


def test_gymnasium_makes_one_and_draws_it():
    env = gymnasium.make("rfx.envs.gym_env:rfx/Go2-v0", render_mode="rgb_array")
    env.reset(seed=0)
    *_, info = env.step(np.zeros(12, np.float32))
    assert "tracking_lin_vel" in info
    assert env.render().shape == (360, 480, 3)
    assert make_vec("rfx/Go2-v0", 1, render_mode="rgb_array").render()[0].shape == (360, 480, 3)


def test_one_line_says_where_the_robot_is():
    assert Go2Env(seed=0).render().startswith("Go2-v0 | t=0.00 s, trunk at ")
    with pytest.raises(ConfigError, match="rgb_array"):
        Go2Env(seed=0).render("ascii")


def test_its_physics_is_no_handful_of_numbers_that_drift():
    with pytest.raises(ConfigError, match="drift"):
        VecEnv("Go2-v0", 1, drift={"mass": None})


def test_a_pickle_goes_on_to_the_byte():
    envs = Go2VecEnv(2, seed=1)
    envs.step_all(actions(2, 1)[0])
    copy = pickle.loads(pickle.dumps(envs))
    assert type(copy) is Go2VecEnv
    for a in actions(2, 5, seed=2):
        assert copy.step_all(a).obs.tobytes() == envs.step_all(a).obs.tobytes()
