"""The vector environment of Gymnasium over our engines: side by side with SyncVectorEnv over the single environments."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_envs import Named, Walk

gymnasium = pytest.importorskip("gymnasium", minversion="1.1")

from gymnasium.utils.env_checker import data_equivalence  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402
from gymnasium.wrappers import vector as wrappers  # noqa: E402

from rfx.envs import CartPole, Pendulum, PythonEngine, make_vec  # noqa: E402
from rfx.envs.gym_env import RfxEnv  # noqa: E402
from rfx.envs.gym_vector import RfxVectorEnv, autoreset_mode_of  # noqa: E402
from rfx.envs.registration import IDS  # noqa: E402
from rfx.envs.vector import Transition  # noqa: E402
from rfx.errors import ConfigError, EnvError, InvalidStateError, RfxError  # noqa: E402

MODES = list(AutoresetMode)


class Talker(gymnasium.Env):
    """A random walk of Gymnasium's kind that has much to say."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, limit=9, render_mode=None):
        self.limit, self.render_mode = limit, render_mode

    def _info(self, steps):
        info = {
            "at": self.at.copy(),
            "steps": steps,
            "name": "walk",
            "parts": {"x": float(self.at[0]), "deep": {"n": 1}},
        }
        return info | ({"even": True} if steps % 2 == 0 else {})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.steps = self.np_random.normal(size=2) + (options or {}).get("shift", 0.0), 0
        return self.at.astype(np.float32), self._info(0)

    def step(self, action):
        self.at = self.at + np.asarray(action) * self.np_random.random()
        self.steps += 1
        over = bool(np.abs(self.at).max() > 2.5)
        return self.at.astype(np.float32), float(self.at.sum()), over, self.steps >= self.limit, self._info(self.steps)


def close(a, b):
    """Whether infos say the same: keys, masks, values, dtypes."""
    if isinstance(a, np.ndarray) and a.dtype == object:
        return b.dtype == object and all(
            (x is None and y is None) or np.array_equal(x, y) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    return data_equivalence(a, b, exact=True)


def same(ours, theirs):
    *a, infos = ours
    *b, their_infos = theirs
    for x, y in zip(a, b, strict=True):
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    assert close(infos, their_infos), (infos, their_infos)


def side_by_side(ours, theirs, actions, seed=7):
    """Step both with the same actions; how many episodes ended."""
    mode, ends = ours.metadata["autoreset_mode"], 0
    assert theirs.metadata["autoreset_mode"] == mode
    same(ours.reset(seed=seed), theirs.reset(seed=seed))
    over = np.zeros(ours.num_envs, bool)
    for action in actions:
        if mode == AutoresetMode.DISABLED and over.any():
            same(ours.reset(options={"reset_mask": over}), theirs.reset(options={"reset_mask": over}))
        mine, other = ours.step(action), theirs.step(action)
        same(mine, other)
        over = mine[2] | mine[3]
        ends += over.sum()
    return ends


def sync_over(make, n, mode):
    return SyncVectorEnv([make] * n, autoreset_mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", [name for name, (_, steps, _) in IDS.items() if steps])
def test_each_mode_is_that_of_sync_vector_env(env_id, mode):
    n, limit = 6, 40
    ours = RfxVectorEnv(env_id, n, autoreset_mode=mode, max_episode_steps=limit)
    theirs = sync_over(lambda: RfxEnv(env_id, max_episode_steps=limit), n, mode)
    ours.action_space.seed(1)
    assert side_by_side(ours, theirs, [ours.action_space.sample() for _ in range(130)]) >= n * 2
    for name in ("single_observation_space", "single_action_space", "observation_space", "action_space"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [0, 2])
def test_infos_of_environments_of_gymnasium_are_those_of_sync_vector_env(mode, workers):
    ours = RfxVectorEnv(Talker, 4, autoreset_mode=mode, workers=workers)
    ours.action_space.seed(2)
    actions = [ours.action_space.sample() for _ in range(60)]
    assert side_by_side(ours, sync_over(Talker, 4, mode), actions) >= 8
    ours.close()
    assert ours.closed


@given(
    st.integers(0, 2**63),
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), max_size=60),
    st.sampled_from(MODES),
)
@settings(max_examples=25, deadline=None)
def test_any_actions_are_stepped_as_by_the_slow_loop(seed, actions, mode):
    n = 3
    compiled = RfxVectorEnv("CartPole-v1", n, autoreset_mode=mode, max_episode_steps=15)
    python = RfxVectorEnv(PythonEngine([lambda: CartPole(0, max_episode_steps=15)] * n), n, autoreset_mode=mode)
    slow = sync_over(lambda: RfxEnv("CartPole-v1", max_episode_steps=15), n, mode)
    side_by_side(compiled, slow, map(np.array, actions), seed)
    side_by_side(python, slow, map(np.array, actions), seed)


@given(st.lists(st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=2), max_size=60), st.sampled_from(MODES))
@settings(max_examples=25, deadline=None)
def test_any_torques_are_stepped_as_by_the_slow_loop(actions, mode):
    compiled = RfxVectorEnv("Pendulum-v1", 2, autoreset_mode=mode, max_episode_steps=15)
    python = RfxVectorEnv(PythonEngine([lambda: Pendulum(0, max_episode_steps=15)] * 2), 2, autoreset_mode=mode)
    each = [np.array(a, np.float32).reshape(2, 1) for a in actions]
    slow = sync_over(lambda: RfxEnv("Pendulum-v1", max_episode_steps=15), 2, mode)
    side_by_side(compiled, slow, each)
    side_by_side(python, slow, each)


@pytest.mark.parametrize("make", [lambda: RfxVectorEnv("CartPole-v1", 3), lambda: RfxVectorEnv(Talker, 3)])
def test_seeds_may_be_an_int_a_list_or_none_for_some(make):
    env = make()
    first = env.reset(seed=5)[0]
    np.testing.assert_array_equal(env.reset(seed=[5, 6, 7])[0], first)
    again = env.reset()[0]
    assert not np.array_equal(again, first)
    env.reset(seed=5)
    mixed = env.reset(seed=[None, 6, None])[0]
    np.testing.assert_array_equal(mixed, [again[0], first[1], again[2]])
    for bad in ([1, 2], -1, [1, 2, -1], 2.5, "123"):
        with pytest.raises((RfxError, TypeError)):
            env.reset(seed=bad)
    assert env.np_random_seed == 5


def test_a_seed_at_the_start_is_that_of_the_first_reset():
    np.testing.assert_array_equal(
        make_vec("CartPole-v1", 3, seed=9).reset()[0], make_vec("CartPole-v1", 3).reset(seed=9)[0]
    )
    assert not np.array_equal(make_vec("CartPole-v1", 3).reset()[0], make_vec("CartPole-v1", 3).reset()[0])


@pytest.mark.parametrize("env", [RfxVectorEnv("CartPole-v1", 3, autoreset_mode="Disabled"), RfxVectorEnv(Talker, 3)])
def test_a_mask_that_is_none_changes_nothing(env):
    with pytest.raises(InvalidStateError):
        env.reset(options={"reset_mask": np.ones(3, bool)})
    before = env.reset(seed=1)[0]
    for mask, error in [
        ([True, False, True], TypeError),
        (np.array([1, 0, 1]), TypeError),
        (np.ones(2, bool), ValueError),
        (np.zeros(3, bool), ValueError),
    ]:
        with pytest.raises(error, match="reset_mask"):
            env.reset(seed=2, options={"reset_mask": mask})
    mask = np.array([False, True, False])
    after = env.reset(seed=[1, 9, 1], options={"reset_mask": mask})[0]
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert not np.array_equal(after[mask], before[mask])


def test_options_reach_environments_that_take_them_and_are_refused_by_others():
    with pytest.raises(ConfigError, match="reset_mask"):
        RfxVectorEnv("CartPole-v1", 2).reset(options={"low": 0.0})
    a, b = RfxVectorEnv(Talker, 2).reset(seed=1, options={"shift": 4.0})[0], RfxVectorEnv(Talker, 2).reset(seed=1)[0]
    np.testing.assert_allclose(a, b + 4.0, rtol=1e-6)


def test_disabled_refuses_to_step_what_has_ended():
    env = RfxVectorEnv("CartPole-v1", 2, autoreset_mode="DISABLED", max_episode_steps=1)
    env.reset(seed=0)
    assert env.step(np.array([0, 1]))[3].all()
    with pytest.raises(InvalidStateError):
        env.step(np.array([0, 1]))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(InvalidStateError):
        env.step(np.array([0, 1]))
    env.reset()
    env.step(np.array([0, 1]))


def test_observations_are_copies_unless_it_is_asked_otherwise():
    env = RfxVectorEnv("CartPole-v1", 2)
    kept = env.reset(seed=0)[0]
    assert env.step([0, 1])[0] is not kept
    shared = RfxVectorEnv("CartPole-v1", 2, copy=False)
    kept = shared.reset(seed=0)[0]
    assert shared.step([0, 1])[0] is kept


def test_bad_actions_and_a_missing_reset_are_refused():
    env = RfxVectorEnv("CartPole-v1", 2)
    with pytest.raises(InvalidStateError):
        env.step([0, 1])
    before = env.reset(seed=0)[0]
    for bad in ([0, 2], [0], [0.5, 1.0], None):
        with pytest.raises(RfxError):
            env.step(bad)
    assert env.engine.states[:, :4].astype(np.float32).tobytes() == before.tobytes()


def test_modes_have_names():
    assert {autoreset_mode_of(n) for n in ("SAME_STEP", "SameStep", AutoresetMode.SAME_STEP)} == {
        AutoresetMode.SAME_STEP
    }
    with pytest.raises(ConfigError, match="NextStep"):
        RfxVectorEnv("CartPole-v1", 2, autoreset_mode="never")


@pytest.mark.parametrize("mode", MODES)
def test_statistics_of_episodes_are_those_over_sync_vector_env(mode):
    n = 4
    ours = wrappers.RecordEpisodeStatistics(RfxVectorEnv("CartPole-v1", n, autoreset_mode=mode, max_episode_steps=30))
    theirs = wrappers.RecordEpisodeStatistics(sync_over(lambda: RfxEnv("CartPole-v1", max_episode_steps=30), n, mode))
    ours.reset(seed=3)
    theirs.reset(seed=3)
    ours.action_space.seed(0)
    ended, over = 0, np.zeros(n, bool)
    for _ in range(100):
        if mode == AutoresetMode.DISABLED and over.any():
            for env in (ours, theirs):
                env.reset(options={"reset_mask": over})
            theirs.episode_returns[over], theirs.episode_lengths[over] = 0, 0  # their mask is used up before it is read
        actions = ours.action_space.sample()
        a, b = ours.step(actions), theirs.step(actions)
        over = a[2] | a[3]
        ended += over.sum()
        assert ("episode" in a[4]) == ("episode" in b[4]) == over.any()
        if over.any() and mode != AutoresetMode.DISABLED:
            for key in ("r", "l"):
                np.testing.assert_array_equal(a[4]["episode"][key], b[4]["episode"][key])
            np.testing.assert_array_equal(a[4]["_episode"], over)
    assert ended == ours.episode_count > n


def test_vector_wrappers_of_gymnasium_work():
    env = wrappers.NormalizeReward(wrappers.NormalizeObservation(make_vec("rfx/Pendulum-v1", 3)))
    env = wrappers.ClipAction(wrappers.DictInfoToList(env))
    obs, infos = env.reset(seed=0)
    for _ in range(10):
        obs, rewards, *_, infos = env.step(env.action_space.sample() * 3)
    assert obs.shape == (3, 3)
    assert np.isfinite(obs).all()
    assert np.isfinite(rewards).all()
    assert infos == [{}, {}, {}]


def test_gymnasium_makes_it_by_its_id():
    env = gymnasium.make_vec(
        "rfx/CartPole-v1", num_envs=5, vectorization_mode="vector_entry_point", autoreset_mode="SameStep"
    )
    assert isinstance(env, RfxVectorEnv)
    assert (env.engine.max_episode_steps, env.metadata["autoreset_mode"]) == (500, AutoresetMode.SAME_STEP)
    assert repr(env) == "RfxVectorEnv(rfx/CartPole-v1, num_envs=5)"
    assert env.spec.id == make_vec("rfx/CartPole-v1", 5).spec.id
    again = gymnasium.make_vec(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert (again.num_envs, again.metadata["autoreset_mode"]) == (5, AutoresetMode.SAME_STEP)
    assert gymnasium.make_vec("rfx/CartPole-v1", 2, max_episode_steps=3).engine.max_episode_steps == 3
    assert isinstance(gymnasium.make_vec("rfx/CartPole-v1", 2, vectorization_mode="sync"), SyncVectorEnv)
    with pytest.raises(ConfigError, match="rfx/Pendulum-v1"):
        make_vec("rfx/Ant-v5", 2)


def test_attributes_of_environments():
    env = make_vec(Walk, 3)
    env.reset(seed=0)
    env.set_attr("limit", 4)
    assert env.get_attr("limit") == (4, 4, 4)
    env.set_attr("limit", [1, 2, 3])
    assert env.call("__getattribute__", "limit") == (1, 2, 3)
    assert make_vec("CartPole-v1", 2).get_attr("max_episode_steps") == (500, 500)
    with pytest.raises(AttributeError):
        make_vec("CartPole-v1", 2).set_attr("limit", 4)


@pytest.mark.parametrize("name", list(IDS))
def test_compiled_environments_render_as_the_single_ones(name):
    env = gymnasium.make_vec(f"rfx/{name}", 2, vectorization_mode="vector_entry_point", render_mode="rgb_array")
    env.reset(seed=4)
    frames = env.render()
    for i, frame in enumerate(frames):
        single = RfxEnv(name, render_mode="rgb_array")
        single.reset(seed=4 + i)
        np.testing.assert_array_equal(frame, single.render())
    with pytest.warns(UserWarning, match="render_mode"):
        assert make_vec(name, 2).render() is None
    with pytest.raises(ConfigError, match="rgb_array"):
        make_vec(name, 2, render_mode="ansi").render()
    with pytest.raises(ConfigError, match="human"):
        make_vec(name, 2, render_mode="human")


def test_environments_of_python_render_each_in_their_manner():
    class Painter(Talker):
        def render(self):
            return f"{self.render_mode} {self.steps}"

    class Ours(Walk):
        def render(self, mode="text"):
            return f"{mode} {self.steps}"

    for kind, text in ((Painter, "ansi 0"), (Ours, "text 0")):
        env = make_vec(kind, 2, render_mode="ansi")
        env.reset(seed=0)
        assert env.render() == (text, text)


def test_a_killed_worker_can_be_replaced():
    env = make_vec(Walk, 4, workers=2, autoreset_mode="DISABLED")
    env.reset(seed=0)
    env.step([0] * 4)
    os.kill(env.engine.processes[0], signal.SIGKILL)
    with pytest.raises(EnvError, match="SIGKILL"):
        env.step([0] * 4)
    env.reset(options={"reset_mask": env.restart_workers()})
    assert list(env.step([0] * 4)[0][:, 1]) == [1, 1, 3, 3]
    env.close()
    with pytest.raises(InvalidStateError):
        make_vec("CartPole-v1", 2).restart_workers()


def test_names_are_flattened():
    env = make_vec(Named, 2)
    assert env.single_observation_space.shape == (14,)
    assert env.reset(seed=0)[0] in env.observation_space
    assert env.action_space.shape == (2, 2)
    assert env.step(env.action_space.sample())[1].dtype == np.float64


def test_transition_infos_of_our_own_kind_arrive():
    class Ours(Walk):
        def step(self, action):
            t = super().step(action)
            return Transition(t.obs, t.reward, t.terminated, t.truncated, None)

    env = make_vec(Ours, 2)
    env.reset(seed=0)
    assert env.step([0, 1])[4] == {}


def test_without_gymnasium_one_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "import rfx, rfx.envs\n"
        "rfx.envs.VecEnv('CartPole-v1', 2)\n"
        "for name in ('gym_env', 'gym_vector', 'sb3'):\n"
        "    try: __import__('rfx.envs.' + name)\n"
        "    except rfx.RfxError as error: print(isinstance(error, ImportError), error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.count("True") == out.count("pip install") >= 2


def test_importing_the_environments_does_not_import_gymnasium():
    code = "import sys, rfx.envs; rfx.envs.VecEnv('CartPole-v1', 2); print('gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
