"""rfx.llm.advantages against the formula in numpy, one group at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm import compute_group_advantages, group_advantages

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
rewards_of = st.lists(st.floats(-100, 100, allow_nan=False), min_size=1, max_size=40)


def oracle(rewards, ids, scale="group", ddof=0, eps=0.0, std_floor=1e-8, leave_one_out=False, mask=None):
    """The definition, group after group, with math.fsum."""
    rewards, ids = np.asarray(rewards, float), np.asarray(ids)
    mask = np.ones(len(rewards), bool) if mask is None else mask
    result = np.zeros(len(rewards))

    def std_of(values):
        mean = math.fsum(values) / len(values) if len(values) else 0.0
        if len(values) <= ddof:
            return 0.0
        return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - ddof))

    whole = std_of(rewards[mask])
    for i in np.flatnonzero(mask):
        group = rewards[mask & (ids == ids[i])]
        others = rewards[mask & (ids == ids[i]) & (np.arange(len(rewards)) != i)]
        if len(others) == 0:
            continue
        base = math.fsum(others) / len(others) if leave_one_out else math.fsum(group) / len(group)
        std = {"group": std_of(group), "batch": whole, "none": math.inf}[scale]
        if std > std_floor:
            result[i] = (rewards[i] - base) / (1.0 if scale == "none" else std + eps)
    return result


def random_case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    rewards = rng.normal(scale=10.0 ** rng.integers(-3, 4), size=n) + rng.normal() * 10
    return rng, rewards, rng.integers(-3, 6, size=n)


@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("masked", [False, True])
def test_ragged_groups_agree_with_the_definition(scale, leave_one_out, masked):
    for seed in range(100):
        rng, rewards, ids = random_case(seed)
        mask = rng.random(len(rewards)) < 0.7 if masked else None
        options = {"scale": scale, "leave_one_out": leave_one_out, "ddof": seed % 2, "eps": [0.0, 1e-4][seed % 2]}
        got = group_advantages(rewards, group_ids=ids, mask=mask, **options)
        np.testing.assert_allclose(got, oracle(rewards, ids, mask=mask, **options), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 16, 17, 64])
@pytest.mark.parametrize("groups", [0, 1, 3, 64, 65, 130])
def test_even_groups_agree_with_numpy(groups, size):
    rewards = np.random.default_rng(size).normal(3.0, 2.0, (groups, size))
    std = rewards.std(axis=1, keepdims=True)
    expected = (rewards - rewards.mean(axis=1, keepdims=True)) / np.where(std > 0, std, 1.0)
    np.testing.assert_allclose(group_advantages(rewards), expected, **CLOSE)
    np.testing.assert_array_equal(group_advantages(rewards.ravel(), size), group_advantages(rewards).ravel())


def test_the_same_groups_give_the_same_bytes_however_they_are_named():
    rewards = np.random.default_rng(0).normal(size=(70, 13))
    ids = np.repeat(np.arange(70), 13)
    expected = group_advantages(rewards).ravel()
    every = np.ones(rewards.size, bool)
    shuffled = np.random.default_rng(1).permutation(70).repeat(13)
    assert group_advantages(rewards.ravel(), group_ids=ids).tobytes() == expected.tobytes()
    assert group_advantages(rewards.ravel(), group_ids=shuffled).tobytes() == expected.tobytes()
    assert group_advantages(rewards.ravel(), 13, mask=every).tobytes() == expected.tobytes()


def test_group_ids_may_come_in_any_order():
    got = group_advantages([1.0, 10.0, 3.0, 20.0], group_ids=[7, -1, 7, -1], scale="none")
    np.testing.assert_array_equal(got, [-1.0, -5.0, 1.0, 5.0])


@given(rewards_of)
def test_advantages_of_a_group_sum_to_nothing_and_have_unit_spread(rewards):
    got = compute_group_advantages(rewards)
    assert abs(got.sum()) < 1e-9
    assert np.std(rewards) <= 1e-7 or np.std(got) == pytest.approx(1.0, rel=1e-9)


@given(rewards_of)
def test_leaving_one_out_is_the_deviation_stretched_by_n_over_n_minus_1(rewards):
    n = len(rewards)
    plain = group_advantages(rewards, n, scale="none")
    np.testing.assert_allclose(
        group_advantages(rewards, n, scale="none", leave_one_out=True), plain * n / max(n - 1, 1), rtol=1e-13
    )


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -5.0, 1e-300, 1e300, 16777217.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_group_gives_zeros(value, scale, dtype):
    if dtype == np.float32 and value == 1e300:
        value = 3e38
    rewards = np.full((5, 7), value, dtype)
    np.testing.assert_array_equal(group_advantages(rewards, scale=scale, leave_one_out=True, ddof=1), 0.0)
    np.testing.assert_array_equal(compute_group_advantages(rewards[0]), 0.0)


def test_float32_noise_on_a_large_offset_stays_bounded():
    """E[x^2] - E[x]^2 in float32 gives advantages in the thousands here."""
    rewards = np.full(16, 1000.1, np.float32)
    rewards[3] = np.nextafter(rewards[3], np.float32(2000))
    got = group_advantages(rewards, 16, leave_one_out=True)
    assert np.isfinite(got).all()
    assert np.abs(got).max() <= math.sqrt(15) * 16 / 15 + 1e-6
    np.testing.assert_array_equal(group_advantages(rewards, 16, std_floor=1e-3), 0.0)


def test_one_reward_beside_constant_others_stays_bounded_when_left_out():
    """The others have no spread at all: their standard deviation is not what is divided by."""
    got = group_advantages([0.7] * 15 + [0.7000001], 16, leave_one_out=True)
    assert np.abs(got).max() <= math.sqrt(15) * 16 / 15 + 1e-6


def test_integers_far_from_zero_keep_their_digits():
    np.testing.assert_allclose(compute_group_advantages([2**52, 2**52 + 1, 2**52 + 2]), [-(1.5**0.5), 0, 1.5**0.5])


def test_the_design_documents_example():
    got = compute_group_advantages([0.5, 1.2, 0.8, 0.3])
    assert abs(got.sum()) < 1e-10
    np.testing.assert_allclose(got, (np.array([0.5, 1.2, 0.8, 0.3]) - 0.7) / np.std([0.5, 1.2, 0.8, 0.3]), **CLOSE)
    np.testing.assert_array_equal(compute_group_advantages([5.0, 5.0, 5.0]), 0.0)


def test_no_rewards_give_no_advantages():
    assert compute_group_advantages([]).shape == (0,)
    assert group_advantages(np.empty((0, 4))).shape == (0, 4)
    assert group_advantages(np.empty((4, 0))).shape == (4, 0)
    assert group_advantages([], group_ids=[], scale="batch").shape == (0,)
    assert group_advantages([], 3, mask=[]).shape == (0,)


def test_float32_is_computed_in_double_and_rounded_once():
    rewards = np.random.default_rng(3).normal(size=(9, 16)).astype(np.float32)
    got = group_advantages(rewards)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, group_advantages(rewards.astype(np.float64)).astype(np.float32))


def test_masked_rewards_may_be_nan_and_get_zero():
    got = group_advantages([1.0, math.nan, 3.0, math.inf], 4, scale="none", mask=[True, False, True, False])
    np.testing.assert_array_equal(got, [-1.0, 0.0, 1.0, 0.0])


def test_a_wholly_masked_group_gives_zeros():
    got = group_advantages([1.0, 2.0, 3.0, 5.0], 2, mask=[False, False, True, True])
    np.testing.assert_array_equal(got, [0.0, 0.0, -1.0, 1.0])


def test_results_hold_no_negative_zero():
    assert not np.signbit(group_advantages([3.0, 3.0, -2.0, -2.0], 2)).any()


def test_out_is_filled_and_returned():
    out = np.empty(4)
    assert group_advantages([1.0, 0.0, 5.0, 5.0], 2, out=out) is out
    np.testing.assert_array_equal(out, [1.0, -1.0, 0.0, 0.0])
    assert group_advantages([1.0, 0.0, 5.0, 5.0], group_ids=[1, 0, 1, 0], out=out) is out
    np.testing.assert_array_equal(out, [-1.0, -1.0, 1.0, 1.0])


def test_out_that_overlaps_the_rewards_is_refused():
    rewards = np.arange(4.0)
    with pytest.raises(InvalidValueError, match="overlap"):
        group_advantages(rewards, 2, out=rewards)
    np.testing.assert_array_equal(rewards, np.arange(4.0))


def test_strided_and_read_only_rewards_are_taken():
    rewards = np.random.default_rng(5).normal(size=(6, 8))
    rewards.flags.writeable = False
    np.testing.assert_array_equal(group_advantages(rewards.T), group_advantages(rewards.T.copy()))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("where", [0, 5])
def test_a_reward_that_is_not_finite_is_refused_by_name(bad, scale, where):
    rewards = np.arange(6.0)
    rewards[where] = bad
    with pytest.raises(InvalidValueError, match=rf"rewards\[{where}\]"):
        group_advantages(rewards, 3, scale=scale)
    with pytest.raises(InvalidValueError, match="rewards"):
        group_advantages(rewards, group_ids=[0, 1, 0, 1, 0, 1], scale=scale)


def test_rewards_whose_squares_overflow_are_refused():
    with pytest.raises(InvalidValueError, match="squares"):
        compute_group_advantages([1e200, -1e200])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0, 2.0],), {}, ConfigError, "group_size, group_ids"),
        (([1.0, 2.0], 1, [0, 0]), {}, ConfigError, "two of them"),
        (([[1.0, 2.0]], None, [0, 0]), {}, ConfigError, "two of them"),
        (([1.0, 2.0, 3.0], 2), {}, ShapeError, "multiple of group_size 2"),
        (([[1.0, 2.0]], 3), {}, ShapeError, r"\(P, 3\)"),
        (([1.0, 2.0], 0), {}, InvalidValueError, "at least 1"),
        (([1.0, 2.0], 2.0), {}, DTypeError, "integer"),
        (([1.0, 2.0], 2**70), {}, InvalidValueError, "group_size"),
        (([1.0], 1), {"ddof": 2**2000}, InvalidValueError, "ddof"),
        ((1.0, 1), {}, ShapeError, r"\(N,\) or \(P, G\)"),
        (([1.0], None, [0, 1]), {}, ShapeError, "group_ids"),
        (([1.0], None, [0.5]), {}, DTypeError, "group_ids"),
        (([1.0], 1), {"scale": "std"}, ConfigError, "scale"),
        (([1.0], 1), {"eps": -1.0}, InvalidValueError, "eps"),
        (([1.0], 1), {"std_floor": math.nan}, InvalidValueError, "std_floor"),
        (([1.0], 1), {"ddof": -1}, InvalidValueError, "ddof"),
        (([1.0, 2.0], 2), {"mask": [True]}, ShapeError, "mask"),
        (([1.0, 2.0], 2), {"mask": [0.5, 1.0]}, DTypeError, "mask"),
        ((["a"], 1), {}, DTypeError, "rewards"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        group_advantages(*arguments, **options)


def test_the_single_form_takes_one_group_only():
    with pytest.raises(ShapeError, match=r"\(N,\)"):
        compute_group_advantages([[1.0, 2.0]])
