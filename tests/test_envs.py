"""rfx.envs: trajectories of Gymnasium to the last bit, seeds of rlox, and many at once."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.envs import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum, StepBatch, VecEnv
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.engines import batch_of
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.seeding import derive_seed

gymnasium = pytest.importorskip("gymnasium")
TIME_LIMIT = {
    "CartPole-v1": 500,
    "Pendulum-v1": 200,
    "MountainCar-v0": 200,
    "MountainCarContinuous-v0": 999,
    "Acrobot-v1": 500,
}
CHOICES = {"CartPole-v1": 2, "MountainCar-v0": 3, "Acrobot-v1": 3}
SINGLE = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Acrobot-v1": Acrobot,
}


def actions_of(env_id, rng, n):
    if env_id in CHOICES:
        return rng.integers(CHOICES[env_id], size=n)
    drawn = rng.uniform(-2.5, 2.5, (n, 1)).astype(np.float32)
    return np.where(rng.random((n, 1)) < 0.1, np.round(drawn), drawn)  # the bounds themselves as well


def skilled(env_id, states, rng):
    """Actions that reach where an episode ends, or keep it from ending."""
    if env_id == "CartPole-v1":
        return (states[:, 2] + 0.5 * states[:, 3] + 0.02 * states[:, 0] > 0).astype(int)
    if env_id == "Acrobot-v1":
        return 1 + np.sign(states[:, 3]).astype(int)
    pushes = np.where(states[:, 1] >= 0, 1, -1)
    if env_id == "MountainCar-v0":
        return 1 + pushes
    return (pushes * rng.uniform(0.5, 1.5, len(states))).astype(np.float32)[:, None]


def outputs(batch):
    n, d = batch.num_envs, batch.obs_dim
    return np.empty((n, d), np.float32), np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty((n, d), np.float32)


def follow_gymnasium(env_id, n, steps, choose, seed=0):
    """Step ours and theirs from the same states and compare all bits; returns how many steps, and how many ends."""
    theirs = [gymnasium.make(env_id).unwrapped for _ in range(n)]
    ours = batch_of(env_id, n)
    states = np.zeros((n, ours.state_dim))
    for i, env in enumerate(theirs):
        env.reset(seed=1000 * seed + i)
        states[i] = env.state
    ours.set_states(states)
    obs, rewards, terminated, truncated, _ = arrays = outputs(ours)
    alive = np.ones(n, bool)
    compared = 0
    for t in range(steps):
        actions = choose(ours.states)
        ours.step(actions, *arrays, DISABLED)
        moved = ours.states
        for i in np.flatnonzero(alive):
            seen, reward, ended, _, _ = theirs[i].step(actions[i])
            assert seen.tobytes() == obs[i].tobytes()
            assert (float(reward), ended) == (rewards[i], terminated[i])
            assert moved[i].tobytes() == np.asarray(theirs[i].state, np.float64).tobytes()
            assert truncated[i] == (t + 1 >= TIME_LIMIT[env_id])
            alive[i] = not (ended or truncated[i])
            compared += 1
        ours.reset(mask=~alive)
        if not alive.any():
            break
    return compared, n - int(alive.sum())


@pytest.mark.parametrize(
    ("env_id", "n", "policy"),
    [
        ("CartPole-v1", 300, "any"),
        ("CartPole-v1", 20, "skilled"),
        ("Pendulum-v1", 60, "any"),
        ("MountainCar-v0", 50, "any"),
        ("MountainCar-v0", 100, "skilled"),
        ("MountainCarContinuous-v0", 30, "any"),
        ("MountainCarContinuous-v0", 100, "skilled"),
        ("Acrobot-v1", 8, "any"),
        ("Acrobot-v1", 30, "skilled"),
    ],
)
def test_trajectories_are_those_of_gymnasium_to_the_last_bit(env_id, n, policy):
    rng = np.random.default_rng(0)

    def choose(states):
        return actions_of(env_id, rng, n) if policy == "any" else skilled(env_id, states, rng)

    compared, ended = follow_gymnasium(env_id, n, TIME_LIMIT[env_id] + 10, choose)
    assert compared > 2000
    assert ended == n


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


def test_the_example_of_the_design_document():
    env = CartPole(42)
    assert env.reset(42).shape == (4,)
    transition = env.step(1)
    assert transition.reward == 1.0
    assert env.render().startswith("CartPole-v1 | step=1 state=")
    batch = VecEnv("CartPole-v1", 64, seed=42).step_all([i % 2 for i in range(64)])
    assert (batch.obs.shape, batch.rewards.shape, batch.terminated.dtype) == ((64, 4), (64,), bool)


def test_what_was_never_made_is_not_stepped():
    batch = type(batch_of("CartPole-v1", 1)).__new__(type(batch_of("CartPole-v1", 1)), 4)
    with pytest.raises(InvalidStateError):
        batch.reset()
    with pytest.raises(InvalidStateError):
        batch.step([1] * 4, *outputs(batch), DISABLED)
    with pytest.raises(InvalidStateError):
        CartPole.__new__(CartPole).step(1)


def test_a_step_after_the_end_is_refused():
    env = CartPole(0)
    while not env.step(1).terminated:
        pass
    with pytest.raises(InvalidStateError):
        env.step(1)
    env.reset()
    env.step(1)


@pytest.mark.parametrize("action", [2, -1, 0.5, "1", None, [0, 1], True])
def test_an_action_that_is_none_changes_nothing(action):
    env = CartPole(0)
    before = env.engine.states
    with pytest.raises(RfxError):
        env.step(action)
    np.testing.assert_array_equal(env.engine.states, before)


@pytest.mark.parametrize("env_id", sorted(TIME_LIMIT))
def test_many_are_what_each_is_alone(env_id):
    n, rng = 7, np.random.default_rng(1)
    many = VecEnv(env_id, n, seed=5)
    alone = [SINGLE[env_id](derive_seed(5, i)) for i in range(n)]
    ended = 0
    for _ in range(TIME_LIMIT[env_id] + 20):
        actions = actions_of(env_id, rng, n)
        batch = many.step_all(actions)
        for i, env in enumerate(alone):
            one = env.step(actions[i])
            assert one.obs.tobytes() == batch.terminal_obs[i].tobytes()
            assert (one.reward, one.terminated, one.truncated) == (
                batch.rewards[i],
                batch.terminated[i],
                batch.truncated[i],
            )
            if one.terminated or one.truncated:
                ended += 1
                assert env.reset().tobytes() == batch.obs[i].tobytes()
            else:
                assert batch.obs[i].tobytes() == batch.terminal_obs[i].tobytes()
    assert ended >= n


def test_runs_of_neighbouring_seeds_share_no_environment():
    a, b = VecEnv("CartPole-v1", 50, seed=42).reset_all(42), VecEnv("CartPole-v1", 50, seed=43).reset_all()
    shared = {r.tobytes() for r in a} & {r.tobytes() for r in VecEnv("CartPole-v1", 50).reset_all(43)}
    assert not shared
    assert len({r.tobytes() for r in a}) == 50
    assert b.shape == (50, 4)


@pytest.mark.parametrize(
    ("env_id", "actions", "error"),
    [
        ("CartPole-v1", [0, 1, 2], InvalidValueError),
        ("CartPole-v1", [0, 1], ShapeError),
        ("CartPole-v1", [0.0, 1.0, 0.0], DTypeError),
        ("Pendulum-v1", [[0.0], [math.nan], [0.0]], InvalidValueError),
        ("Pendulum-v1", [[math.inf]] * 3, InvalidValueError),
        ("Pendulum-v1", [[0.0, 1.0]] * 3, ShapeError),
        ("Pendulum-v1", [["a"]] * 3, DTypeError),
        ("MountainCar-v0", [0, 3, 0], InvalidValueError),
        ("MountainCarContinuous-v0", [[0.0], [1.0], [math.nan]], InvalidValueError),
        ("Acrobot-v1", [0, -1, 0], InvalidValueError),
        ("Acrobot-v1", np.array([0, 2**64 - 1, 0], np.uint64), InvalidValueError),
    ],
)
def test_one_bad_action_stops_all(env_id, actions, error):
    env = VecEnv(env_id, 3)
    before = env.engine.states
    with pytest.raises(error):
        env.step_all(actions)
    np.testing.assert_array_equal(env.engine.states, before)


def test_steps_go_into_the_arrays_of_a_former_one():
    env, other = VecEnv("CartPole-v1", 9), VecEnv("CartPole-v1", 9)
    batch = env.step_all([1] * 9)
    again = env.step_all([0] * 9, out=batch)
    other.step_all([1] * 9)
    assert again is batch
    np.testing.assert_array_equal(batch.obs, other.step_all([0] * 9).obs)
    with pytest.raises(ShapeError):
        VecEnv("CartPole-v1", 4).step_all([1] * 4, out=batch)


def test_arrays_that_somebody_has_are_never_written_over():
    env, twin = VecEnv("CartPole-v1", 5, seed=2), VecEnv("CartPole-v1", 5, seed=2)
    rng = np.random.default_rng(0)
    kept = []
    for i in range(200):
        actions = rng.integers(2, size=5)
        batch, copy = env.step_all(actions), twin.step_all(actions, out=StepBatch(*outputs(twin.engine)))
        for name in ("obs", "rewards", "terminated", "truncated", "terminal_obs"):
            found = getattr(batch, name)
            assert found.tobytes() == getattr(copy, name).tobytes()
            what = rng.integers(6)
            if what == 0:
                kept.append((found, found.copy()))
            elif what == 1:
                kept.append((found[1:3], found[1:3].copy()))
            elif what == 2:
                kept.append((memoryview(found), found.copy()))
            elif what == 3:
                found.flags.writeable = False
            elif what == 4:
                found.resize(found.shape[::-1], refcheck=False)
            del found
        if i % 7 == 0:
            kept.append((batch.obs, batch.obs.copy()))
            held = batch  # a whole batch
            whole = [getattr(held, name).copy() for name in ("obs", "rewards", "terminal_obs")]
        else:
            for name, before in zip(("obs", "rewards", "terminal_obs"), whole, strict=True):
                assert getattr(held, name).tobytes() == before.tobytes()
        for found, before in kept:
            assert np.asarray(found).tobytes() == before.tobytes()


def test_a_batch_can_be_pickled_and_shown():
    batch = VecEnv("CartPole-v1", 5).step_all([1] * 5)
    again = pickle.loads(pickle.dumps(batch))
    assert again.obs.tobytes() == batch.obs.tobytes()
    assert repr(again) == "StepBatch(n=5, ended=0)"
    with pytest.raises(AttributeError):
        batch.obs = None
    with pytest.raises(DTypeError):
        VecEnv("CartPole-v1", 5).step_all([1] * 5, out=(1, 2))
    with pytest.raises(RfxError):
        VecEnv("CartPole-v1", 5).step_all([1] * 5, out=StepBatch(None, 1, 2, 3, 4))


def test_an_engine_is_stepped_as_what_it_is():
    class Slow:
        """The interface in Python, over one of ours."""

        def __init__(self):
            self._inner = batch_of("Pendulum-v1", 4)

        def __getattr__(self, name):
            return getattr(self._inner, name)

    fast, slow = VecEnv(batch_of("Pendulum-v1", 4), seed=3), VecEnv(Slow(), seed=3)
    known = VecEnv("Pendulum-v1", 4, seed=3)
    for _ in range(3):
        found = [env.step_all(np.full((4, 1), 0.5, np.float32)).obs.tobytes() for env in (fast, slow, known)]
        assert len(set(found)) == 1
    assert repr(slow) == "VecEnv('Slow', num_envs=4)"
    with pytest.raises(ConfigError):
        VecEnv(batch_of("Pendulum-v1", 4), 5)
    with pytest.raises(ConfigError):
        VecEnv(batch_of("Pendulum-v1", 4), g=3.0)
    with pytest.raises(DTypeError):
        VecEnv(3)


def test_physics_can_be_changed():
    light, heavy = CartPole(0), CartPole(0, masscart=5.0, gravity=3.7)
    for _ in range(5):
        a, b = light.step(1), heavy.step(1)
    assert abs(a.obs[1]) > abs(b.obs[1])
    assert VecEnv("Pendulum-v1", 2, max_episode_steps=1).step_all([[0.0]] * 2).truncated.all()
    slow, fast = MountainCar(0, force=0.0), MountainCar(0, force=0.005)
    assert abs(slow.step(2).obs[1]) < abs(fast.step(2).obs[1])
    assert MountainCarContinuous(0, power=0.01).step([1.0]).obs[1] > MountainCarContinuous(0).step([1.0]).obs[1]
    assert Acrobot(0, link_mass_2=5.0).step(2).obs[5] != Acrobot(0).step(2).obs[5]
    for bad in ({"masspole": 0.0}, {"tau": math.nan}, {"max_episode_steps": 0}):
        with pytest.raises(RfxError):
            CartPole(0, **bad)


def test_what_is_not_known_is_said():
    with pytest.raises(ConfigError, match="Pendulum-v1"):
        VecEnv("HalfCheetah-v4", 2)
    for n in (0, -1, 1.5):
        with pytest.raises(RfxError):
            VecEnv("CartPole-v1", n)
    assert repr(VecEnv("Pendulum-v1", 3)) == "VecEnv('Pendulum-v1', num_envs=3)"
