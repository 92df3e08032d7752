"""What a run goes on from: state_dict, load_state_dict and pickle of the compiled environments."""

import pickle

import numpy as np
import pytest

from rfx.envs import Acrobot, CartPole, Drift, MountainCar, MountainCarContinuous, Pendulum, VecEnv
from rfx.envs.engine import NEXT_STEP
from rfx.envs.engines import batch_of
from rfx.errors import RfxError

IDS = ("CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1")
DRIFT = {
    "length": Drift(kind="walk", size=0.02, low=0.3, high=0.7, spread=0.1),
    "gravity": Drift(kind="sine", size=1, period=9, low=8, high=11, every="episode"),
}


def actions_of(env, rng):
    choices = getattr(env.action_space, "n", None)
    return (
        rng.uniform(-1, 1, (env.num_envs, 1)).astype(np.float32)
        if choices is None
        else rng.integers(choices, size=env.num_envs)
    )


def run(env, seed, steps=80):
    rng, found = np.random.default_rng(seed), []
    for _ in range(steps):
        batch = env.step_all(actions_of(env, rng))
        found.append(
            batch.obs.tobytes() + batch.rewards.tobytes() + batch.terminated.tobytes() + batch.terminal_obs.tobytes()
        )
    return found


def cases():
    return [(env_id, {"max_episode_steps": 30}) for env_id in IDS] + [
        ("CartPole-v1", {"drift": DRIFT, "masspole": 0.2})
    ]


@pytest.mark.parametrize(("env_id", "options"), cases())
@pytest.mark.parametrize("way", ["state_dict", "pickle"])
def test_a_run_goes_on_as_if_it_had_not_been_interrupted(env_id, options, way):
    env = VecEnv(env_id, 6, seed=3, **options)
    run(env, 0, 50)
    if way == "pickle":
        again = pickle.loads(pickle.dumps(env))
    else:
        again = VecEnv(env_id, 6, seed=77, **options)
        again.load_state_dict(env.state_dict())
    assert repr(again) == repr(env)
    assert run(again, 1) == run(env, 1)
    again.reset_all(3)
    env.reset_all(3)
    assert run(again, 2) == run(env, 2)
    for name, values in env.physics.items():
        np.testing.assert_array_equal(again.physics[name], values)


def test_episodes_that_have_ended_are_remembered():
    batch = batch_of("Pendulum-v1", 3, max_episode_steps=4)
    batch.reset()
    batch.set_states(batch.states, [3, 0, 3])
    out = [
        np.empty((3, 3), np.float32),
        np.empty(3),
        np.empty(3, bool),
        np.empty(3, bool),
        np.empty((3, 3), np.float32),
    ]
    batch.step(np.zeros((3, 1)), *out, NEXT_STEP)
    assert batch.state_dict()["over"].tolist() == [True, False, True]
    again = pickle.loads(pickle.dumps(batch))
    for b in (batch, again):
        b.step(np.zeros((3, 1)), *out, NEXT_STEP)
        assert b.episode_steps.tolist() == [0, 2, 0]
    assert batch.states.tobytes() == again.states.tobytes()


@pytest.mark.parametrize("make", [CartPole, Pendulum, MountainCar, MountainCarContinuous, Acrobot])
def test_single_environments_can_be_pickled(make):
    env = make(5)
    action = env.action_space.sample(0)
    env.step(action)
    again = pickle.loads(pickle.dumps(env))
    assert again.step(action).obs.tobytes() == env.step(action).obs.tobytes()
    assert again.render() == env.render()


@pytest.mark.parametrize("change", ["missing", "more", "shape", "dtype", "nan", "negative", "no dict", "out of bounds"])
def test_a_state_that_does_not_fit_changes_nothing(change):
    env = VecEnv("CartPole-v1", 4, seed=1, drift=DRIFT)
    run(env, 0, 9)
    bad = env.state_dict()
    before = {name: array.copy() for name, array in bad.items()}
    if change == "missing":
        del bad["ticks"]
    elif change == "more":
        bad["colour"] = np.zeros(4)
    elif change == "shape":
        bad["keys"] = bad["keys"][:3]
    elif change == "dtype":
        bad["positions"] = bad["positions"].astype(np.int64)
    elif change == "nan":
        bad["states"][2, 1] = np.nan
    elif change == "negative":
        bad["steps"][0] = -1
    elif change == "out of bounds":
        bad["values"][0, 0] = 5.0
    else:
        bad = [1, 2]
    with pytest.raises(RfxError):
        env.load_state_dict(bad)
    for name, array in env.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(RfxError):
        VecEnv("CartPole-v1", 4, drift=DRIFT).load_state_dict(VecEnv("CartPole-v1", 4).state_dict())
    with pytest.raises(RfxError):
        VecEnv("CartPole-v1", 4).load_state_dict(VecEnv("Pendulum-v1", 4).state_dict())
