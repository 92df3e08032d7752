"""Steps through Gymnasium's interface: compiled environments, and environments of Python in turn and in worker processes."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", minversion="1.1")

from gymnasium.envs.classic_control import CartPoleEnv  # noqa: E402
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv  # noqa: E402
from gymnasium.wrappers import TimeLimit  # noqa: E402

from rfx.envs import make_vec  # noqa: E402

SIZES = (8, 64, 1024)


class Theirs(TimeLimit):
    """Gymnasium's CartPole, in Python, with its time limit."""

    def __init__(self):
        super().__init__(CartPoleEnv(), 500)


def compiled(n, mode):
    return make_vec("CartPole-v1", n, autoreset_mode=mode)


def their_vector(n, mode):
    return gymnasium.make_vec("CartPole-v1", n, vectorization_mode="vector_entry_point")


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("make", "mode"),
    [(compiled, "NextStep"), (compiled, "SameStep"), (their_vector, "NextStep")],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_compiled(benchmark, make, mode, n):
    benchmark.group = f"gymnasium interface: {n} compiled CartPoles"
    env, actions = make(n, mode), np.random.default_rng(0).integers(2, size=n)
    env.reset(seed=0)
    obs, rewards, terminated, truncated, _ = benchmark(env.step, actions)
    assert obs.shape == (n, 4)
    assert rewards.shape == terminated.shape == truncated.shape == (n,)


def in_turn(n):
    return make_vec(Theirs, n)


def sync(n):
    return SyncVectorEnv([Theirs] * n)


def workers(n):
    return make_vec(Theirs, n, workers=2)


def asynchronous(n):
    return AsyncVectorEnv([Theirs] * n)


@pytest.mark.parametrize("make", [in_turn, sync, workers, asynchronous], ids=lambda f: f.__name__)
def test_python(benchmark, make):
    n = 8
    benchmark.group = f"gymnasium interface: {n} CartPoles of Python"
    twin, env = sync(n), make(n)
    actions = np.random.default_rng(0).integers(2, size=(50, n))
    np.testing.assert_array_equal(env.reset(seed=3)[0], twin.reset(seed=3)[0])
    for given in actions:
        for a, b in zip(env.step(given)[:4], twin.step(given)[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    benchmark(env.step, actions[0])
    env.close()
