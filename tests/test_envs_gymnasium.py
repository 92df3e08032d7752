"""rfx.envs against Gymnasium and rlox: the same trajectories, first states and resets."""

import numpy as np
import pytest
from envs_parts import CHOICES, TIME_LIMIT, actions_of, follow_gymnasium, gymnasium, outputs
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.envs import CartPole, Pendulum
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.engines import batch_of
from rfx.errors import ConfigError, InvalidStateError, RfxError


@pytest.mark.parametrize("env_id", sorted(TIME_LIMIT))
@given(seed=st.integers(0, 2**31), data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_sequence_of_actions_is_gymnasiums(env_id, seed, data):
    one = st.integers(0, CHOICES[env_id] - 1) if env_id in CHOICES else st.floats(-3, 3, width=32)
    sequence = data.draw(st.lists(one, min_size=1, max_size=60))
    actions = iter(sequence)

    def choose(states):
        action = next(actions)
        return np.array([action]) if env_id in CHOICES else np.array([[action]], np.float32)

    compared, _ = follow_gymnasium(env_id, 1, len(sequence), choose, seed % 1000)
    assert compared >= 1


@pytest.mark.parametrize("env_id", ["MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"])
def test_first_states_are_spread_as_gymnasiums(env_id):
    ours = batch_of(env_id, 4000)
    ours.seed_from(0)
    obs = ours.reset()
    env = gymnasium.make(env_id).unwrapped
    seen = [env.reset(seed=i)[0] for i in range(300)]
    states = ours.states
    if env_id == "Acrobot-v1":
        assert states.dtype == np.float64
        np.testing.assert_array_equal(states, states.astype(np.float32))
        assert (abs(states) <= np.float32(0.1)).all()
        assert abs(states).max() > 0.099
        exact = np.stack([f(states[:, k]) for k in (0, 1) for f in (np.cos, np.sin)], 1)
        np.testing.assert_array_equal(obs[:, :4], exact.astype(np.float32))
    else:
        assert states[:, 0].min() >= -0.6
        assert states[:, 0].max() < -0.4
        assert not states[:, 1].any()
    np.testing.assert_allclose(obs.mean(0), np.mean(seen, 0), atol=0.02)
    np.testing.assert_allclose(obs.std(0), np.std(seen, 0), atol=0.01)


@pytest.mark.parametrize(
    ("make", "seed", "state"),
    [
        (CartPole, 0, [0.02090754154265617, -0.003407827771038985, 0.019914324267473166, -0.04398288343658283]),
        (CartPole, 42, [0.01818961923066713, 0.045027540767248395, -0.007248359714348028, 0.012736052119734026]),
        (Pendulum, 0, [1.3136595783006406, -0.0681565554207797]),
    ],
)
def test_first_states_are_drawn_as_rlox_does(make, seed, state):
    env = make(seed)
    np.testing.assert_allclose(env.engine.states[0, : len(state)], state, rtol=1e-15)
    again = make(7)
    again.reset(seed)
    np.testing.assert_array_equal(again.engine.states, env.engine.states)


def test_a_reset_without_a_seed_goes_on_in_the_stream():
    env, other = CartPole(3), CartPole(3)
    first = env.reset()
    np.testing.assert_array_equal(first, other.reset())
    assert not np.array_equal(first, env.reset())


@pytest.mark.parametrize("env_id", sorted(TIME_LIMIT))
def test_ended_episodes_begin_anew_in_the_next_step_where_that_is_asked_for(env_id):
    n, rng = 9, np.random.default_rng(2)
    ours, twin = batch_of(env_id, n, max_episode_steps=23), batch_of(env_id, n, max_episode_steps=23)
    for batch in (ours, twin):
        batch.seed_from(3)
        batch.reset()
    obs, rewards, terminated, truncated, led_to = arrays = outputs(ours)
    alone = outputs(twin)
    over = np.zeros(n, bool)
    begun = 0
    for _ in range(120):
        actions = actions_of(env_id, rng, n)
        ours.step(np.where(over.reshape(over.shape + (1,) * (actions.ndim - 1)), 99, actions), *arrays, NEXT_STEP)
        # The twin begins the same ones anew by hand, and takes back the step that they must not take.
        first = twin.reset(mask=over)
        states, steps = twin.states, twin.episode_steps
        twin.step(actions, *alone, DISABLED)
        moved, counts = twin.states, twin.episode_steps
        ended = (alone[2] | alone[3]) & ~over
        assert obs[~over].tobytes() == alone[0][~over].tobytes() == led_to[~over].tobytes()
        assert rewards[~over].tobytes() == alone[1][~over].tobytes()
        np.testing.assert_array_equal((terminated | truncated), ended)
        assert obs[over].tobytes() == first[over].tobytes() == led_to[over].tobytes()
        assert not rewards[over].any()
        moved[over], counts[over] = states[over], steps[over]
        twin.set_states(moved, counts)
        begun += int(over.sum())
        over = ended
    assert begun > n


@pytest.mark.parametrize("mode", [SAME_STEP, DISABLED])
def test_an_ended_environment_is_stepped_by_nobody_but_next_step(mode):
    batch = batch_of("Pendulum-v1", 3, max_episode_steps=2)
    batch.reset()
    batch.set_states(batch.states, [0, 1, 0])
    arrays = outputs(batch)
    batch.step(np.zeros((3, 1)), *arrays, DISABLED)
    assert arrays[3].tolist() == [False, True, False]
    before, kept = batch.states, [a.copy() for a in arrays]
    with pytest.raises(InvalidStateError):
        batch.step(np.zeros((3, 1)), *arrays, mode)
    np.testing.assert_array_equal(batch.states, before)
    for a, b in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    batch.reset(mask=arrays[3])
    np.testing.assert_array_equal(batch.states[[0, 2]], before[[0, 2]])
    assert batch.episode_steps.tolist() == [1, 0, 1]
    batch.step(np.zeros((3, 1)), *arrays, mode)


def test_a_step_refuses_arrays_and_modes_that_do_not_fit():
    batch = batch_of("CartPole-v1", 4)
    before = batch.states
    good = outputs(batch)
    wrong = [
        np.empty((4, 3), np.float32),
        np.empty(4, np.float32),
        np.empty(5, bool),
        None,
        np.empty((4, 8), np.float32)[:, ::2],
    ]
    for i, bad in enumerate(wrong):
        with pytest.raises(RfxError):
            batch.step([1] * 4, *good[:i], bad, *good[i + 1 :], DISABLED)
    with pytest.raises(ConfigError):
        batch.step([1] * 4, *good, 3)
    for mask in (np.ones(3, bool), np.ones(4), [True] * 5):
        with pytest.raises(RfxError):
            batch.reset(mask=mask)
    np.testing.assert_array_equal(batch.states, before)
