"""rfx.estimators: gae and compute_gae against the definition, at every kind of end."""

import threading

import numpy as np
import pytest
from gae_parts import plain
from rlox_core import rlox_core
from rollouts import EXACT, F32, Rollout, gae_definition, many

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.estimators import compute_gae, gae


def run(case, **options):
    return gae(case.rewards, case.values, *case.common(), case.gamma, case.lam, **options)


def test_agrees_with_the_definition_in_thousands_of_random_cases():
    for case in many(2500):
        advantages, returns = run(case)
        np.testing.assert_allclose(advantages, gae_definition(case), rtol=0, atol=EXACT)
        np.testing.assert_array_equal(returns, advantages + case.values)


def test_float32_agrees_with_the_definition():
    for case in many(500, 1, dtype=np.float32):
        advantages, returns = run(case)
        assert advantages.dtype == returns.dtype == np.float32
        np.testing.assert_allclose(advantages, gae_definition(case), rtol=0, atol=F32)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_environment_and_environment_major_agree_with_time_major(dtype):
    for case in many(400, 2, dtype=dtype, steps=37, n=3):
        rows = run(case)
        major = gae(
            *(x.T.copy() for x in (case.rewards, case.values, case.terminated, case.truncated, case.final)),
            case.last,
            case.gamma,
            case.lam,
            time_axis=1,
        )
        for i in range(case.n):
            arrays = (x[:, i] for x in (case.rewards, case.values, case.terminated, case.truncated, case.final))
            one = gae(*arrays, case.last[i], case.gamma, case.lam)
            column = gae(
                *(x[:, i : i + 1] for x in (case.rewards, case.values, *case.common()[:3])),
                case.last[i : i + 1],
                case.gamma,
                case.lam,
            )
            for k in range(2):
                np.testing.assert_allclose(one[k], rows[k][:, i], rtol=0, atol=F32 if dtype == np.float32 else EXACT)
                np.testing.assert_array_equal(one[k], major[k][i])
                np.testing.assert_array_equal(one[k], column[k][:, 0])


@pytest.mark.parametrize("steps", [*range(12), 63, 2048, 5001])
def test_any_length_of_one_environment_agrees_with_the_plain_loop(steps):
    rng = np.random.default_rng(steps)
    rewards, values = rng.normal(size=(2, steps))
    dones = rng.random(steps) < 0.01
    advantages, _ = compute_gae(rewards, values, dones, 0.7, 0.99, 0.95)
    np.testing.assert_allclose(advantages, plain(rewards, values, dones, 0.7, 0.99, 0.95), rtol=0, atol=EXACT)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_have_the_bytes_of_the_plain_loop(dtype):
    rng = np.random.default_rng(3)
    rewards, values = rng.normal(size=(2, 200, 19)).astype(dtype)
    dones, last = rng.random((200, 19)) < 0.05, rng.normal(size=19).astype(dtype)
    advantages, _ = compute_gae(rewards, values, dones, last, 0.99, 0.95)
    expected = [plain(rewards[:, i], values[:, i], dones[:, i], last[i], 0.99, 0.95) for i in range(19)]
    np.testing.assert_array_equal(advantages, np.array(expected).T)


def test_example_of_the_design_document():
    advantages, returns = compute_gae(
        [1.0, 1.0, 1.0, 0.0, 1.0], [0.5, 0.6, 0.7, 0.3, 0.8], [0.0, 0.0, 0.0, 1.0, 0.0], 0.9, 0.99, 0.95
    )
    np.testing.assert_allclose(advantages, [2.400464, 1.38911642, 0.31485, -0.3, 1.091], rtol=0, atol=1e-6)
    np.testing.assert_allclose(returns, advantages + [0.5, 0.6, 0.7, 0.3, 0.8], rtol=0, atol=EXACT)


def test_lambda_0_is_the_one_step_error():
    for case in many(100, 4):
        case.lam = 0.0
        errors = case.by_env(
            lambda r, v, b, _, i, g=case.gamma: [x + g * z - y for x, y, z in zip(r, v, b, strict=True)]
        )
        np.testing.assert_allclose(run(case)[0], errors, rtol=0, atol=EXACT)


def test_lambda_1_gives_discounted_returns_that_bootstrap_where_cut():
    def returns(rewards, _, ahead, ended, i):
        result, running = [], ahead[-1] if ahead else 0.0
        for t in range(len(rewards) - 1, -1, -1):
            running = rewards[t] + case.gamma * (ahead[t] if ended[t] or t == len(rewards) - 1 else running)
            result.insert(0, running)
        return result

    for case in many(200, 5):
        case.lam = 1.0
        np.testing.assert_allclose(run(case)[1], case.by_env(returns), rtol=0, atol=EXACT)


def test_truncation_bootstraps_the_final_state_and_leaks_nothing():
    # the example of a collector that adds the value to the reward and lets the recursion run on: 8.676 there
    arrays = [1.0, 1.0], [10.0, 10.0], [False, False], [True, False], [7.0, np.nan]
    assert gae(*arrays, 0.0, 0.99, 0.95)[0][0] == pytest.approx(1 + 0.99 * 7 - 10)


def test_terminal_goes_before_truncated():
    one = np.ones(1, bool)
    assert gae([1.0], [0.5], one, one, [100.0], 100.0, 0.9, 0.9)[0][0] == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_what_is_not_finite_stays_behind_the_end_of_its_episode(bad, lam):
    for case in many(60, 6, steps=23, n=3):
        case.lam = lam
        case.terminated[11] = ~case.truncated[11]
        good = run(case)
        case.rewards[12:], case.values[12:], case.last[:] = bad, bad, bad
        case.final[12:], case.final[~case.truncated] = bad, bad
        for changed, expected in zip(run(case), good, strict=True):
            np.testing.assert_array_equal(changed[:12], expected[:12])
        for i in range(3):
            columns = [x[:, i] for x in (case.rewards, case.values, *case.common()[:3])]
            one = gae(*columns, case.last[i], case.gamma, lam)
            np.testing.assert_allclose(one[0][:12], good[0][:12, i], rtol=0, atol=EXACT)


def test_what_is_not_finite_shows_in_its_episode():
    rewards = np.zeros((8, 1))
    rewards[5] = np.nan
    false = np.zeros((8, 1), bool)
    advantages, _ = gae(rewards, rewards * 0, false, false, None, [0.0], 0.9, 0.9)
    assert np.isnan(advantages[:6]).all()
    assert (advantages[6:] == 0).all()


def test_last_value_is_not_read_after_an_end():
    true, false = np.ones(1, bool), np.zeros(1, bool)
    assert gae([1.0], [0.0], true, false, None, np.nan, 0.9, 0.9)[0][0] == 1.0
    assert gae([1.0], [0.0], false, true, [2.0], np.nan, 0.5, 0.9)[0][0] == 2.0


# -- the door


def arguments(steps=4, n=2):
    shape = (steps, n)
    return {
        "rewards": np.zeros(shape),
        "values": np.zeros(shape),
        "terminated": np.zeros(shape, bool),
        "truncated": np.zeros(shape, bool),
        "final_values": np.zeros(shape),
        "last_values": np.zeros(n),
        "gamma": 0.9,
        "lam": 0.9,
    }


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("rewards", np.zeros(()), ShapeError),
        ("rewards", np.zeros((2, 2, 2)), ShapeError),
        ("rewards", ["a"], DTypeError),
        ("rewards", np.zeros((4, 2), complex), DTypeError),
        ("values", np.zeros((2, 4)), ShapeError),
        ("values", np.zeros(8), ShapeError),
        ("terminated", np.zeros((4, 1), bool), ShapeError),
        ("terminated", np.full((4, 2), 0.5), InvalidValueError),
        ("terminated", np.full((4, 2), np.nan, np.float32), InvalidValueError),
        ("terminated", [[True], [True, False]], ShapeError),
        ("truncated", np.full((4, 2), 2), InvalidValueError),
        ("truncated", np.full((4, 2), "x"), DTypeError),
        ("truncated", None, ShapeError),
        ("final_values", np.zeros(4), ShapeError),
        ("last_values", np.zeros(4), ShapeError),
        ("last_values", 0.0, ShapeError),
        ("gamma", 1.5, InvalidValueError),
        ("gamma", np.nan, InvalidValueError),
        ("lam", -0.1, InvalidValueError),
        ("lam", "1", DTypeError),
        ("time_axis", 2, InvalidValueError),
        ("time_axis", 0.0, DTypeError),
        ("out", np.zeros((4, 2)), DTypeError),
        ("out", (np.zeros((4, 2)), np.zeros((4, 2), np.float32)), DTypeError),
        ("out", (np.zeros((4, 2)), np.zeros((2, 4))), ShapeError),
    ],
)
def test_refuses_what_does_not_fit(name, value, error):
    with pytest.raises(error, match=name):
        gae(**{**arguments(), name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("dones", [0.5] * 3), ("last_value", [0.0] * 3), ("gae_lambda", 2.0), ("gamma", -1.0)]
)
def test_compute_gae_names_its_own_arguments(name, value):
    given = {
        "rewards": [0.0] * 3,
        "values": [0.0] * 3,
        "dones": [False] * 3,
        "last_value": 0.0,
        "gamma": 1,
        "gae_lambda": 1,
    }
    with pytest.raises(InvalidValueError, match=f"expected {name}"):
        compute_gae(**{**given, name: value})


def test_truncated_steps_need_final_values():
    with pytest.raises(InvalidValueError, match="final_values"):
        gae(**{**arguments(), "truncated": np.ones((4, 2), bool), "final_values": None})


def test_writes_into_out_and_nowhere_else():
    case = Rollout(np.random.default_rng(8), 9, 3)
    expected = run(case)
    out = np.full((9, 3), np.nan), np.full((9, 3), np.nan)
    got = run(case, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    np.testing.assert_array_equal(got, expected)


def test_out_must_not_overlap():
    given, twice = arguments(), np.zeros((4, 2))
    for out in ((given["values"], twice), (twice, given["rewards"]), (twice, twice)):
        with pytest.raises(InvalidValueError, match="overlap"):
            gae(**given, out=out)
    twice.flags.writeable = False
    with pytest.raises(InvalidValueError, match="read-only"):
        gae(**given, out=(twice, np.zeros((4, 2))))


def test_read_only_and_strided_inputs_are_read_and_not_changed():
    case = Rollout(np.random.default_rng(9), 12, 3)
    expected = run(case)
    wide = {
        k: np.repeat(getattr(case, k), 2, axis=1) for k in ("rewards", "values", "terminated", "truncated", "final")
    }
    for array in wide.values():
        array.flags.writeable = False
    before = {k: a.copy() for k, a in wide.items()}
    got = gae(*(a[:, ::2] for a in wide.values()), case.last, case.gamma, case.lam)
    np.testing.assert_array_equal(got, expected)
    for k, array in wide.items():
        np.testing.assert_array_equal(array, before[k])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_gives_nothing(shape, dtype):
    empty, flags = np.zeros(shape, dtype), np.zeros(shape, bool)
    last = np.zeros(shape[1:], dtype)
    for got in gae(empty, empty, flags, flags, empty, last, 0.9, 0.9):
        assert got.shape == shape
        assert got.dtype == dtype


def test_dtype_is_float32_only_if_all_arrays_are():
    given = arguments()
    single = {k: v.astype(np.float32) if getattr(v, "dtype", None) == np.float64 else v for k, v in given.items()}
    assert gae(**single)[0].dtype == np.float32
    assert gae(**{**single, "last_values": [0.0, 0.0]})[0].dtype == np.float32
    assert gae(**{**single, "values": given["values"]})[0].dtype == np.float64
    assert compute_gae([1, 2], [0, 0], [0, 1], 0, 1, 1)[0].dtype == np.float64


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8, bool, list])
def test_masks_of_any_kind_of_number(kind):
    rng = np.random.default_rng(10)
    rewards, values, dones = rng.normal(size=20), rng.normal(size=20), rng.random(20) < 0.3
    given = dones.tolist() if kind is list else dones.astype(kind)
    np.testing.assert_array_equal(
        compute_gae(rewards, values, given, 0.5, 0.9, 0.8), compute_gae(rewards, values, dones, 0.5, 0.9, 0.8)
    )


def test_threads_share_inputs():
    case = Rollout(np.random.default_rng(11), 300, 40)
    expected, wrong = run(case), []

    def work():
        for _ in range(30):
            if not all((a == b).all() for a, b in zip(run(case), expected, strict=True)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_agrees_with_rlox_where_it_is_right():
    rlox = rlox_core()
    rng = np.random.default_rng(12)
    for _ in range(200):
        steps, n = rng.integers(1, 60, size=2)
        rewards, values = rng.normal(size=(2, steps, n)).astype(np.float32)
        dones, last = rng.random((steps, n)) < 0.1, rng.normal(size=n).astype(np.float32)
        ours = compute_gae(rewards, values, dones, last, 0.99, 0.95)
        flat = [x.T.ravel() for x in (rewards, values, dones.astype(np.float32))]
        theirs = rlox.compute_gae_batched_f32(*flat, last, int(steps), 0.99, 0.95)
        for a, b in zip(ours, theirs, strict=True):
            if n > 1:
                np.testing.assert_array_equal(a, b.reshape(n, steps).T)
        one = [x[:, 0].astype(np.float64) for x in (rewards, values, dones)]
        for a, b in zip(compute_gae(*one, 0.3, 0.99, 0.95), rlox.compute_gae(*one, 0.3, 0.99, 0.95), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=EXACT)
