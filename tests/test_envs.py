"""rfx.envs: trajectories of Gymnasium to the last bit, seeds of rlox, and many at once."""

import math
import pickle

import numpy as np
import pytest
from envs_parts import TIME_LIMIT, actions_of, follow_gymnasium, outputs

from rfx.envs import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum, StepBatch, VecEnv
from rfx.envs.engine import DISABLED
from rfx.envs.engines import batch_of
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.seeding import derive_seed

SINGLE = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Acrobot-v1": Acrobot,
}


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
