"""rfx.envs.Drift: physics that change with time, in bounds, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.envs import CartPole, Drift, Pendulum, VecEnv
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.seeding import derive_seed

LENGTH = {"low": 0.25, "high": 1.0}


def lengths(env, steps):
    found = [env.physics["length"]]
    for _ in range(steps):
        env.step_all(np.ones(env.num_envs, int))
        found.append(env.physics["length"])
    return np.array(found)


def test_a_line_goes_up_and_stops_at_its_bound():
    env = VecEnv("CartPole-v1", 3, drift={"length": Drift(kind="linear", size=0.05, **LENGTH)})
    seen = lengths(env, 15)
    expected, value = [0.5], 0.5
    for _ in range(15):
        value = min(value + 0.05, 1.0)
        expected.append(value)
    np.testing.assert_array_equal(seen, np.repeat(np.array(expected)[:, None], 3, 1))


def test_a_sine_swings_about_the_middle_in_each_with_a_phase_of_its_own():
    env = VecEnv("CartPole-v1", 50, drift={"length": Drift(kind="sine", size=0.2, period=40, **LENGTH)})
    seen = lengths(env, 80)
    np.testing.assert_allclose(seen[:41], seen[40:], atol=1e-12)
    np.testing.assert_allclose(seen[:20] + seen[20:40], 1.0, atol=1e-12)
    np.testing.assert_allclose(seen.max(0), 0.7, atol=0.001)
    assert len(np.unique(seen[0])) == 50


def test_a_walk_takes_steps_of_all_lengths_and_is_reflected():
    env = VecEnv("CartPole-v1", 40, drift={"length": Drift(kind="walk", size=0.03, low=0.45, high=0.55)})
    seen = lengths(env, 400)
    steps = np.diff(seen, axis=0)
    assert seen.min() >= 0.45
    assert seen.max() <= 0.55
    assert abs(steps).max() <= 0.03
    assert abs(steps).max() > 0.029
    assert abs(seen[-200:].mean() - 0.5) < 0.01
    assert ((seen == 0.45) | (seen == 0.55)).sum() == 0


def test_what_drifts_per_episode_changes_when_one_begins():
    env = VecEnv(
        "Pendulum-v1",
        4,
        max_episode_steps=5,
        drift={"g": Drift(kind="linear", size=1, low=0, high=20, every="episode")},
    )
    seen = []
    for _ in range(17):
        seen.append(env.physics["g"][2])
        env.step_all(np.zeros((4, 1)))
    assert seen == [10] * 5 + [11] * 5 + [12] * 5 + [13] * 2
    env.reset_all()
    assert env.physics["g"].tolist() == [14] * 4


def test_a_step_is_that_of_the_physics_as_they_were():
    env = VecEnv("CartPole-v1", 1, seed=4, drift={"length": Drift(kind="walk", size=0.1, **LENGTH)})
    for _ in range(30):
        state, length = env.engine.states, env.physics["length"][0]
        batch = env.step_all([1])
        fixed = CartPole(0, length=length)
        fixed.engine.set_states(state)
        assert fixed.step(1).obs.tobytes() == batch.terminal_obs[0].tobytes()


def test_seeding_begins_drift_anew_and_first_states_do_not_depend_on_it():
    drift = {"length": Drift(kind="walk", size=0.1, spread=0.2, **LENGTH)}
    a, b = VecEnv("CartPole-v1", 20, seed=9, drift=drift), VecEnv("CartPole-v1", 20, seed=9, drift=drift)
    first, again = lengths(a, 60), lengths(b, 60)
    assert first.tobytes() == again.tobytes()
    a.reset_all(9)
    assert lengths(a, 60).tobytes() == first.tobytes()
    assert len(np.unique(first[0])) == 20
    assert (abs(first[0] - 0.5) <= 0.2).all()
    np.testing.assert_array_equal(VecEnv("CartPole-v1", 20, seed=9).reset_all(9), a.reset_all(9))


def test_many_drift_as_each_does_alone():
    drift = {
        "g": Drift(kind="sine", size=3, period=30, low=5, high=12, every="step"),
        "mass": Drift(kind="walk", size=0.2, low=0.5, high=2.0, every="episode", spread=0.3),
    }
    many = VecEnv("Pendulum-v1", 5, seed=1, max_episode_steps=20, drift=drift)
    alone = [Pendulum(derive_seed(1, i), max_episode_steps=20, drift=drift) for i in range(5)]
    rng = np.random.default_rng(0)
    for _ in range(70):
        actions = rng.uniform(-2, 2, (5, 1)).astype(np.float32)
        batch = many.step_all(actions)
        for i, env in enumerate(alone):
            one = env.step(actions[i])
            assert one.obs.tobytes() == batch.terminal_obs[i].tobytes()
            if one.truncated:
                env.reset()
            assert {k: v[i] for k, v in many.physics.items()} == {k: v[0] for k, v in env.physics.items()}


@given(
    kind=st.sampled_from(["linear", "sine", "walk"]),
    size=st.floats(0, 10),
    low=st.floats(0.1, 0.5),
    high=st.floats(0.5, 3),
    spread=st.floats(0, 5),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=60, deadline=None)
def test_no_number_ever_leaves_its_bounds(kind, size, low, high, spread, seed):
    period = 7.0 if kind == "sine" else None
    drift = {"length": Drift(kind=kind, size=size, low=low, high=high, spread=spread, period=period)}
    env = VecEnv("CartPole-v1", 4, seed=seed, drift=drift)
    for _ in range(20):
        batch = env.step_all([1, 0, 1, 0])
        assert np.isfinite(batch.obs).all()
        assert ((env.physics["length"] >= low) & (env.physics["length"] <= high)).all()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"kind": "jump", "size": 1, **LENGTH}, ConfigError),
        ({"kind": "walk", "size": -1, **LENGTH}, InvalidValueError),
        ({"kind": "walk", "size": 1, "low": 2, "high": 1}, InvalidValueError),
        ({"kind": "sine", "size": 1, **LENGTH}, ConfigError),
        ({"kind": "walk", "size": 1, "period": 3, **LENGTH}, ConfigError),
        ({"kind": "sine", "size": 1, "period": 0, **LENGTH}, InvalidValueError),
        ({"kind": "walk", "size": 1, "every": "day", **LENGTH}, ConfigError),
        ({"kind": "walk", "size": "1", **LENGTH}, DTypeError),
        ({"kind": "walk", "size": 1, "low": float("nan"), "high": 1}, InvalidValueError),
    ],
)
def test_a_drift_that_makes_no_sense_is_refused(bad, error):
    with pytest.raises(error):
        Drift(**bad)


def test_bounds_must_be_values_that_the_number_may_have():
    for drift in (
        {"length": Drift(kind="walk", size=0.1, low=0.0, high=1.0)},
        {"length": Drift(kind="walk", size=0.1, low=0.6, high=1.0)},
    ):
        with pytest.raises(InvalidValueError):
            VecEnv("CartPole-v1", 2, drift=drift)
    for drift in ({"colour": Drift(kind="walk", size=0.1, **LENGTH)}, {"length": 0.1}, {}, [1]):
        with pytest.raises(ConfigError):
            VecEnv("CartPole-v1", 2, drift=drift)


def test_without_drift_the_physics_are_the_same_in_all():
    physics = VecEnv("MountainCar-v0", 3, force=0.002).physics
    assert {k: v.tolist() for k, v in physics.items()} == {
        "force": [0.002] * 3,
        "gravity": [0.0025] * 3,
        "goal_velocity": [0.0] * 3,
    }


def test_a_single_environment_may_drift_until_its_episode_ends():
    env = CartPole(0, drift={"length": Drift(kind="linear", size=0.01, **LENGTH)}, max_episode_steps=2)
    env.step(1)
    env.step(0)
    assert env.physics["length"].tolist() == [0.5 + 0.01 + 0.01]
    with pytest.raises(InvalidStateError):
        env.step(1)
    assert env.physics["length"].tolist() == [0.5 + 0.01 + 0.01]
