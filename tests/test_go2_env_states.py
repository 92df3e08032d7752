"""The batched Go2 to keep: seeds, states, pickles, tasks as JSON; its faces; numbers that stay finite."""

import json
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("mujoco")

from go2_oracle import arrays_for

from rfx.errors import ConfigError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.robots import LAYOUTS
from rfx.seeding import derive_seed
from rfx.sim import TASKS, Go2Batch, Go2Env, Go2VecEnv, task_from_dict, task_to_dict

# -- seeds, states


def rollout(envs, steps, seed=0, width=1.0):
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        step = envs.step_all(rng.normal(0, width, (envs.num_envs, 12)).astype(np.float32))
        seen.append([a.tobytes() for a in (step.obs, step.rewards, step.terminated, step.truncated, step.terminal_obs)])
    return seen


def test_a_seed_gives_the_same_rollout_again():
    envs = Go2VecEnv(3, seed=7, task="walk_randomised", episode_seconds=0.5)
    first = rollout(envs, 40)
    envs.reset_all(7)
    assert rollout(envs, 40) == first
    assert rollout(Go2VecEnv(3, seed=8, task="walk_randomised", episode_seconds=0.5), 40) != first


def test_environment_i_has_the_stream_of_its_derived_seed():
    many, one = Go2Batch(3, randomisation="robot"), Go2Env(task="walk", randomisation="robot")
    many.seed_from(5)
    assert np.array_equal(many.reset()[2], one.reset(derive_seed(5, 2)))


@pytest.mark.parametrize(("task", "options"), [("walk", {}), ("walk_randomised", {}), ("walk", {"terrain": "stairs"})])
def test_a_rollout_goes_on_to_the_byte_from_a_state_and_from_a_pickle(task, options):
    envs = Go2VecEnv(3, seed=1, task=task, episode_seconds=0.4, **options)
    rollout(envs, 13)
    state, copy = envs.batch.state_dict(), pickle.loads(pickle.dumps(envs.batch))
    went_on = rollout(envs, 30, seed=4)
    envs.batch.load_state_dict(state)
    assert rollout(envs, 30, seed=4) == went_on
    other = Go2VecEnv(3, seed=99, task=task, episode_seconds=0.4, **options)
    other.batch = copy
    assert rollout(other, 30, seed=4) == went_on


def test_a_state_that_does_not_fit_is_refused_and_nothing_changes():
    envs, twin = Go2VecEnv(2, seed=1), Go2VecEnv(2, seed=1)
    state = envs.batch.state_dict()
    robots = state["robots"].copy()
    robots["delay"] = 100
    wild = state["robots"].copy()
    wild["command"][0, 0] = np.nan
    for wrong in (
        {},
        {**state, "extra": 1},
        {**state, "physics": state["physics"][:1]},
        {**state, "sums": state["sums"].astype(np.float32)},
        {**state, "robots": robots},
        {**state, "robots": wild},
    ):
        with pytest.raises(RfxError):
            envs.batch.load_state_dict(wrong)
    assert rollout(envs, 3) == rollout(twin, 3)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**64 - 1), st.sampled_from([0.3, 3.0, 50.0]), st.sampled_from(list(LAYOUTS)))
def test_numbers_stay_finite_under_random_actions(seed, width, layout):
    envs = Go2VecEnv(16, seed=seed, layout=layout, task="walk_randomised", episode_seconds=1.0)
    rng, step = np.random.default_rng(seed), None
    for _ in range(60):
        step = envs.step_all(rng.normal(0, width, (16, 12)), step)
        assert np.isfinite(step.obs).all()
        assert np.isfinite(step.terminal_obs).all()
        assert np.isfinite(step.rewards).all()
        assert (np.abs(step.obs) <= 100.0).all()


# -- faces


def test_one_environment_gives_transitions_with_the_terms_as_info():
    env = Go2Env(3, episode_seconds=0.06)
    obs = env.reset(3)
    assert obs.shape == env.observation_space.shape
    assert env.observation_space.contains(obs)
    for k in range(3):
        step = env.step(np.zeros(12))
        assert step.truncated == (k == 2)
        assert not step.terminated
    assert step.info["tracking_lin_vel"] > 0.0
    with pytest.raises(InvalidStateError, match="reset"):
        env.step(np.zeros(12))
    with pytest.raises(ShapeError, match="12"):
        env.step(np.zeros((1, 12)))
    assert np.array_equal(env.reset(3), obs)


def test_a_picture_shows_the_robot():
    env = Go2Env(0)
    picture = env.render(96, 72)
    assert picture.shape == (72, 96, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    assert not np.array_equal(Go2VecEnv(2, terrain="stairs").batch.render(1, 96, 72), picture)


def test_commands_can_be_set_and_are_seen():
    envs = Go2Batch(2)
    envs.commands = [[0.5, 0.0, 0.1], [0.0, 0.3, 0.0]]
    out = arrays_for(envs)
    envs.step(np.zeros((2, 12)), *out)
    assert out[0][:, 9:12] == pytest.approx(np.array([[1.0, 0.0, 0.025], [0.0, 0.6, 0.0]]))
    with pytest.raises(InvalidValueError, match="finite"):
        envs.commands = np.full((2, 3), np.nan)


def test_two_threads_on_one_batch_take_turns():
    envs, twin, ends = Go2Batch(4), Go2Batch(4), []

    def run():
        out = arrays_for(envs)
        for _ in range(20):
            envs.step(np.zeros((4, 12)), *out)
        ends.append(out[0])

    workers = [threading.Thread(target=run) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    out = arrays_for(twin)
    for _ in range(40):
        twin.step(np.zeros((4, 12)), *out)
    assert any(np.array_equal(end, out[0]) for end in ends)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_goes_through_json(name):
    plain = json.loads(json.dumps(task_to_dict(TASKS[name])))
    assert task_from_dict(plain) == TASKS[name]
    with pytest.raises(ConfigError, match="Commands"):
        task_from_dict({**plain, "commands": {}})
    with pytest.raises(ConfigError, match="Go2Task"):
        task_from_dict({})


def test_they_say_what_they_are():
    assert repr(Go2Batch(2, threads=2)) == "Go2Batch(2, threads=2, layout='legged_gym')"
    assert repr(Go2VecEnv(1)) == "Go2VecEnv(1, layout='legged_gym')"
    assert repr(Go2Env(layout="rl_sar")) == "Go2Env(layout='rl_sar')"
