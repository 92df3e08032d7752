"""One of our environments as Gymnasium's: its own checker, its registry, its TimeLimit."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from python_envs import Named, Walk

gymnasium = pytest.importorskip("gymnasium", minversion="1.1")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from rfx.envs import CartPole  # noqa: E402
from rfx.envs.gym_env import RfxEnv  # noqa: E402
from rfx.envs.registration import IDS, register  # noqa: E402
from rfx.errors import ConfigError  # noqa: E402

# what it says of the spaces of Gymnasium's own CartPole and Pendulum as well
AS_FOR_THEIRS = ".*(infinity|normalized space).*"


@pytest.mark.parametrize("name", list(IDS))
def test_gymnasium_finds_nothing_to_say_about_it(name):
    env = gymnasium.make(f"rfx/{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", AS_FOR_THEIRS)
        check_env(env.unwrapped)


@pytest.mark.parametrize("make", [Walk, Named])
def test_gymnasium_finds_nothing_to_say_about_environments_of_a_user(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", AS_FOR_THEIRS)
        check_env(RfxEnv(make), skip_render_check=True)


@pytest.mark.parametrize(("limit", "steps"), [(None, 200), (7, 7), (300, 300)])
def test_the_time_limit_is_that_of_gymnasium(limit, steps):
    env = gymnasium.make("rfx/Pendulum-v1", **({} if limit is None else {"max_episode_steps": limit}))
    env.reset(seed=0)
    for t in range(1, steps + 1):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert (terminated, truncated) == (False, t == steps)


def test_it_steps_as_the_environment_inside():
    env, plain = RfxEnv("rfx/CartPole-v1", gravity=3.7), CartPole(0, gravity=3.7)
    obs, info = env.reset(seed=4)
    assert (obs.tobytes(), info) == (plain.reset(4).tobytes(), {})
    for _ in range(5):
        obs, reward, terminated, truncated, info = env.step(np.int64(1))
        t = plain.step(1)
        assert (obs.tobytes(), reward, terminated, truncated, info) == (t.obs.tobytes(), 1.0, False, False, {})


def test_without_a_seed_each_begins_elsewhere():
    a, b = RfxEnv("CartPole-v1"), RfxEnv("CartPole-v1")
    assert not np.array_equal(a.reset()[0], b.reset()[0])


def test_what_it_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="rfx/CartPole-v1"):
        RfxEnv("Ant-v5")
    with pytest.raises(ConfigError, match="render_mode"):
        RfxEnv("CartPole-v1", render_mode="human")
    with pytest.raises(ConfigError, match="options"):
        RfxEnv("CartPole-v1").reset(options={"low": 1})
    with pytest.raises(ConfigError, match="options"):
        RfxEnv(CartPole(0), gravity=1.0)


def test_it_renders_a_line_of_text():
    env = gymnasium.make("rfx/CartPole-v1", render_mode="ansi")
    env.reset(seed=0)
    assert env.render().startswith("CartPole-v1 | step=0")
    with pytest.warns(UserWarning, match="render_mode"):
        assert RfxEnv("CartPole-v1").render() is None


@pytest.mark.parametrize("name", list(IDS))
def test_it_renders_pictures(name):
    env = gymnasium.make(f"rfx/{name}", render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert (frame.dtype, frame.ndim, frame.shape[2]) == (np.uint8, 3, 3)
    for _ in range(5):
        env.step(env.action_space.sample())
    assert not np.array_equal(env.render(), frame)


def test_registration_twice_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register()
    assert "rfx/CartPole-v1" in gymnasium.registry


def test_an_id_may_name_the_module_that_registers_it():
    code = "import gymnasium; print(gymnasium.make('rfx.envs.gym_env:rfx/CartPole-v1').spec.id)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "rfx/CartPole-v1\n"
    )
