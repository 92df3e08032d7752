"""Environments of Python behind the engine interface: in turn, and what is checked before anything moves."""

from functools import partial

import numpy as np
import pytest
from python_envs import Moody, Named, Odd, Walk, cannot_be_made, odd_spaces

from rfx.envs import Box, PythonEngine, VecEnv, engine_of
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.errors import ConfigError, DTypeError, EnvError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.seeding import derive_seed


def outputs(n, d):
    return np.empty((n, d), np.float32), np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty((n, d), np.float32)


def begun(engine, seed=5):
    engine.seed_from(seed)
    engine.reset()
    return engine


@pytest.mark.parametrize("mode", [SAME_STEP, NEXT_STEP, DISABLED])
def test_each_mode_is_the_slow_loop_over_single_environments(mode):
    n, rng = 5, np.random.default_rng(0)
    engine = begun(PythonEngine([Walk] * n))
    alone = [Walk() for _ in range(n)]
    seen = [env.reset(derive_seed(5, i)) for i, env in enumerate(alone)]
    over = np.zeros(n, bool)
    out = outputs(n, 2)
    ends = 0
    for _ in range(150):
        actions = rng.integers(2, size=n)
        if mode == DISABLED and over.any():
            reset = engine.reset(mask=over)
            for i in np.flatnonzero(over):
                assert reset[i].tobytes() == alone[i].reset().tobytes()
            over[:] = False
        engine.step(actions, *out, mode)
        obs, rewards, terminated, truncated, led_to = out
        for i, env in enumerate(alone):
            if mode == NEXT_STEP and over[i]:
                seen[i] = first = env.reset()
                want = (first, 0.0, False, False, first)
            else:
                t = env.step(actions[i])
                want = (t.obs, t.reward, t.terminated, t.truncated, t.obs)
                if mode == SAME_STEP and (t.terminated or t.truncated):
                    want = (env.reset(), *want[1:])
            assert (obs[i].tobytes(), led_to[i].tobytes()) == (want[0].tobytes(), want[4].tobytes())
            assert (rewards[i], terminated[i], truncated[i]) == want[1:4]
            over[i] = (want[2] or want[3]) and mode != SAME_STEP
            ends += want[2] or want[3]
    assert ends >= 2 * n
    assert engine.max_episode_steps == 20


def test_infos_are_those_of_the_observation_and_of_the_end():
    engine = begun(PythonEngine([partial(Walk, limit=2)] * 2))
    out = outputs(2, 2)
    engine.step([1, 0], *out, SAME_STEP)
    assert [info["at"] for info in engine.infos] == [env.at for env in engine.envs]
    assert engine.final_infos == [{}, {}]
    engine.step([1, 0], *out, SAME_STEP)
    assert engine.infos == [{}, {}]
    np.testing.assert_allclose([info["at"] for info in engine.final_infos], out[4][:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("actions", "error"),
    [([0, 1, 2], InvalidValueError), ([0, 1], ShapeError), ([0.0, 1.0, 0.0], DTypeError), ([[0], [1], [0]], ShapeError),
     ([True, False, True], DTypeError), ([0, 1, -1], InvalidValueError), ([0, 1, None], DTypeError)],
)  # fmt: skip
def test_one_bad_action_moves_nothing(actions, error):
    engine = begun(PythonEngine([Walk] * 3))
    before = [env.at for env in engine.envs]
    with pytest.raises(error):
        engine.step(actions, *outputs(3, 2), SAME_STEP)
    assert [env.at for env in engine.envs] == before


def test_arrays_that_do_not_fit_move_nothing():
    engine = begun(PythonEngine([Walk] * 3))
    good = outputs(3, 2)
    before = [env.at for env in engine.envs]
    for k, bad in enumerate([np.empty((3, 3), np.float32), np.empty(3, np.float32), np.empty(2, bool), None, "x"]):
        with pytest.raises(RfxError):
            engine.step([0, 1, 0], *good[:k], bad, *good[k + 1 :], SAME_STEP)
    with pytest.raises(ConfigError):
        engine.step([0, 1, 0], *good, 3)
    assert [env.at for env in engine.envs] == before


def test_the_action_of_an_environment_that_begins_anew_is_not_looked_at():
    engine = begun(PythonEngine([partial(Walk, limit=1)] * 2))
    out = outputs(2, 2)
    engine.step([0, 1], *out, NEXT_STEP)
    assert out[3].all()
    engine.step([77, -5], *out, NEXT_STEP)
    assert not out[3].any()
    with pytest.raises(InvalidValueError):
        engine.step([77, -5], *out, NEXT_STEP)


def test_a_step_before_the_reset_or_after_the_end_is_refused():
    engine = PythonEngine([partial(Walk, limit=1)] * 2)
    out = outputs(2, 2)
    with pytest.raises(InvalidStateError, match="never reset"):
        engine.step([0, 1], *out, SAME_STEP)
    begun(engine).step([0, 1], *out, DISABLED)
    for mode in (DISABLED, SAME_STEP):
        with pytest.raises(InvalidStateError, match="has ended"):
            engine.step([0, 1], *out, mode)


def test_what_an_environment_raises_says_which_and_the_others_go_on():
    engine = begun(PythonEngine([Walk, Moody, Walk]))
    out = outputs(3, 2)
    for _ in range(3):
        engine.step([1, 1, 1], *out, SAME_STEP)
    with pytest.raises(EnvError, match="environment 1 failed: ValueError: a bad day") as caught:
        engine.step([0, 0, 0], *out, SAME_STEP)
    assert caught.value.environments == (1,)
    assert isinstance(caught.value.__cause__, ValueError)
    assert list(out[0][:, 1]) == [4, 3, 4]
    with pytest.raises(InvalidStateError, match="environment 1"):
        engine.step([0, 0, 0], *out, SAME_STEP)
    engine.reset(mask=np.array([False, True, False]))
    engine.step([0, 0, 0], *out, SAME_STEP)
    assert list(out[0][:, 1]) == [5, 1, 5]


@pytest.mark.parametrize("what", ["shape", "nan", "text", "reward", "flag", "four"])
def test_what_is_none_of_the_space_is_an_error(what):
    engine = begun(PythonEngine([Walk, partial(Odd, what)]))
    out = outputs(2, 2)
    with pytest.raises(EnvError, match="environment 1"):
        engine.step([0, 0], *out, SAME_STEP)
    assert np.isfinite(out[0]).all()
    assert np.isfinite(out[1]).all()


def test_observations_of_names_become_rows_as_gymnasium_flattens_them():
    from rfx.envs.spaces import to_gymnasium

    spaces = pytest.importorskip("gymnasium.spaces")
    engine = PythonEngine([Named] * 2)
    obs = begun(engine).reset()
    want = to_gymnasium(Named.observation_space)
    for i in range(2):
        value = engine.envs[i]._obs()
        np.testing.assert_array_equal(obs[i], spaces.flatten(want, {**value, "gear": np.int64(value["gear"])}))
    assert engine.observation_space == Box(engine.observation_space.low, engine.observation_space.high, (14,))
    engine.step([[1, 3], [0, 2]], *outputs(2, 14), SAME_STEP)
    with pytest.raises(InvalidValueError):
        engine.step([[1, 4], [0, 2]], *outputs(2, 14), SAME_STEP)


def test_integers_that_float32_cannot_hold_are_refused():
    from rfx.envs.flat import flat_space

    with pytest.raises(ConfigError, match="float32"):
        flat_space(Box(0, 2**30, (2,), np.int64))
    assert flat_space(Box(0, 255, (2, 3), np.uint8)).shape == (6,)


def test_what_makes_no_environments_is_refused():
    with pytest.raises(ConfigError, match="no reset"):
        PythonEngine([dict])
    with pytest.raises(ConfigError, match="differs"):
        PythonEngine([Walk, odd_spaces])
    with pytest.raises(EnvError, match="environment 1 failed: OSError: no such device"):
        PythonEngine([Walk, cannot_be_made])
    with pytest.raises(DTypeError, match="a class or a factory"):
        engine_of(3, 2)
    for bad in ([Walk], [Walk, None]):
        with pytest.raises(ConfigError):
            engine_of(bad, 2)
    with pytest.raises(ConfigError, match="one call"):
        engine_of("CartPole-v1", 2, workers=1)


def test_attributes_and_methods_of_all_or_some():
    engine = begun(PythonEngine([Walk] * 3))
    engine.set_attr("limit", [1, 2, 3])
    assert engine.get_attr("limit", [2, 0]) == [3, 1]
    assert engine.call("render", indices=1) == [f"at {engine.envs[1].at:.2f}"]
    with pytest.raises(AttributeError):
        engine.get_attr("nothing")
    with pytest.raises(InvalidValueError):
        engine.get_attr("limit", [3])


def test_a_class_of_the_user_in_a_vec_env():
    with VecEnv(Walk, 4, seed=1, limit=5) as envs:
        assert repr(envs) == "VecEnv('Walk', num_envs=4)"
        batch = envs.step_all([1] * 4)
        assert batch.obs.shape == (4, 2)
        again = VecEnv(envs.engine, 4, seed=1)
        assert again.engine is envs.engine
    with pytest.raises(InvalidStateError, match="closed"):
        envs.step_all([1] * 4)
    envs.close()


def test_seeds_for_some_leave_the_others_alone():
    a, b = begun(PythonEngine([Walk] * 3), 1), begun(PythonEngine([Walk] * 3), 1)
    a.seed([7, 7, 7], mask=np.array([False, True, False]))
    x, y = a.reset(), b.reset()
    assert [x[i].tobytes() == y[i].tobytes() for i in range(3)] == [True, False, True]
    assert x[1].tobytes() == Walk().reset(7).tobytes()
    for bad in ([1, 2], [1, 2, -1], [1, 2, 0.5]):
        with pytest.raises(RfxError):
            a.seed(bad)
