"""rfx.estimators.ema_stats_vec against one EmaRunningStats for each entry."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators import EmaRunningStats, EmaRunningStatsVec

BATCHES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(0, 6), st.integers(0, 19)),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(batch=BATCHES, alpha=st.floats(1e-3, 1.0))
def test_each_entry_has_the_numbers_of_its_own_ema_to_the_bit(batch, alpha):
    stats = EmaRunningStatsVec(batch.shape[1], alpha)
    stats.batch_update(batch)
    singles = [EmaRunningStats(alpha) for _ in range(batch.shape[1])]
    for single, column in zip(singles, batch.T, strict=True):
        single.batch_update(column)
    assert stats.mean().tolist() == [s.mean() for s in singles]
    assert stats.var().tolist() == [s.var() for s in singles]
    assert stats.std().tolist() == [s.std() for s in singles]
    assert stats.count() == len(batch)


def test_a_batch_is_its_samples_one_after_the_other():
    batch = np.random.default_rng(0).normal(size=(40, 2, 3))
    at_once, one_by_one = EmaRunningStatsVec((2, 3), 0.1), EmaRunningStatsVec((2, 3), 0.1)
    at_once.batch_update(batch)
    for x in batch.tolist():
        one_by_one.update(x)
    np.testing.assert_array_equal(at_once.mean(), one_by_one.mean())
    np.testing.assert_array_equal(at_once.var(), one_by_one.var())


def test_mean_and_variance_are_the_weighted_ones_of_all_samples():
    x, alpha = np.random.default_rng(1).normal(5.0, 2.0, (30, 4)), 0.2
    stats = EmaRunningStatsVec(4, alpha)
    stats.batch_update(x)
    weights = alpha * (1.0 - alpha) ** np.arange(29, -1, -1)
    weights[0] /= alpha
    mean = weights @ x
    np.testing.assert_allclose(stats.mean(), mean, rtol=1e-13)
    np.testing.assert_allclose(stats.var(), weights @ (x - mean) ** 2, rtol=1e-12)


def test_windows_and_halflives():
    assert EmaRunningStatsVec.from_window(3, 9).alpha == 0.2
    assert EmaRunningStatsVec.from_halflife(3, 1).alpha == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_bad_samples_change_nothing(bad):
    stats = EmaRunningStatsVec(2, 0.5)
    stats.batch_update([[1.0, 2.0], [3.0, 5.0]])
    before = pickle.dumps(stats)
    with pytest.raises(InvalidValueError):
        stats.batch_update([[0.0, 0.0], [0.0, bad]])
    assert pickle.dumps(stats) == before


def test_normalize_takes_one_sample_or_many():
    stats = EmaRunningStatsVec(3, 0.3)
    x = np.random.default_rng(2).normal(size=(10, 3))
    x[:, 2] = 4.0
    stats.batch_update(x)
    expected = (x - stats.mean()) / np.where(stats.std() > 0.0, stats.std(), np.inf)
    np.testing.assert_allclose(stats.normalize(x), expected, rtol=1e-14)
    np.testing.assert_allclose(stats.normalize(x[3]), expected[3], rtol=1e-14)
    single = stats.normalize(x.astype(np.float32))
    assert single.dtype == np.float32
    out = np.empty_like(x)
    assert stats.normalize(x, out=out) is out
    for wrong in (np.ones(2), np.ones((2, 4)), 1.0):
        with pytest.raises(ShapeError):
            stats.normalize(wrong)
    with pytest.raises(InvalidValueError):
        stats.normalize([math.nan, 0.0, 0.0])


def test_without_samples_all_is_zero():
    stats = EmaRunningStatsVec((), 0.5)
    assert (stats.count(), stats.mean().tolist(), stats.var().tolist(), stats.normalize(3.0).tolist()) == (0, 0, 0, 0)
    stats.update(2.0)
    stats.reset()
    assert (stats.count(), stats.mean().tolist()) == (0, 0.0)


def test_state_goes_over_and_wrong_states_are_refused():
    stats = EmaRunningStatsVec(2, 0.25)
    stats.batch_update([[1.0, 2.0], [3.0, 5.0]])
    state = stats.state_dict()
    other = EmaRunningStatsVec(2, 0.5)
    other.load_state_dict(state)
    copy = pickle.loads(pickle.dumps(other))
    for made in (other, copy):
        made.update([1.0, 1.0])
    stats.update([1.0, 1.0])
    assert other.mean().tolist() == copy.mean().tolist() == stats.mean().tolist()
    assert repr(copy) == "EmaRunningStatsVec((2,), alpha=0.25, count=3)"
    for key, value, error in (
        ("alpha", 0.0, InvalidValueError),
        ("count", -1, InvalidValueError),
        ("count", 0, ConfigError),
        ("mean", [1.0], ShapeError),
        ("mean", [1.0, math.nan], InvalidValueError),
        ("var", [-1.0, 1.0], InvalidValueError),
    ):
        with pytest.raises(error):
            other.load_state_dict({**state, key: value})
    with pytest.raises(ConfigError):
        other.load_state_dict({})
    assert other.mean().tolist() == copy.mean().tolist()


def test_wrong_arguments_are_refused():
    for alpha in (0.0, 1.5, math.nan):
        with pytest.raises(InvalidValueError):
            EmaRunningStatsVec(2, alpha)
    stats = EmaRunningStatsVec(2, 0.5)
    with pytest.raises(ShapeError):
        stats.update([1.0])
    with pytest.raises(ShapeError):
        stats.batch_update([1.0, 2.0])
    with pytest.raises(DTypeError):
        stats.update(["a", "b"])
