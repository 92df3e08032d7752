"""rfx.estimators.running_stats and running_stats_vec against exact fractions, numpy and each other."""

import math
import pickle
import statistics
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators import EmaRunningStats, RunningStats, RunningStatsVec

NUMBERS = st.floats(-1e6, 1e6)
LISTS = st.lists(NUMBERS, min_size=1, max_size=60)
BAD = [math.nan, math.inf, -math.inf]


def filled(values):
    stats = RunningStats()
    stats.batch_update(values)
    return stats


def filled_vec(rows, **options):
    stats = RunningStatsVec(np.shape(rows)[1:], **options)
    stats.batch_update(rows)
    return stats


def exact(values):
    """Mean and variance without any rounding."""
    values = [Fraction(float(x)) for x in values]
    mean = sum(values) / len(values)
    return float(mean), float(sum((x - mean) ** 2 for x in values) / len(values))


def close(a, b, scale=1.0):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * scale + 1e-300)


class TestNumbers:
    def test_example_of_the_design_document(self):
        stats = RunningStats()
        for x in (1.0, 2.0, 3.0):
            stats.update(x)
        assert (stats.mean(), stats.count()) == (2.0, 3)
        assert abs(stats.std() - 0.8165) < 1e-3
        stats.batch_update([4.0, 5.0, 6.0])
        assert stats.count() == 6
        assert stats.mean() == 3.5

    def test_without_samples_all_is_zero(self):
        stats = RunningStats()
        assert (stats.mean(), stats.var(), stats.std(), stats.count(), stats.normalize(3.0)) == (0, 0, 0, 0, 0)

    def test_single_updates_are_welfords(self):
        rng, stats, mean, m2 = np.random.default_rng(0), RunningStats(), 0.0, 0.0
        for n, x in enumerate(rng.normal(3.0, 2.0, 500).tolist(), 1):
            stats.update(x)
            delta = x - mean
            mean += delta / n
            m2 += delta * (x - mean)
            assert (stats.mean(), stats.var()) == (mean, m2 / n)

    @given(LISTS)
    def test_batch_is_exact_to_rounding(self, values):
        stats, (mean, var) = filled(values), exact(values)
        close(stats.mean(), mean, max(map(abs, values)))
        np.testing.assert_allclose(stats.var(), var, rtol=1e-11, atol=1e-20 * max(map(abs, values)) ** 2 + 1e-300)

    @pytest.mark.parametrize("offset", [0.0, 1e6, 1e9, -1e12])
    def test_no_cancellation_far_from_zero(self, offset):
        values = offset + np.random.default_rng(1).normal(size=1003)
        mean, var = exact(values)
        close(filled(values).mean(), mean)
        np.testing.assert_allclose(filled(values).var(), var, rtol=1e-12 + 1e-17 * abs(offset))

    @given(LISTS, LISTS)
    def test_merge_is_the_same_as_seeing_both(self, a, b):
        left = filled(a)
        left.merge(filled(b))
        mean, var = exact([*a, *b])
        scale = max(map(abs, [*a, *b]))
        close(left.mean(), mean, scale)
        np.testing.assert_allclose(left.var(), var, rtol=1e-11, atol=1e-20 * scale**2 + 1e-300)
        assert left.count() == len(a) + len(b)

    def test_merge_with_an_empty_one_changes_nothing(self):
        stats = filled([1.0, 4.0])
        stats.merge(RunningStats())
        assert stats.state_dict() == filled([1.0, 4.0]).state_dict()

    def test_merge_with_itself_doubles_the_count(self):
        stats = filled([1.0, 4.0])
        stats.merge(stats)
        assert (stats.count(), stats.mean(), stats.var()) == (4, 2.5, 2.25)

    def test_ddof_divides_by_fewer(self):
        values = [1.0, 2.0, 4.0, 8.0]
        assert filled(values).var(1) == pytest.approx(statistics.variance(values), rel=1e-14)
        assert filled(values).std(ddof=1) == pytest.approx(statistics.stdev(values), rel=1e-14)
        assert filled([3.0]).var(ddof=1) == 0.0

    def test_float32_and_nested_batches(self):
        values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        assert filled(values).mean() == 11.5
        assert filled(values[:, ::2]).count() == 16

    @pytest.mark.parametrize("bad", [*BAD, 1e200])
    def test_bad_numbers_are_refused_and_change_nothing(self, bad):
        stats = filled([1.0, 2.0])
        before = stats.state_dict()
        with pytest.raises(InvalidValueError):
            stats.update(bad)
        with pytest.raises(InvalidValueError):
            stats.batch_update([0.5] * 20 + [bad] + [1.0] * 9)
        assert stats.state_dict() == before

    def test_wrong_kinds_are_refused(self):
        with pytest.raises(DTypeError, match="x"):
            RunningStats().update("1")
        with pytest.raises(DTypeError, match="values"):
            RunningStats().batch_update(["a"])
        with pytest.raises(TypeError):
            RunningStats().merge(None)

    def test_normalize(self):
        stats = filled([1.0, 3.0])
        assert stats.normalize(4.0) == 2.0
        assert filled([5.0, 5.0]).normalize(6.0) == 0.0
        with pytest.raises(InvalidValueError):
            stats.normalize(math.nan)

    def test_state_and_pickle_and_reset(self):
        stats = filled([1.0, 2.5, -4.0])
        for copy in (pickle.loads(pickle.dumps(stats)), RunningStats()):
            copy.load_state_dict(stats.state_dict())
            copy.update(2.0)
            assert copy.count() == 4
        stats.reset()
        assert stats.state_dict() == RunningStats().state_dict()
        assert repr(filled([1.0, 3.0])) == "RunningStats(count=2, mean=2, std=1)"

    @pytest.mark.parametrize(
        "change", [{"count": -1}, {"count": 1.5}, {"mean": math.nan}, {"m2": -1.0}, {"m2": math.inf}, {"x": 1}]
    )
    def test_bad_states_are_refused(self, change):
        stats = filled([1.0, 2.0])
        before = stats.state_dict()
        with pytest.raises((InvalidValueError, DTypeError)):
            stats.load_state_dict({**before, **change})
        assert stats.state_dict() == before

    def test_threads_lose_nothing(self):
        stats = RunningStats()

        def work():
            for _ in range(2000):
                stats.update(1.0)
                stats.batch_update([1.0, 1.0])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert (stats.count(), stats.mean(), stats.var()) == (24000, 1.0, 0.0)


class TestVectors:
    @given(st.integers(0, 300), st.integers(1, 9), st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
    def test_columns_are_those_of_numpy(self, rows, d, seed, dtype):
        x = (np.random.default_rng(seed).normal(5.0, 3.0, (rows, d))).astype(dtype)
        stats = filled_vec(x)
        wide = x.astype(np.float64)
        close(stats.mean(), wide.mean(0) if rows else np.zeros(d), 10)
        np.testing.assert_allclose(stats.var(), wide.var(0) if rows else np.zeros(d), rtol=1e-11, atol=1e-14)
        assert stats.count() == rows

    @pytest.mark.parametrize("d", [1, 255, 256, 257, 600])
    def test_wide_rows(self, d):
        x = np.random.default_rng(d).normal(size=(131, d))
        stats = filled_vec(x)
        close(stats.mean(), x.mean(0))
        np.testing.assert_allclose(stats.var(), x.var(0), rtol=1e-12)

    def test_an_outlier_as_the_first_row_costs_no_digits(self):
        x = np.random.default_rng(3).normal(size=(128, 3))
        x[0] = 1e8
        for j, var in enumerate(filled_vec(x).var()):
            assert var == pytest.approx(exact(x[:, j])[1], rel=1e-11)

    def test_no_cancellation_far_from_zero(self):
        x = 1e9 + np.random.default_rng(4).normal(size=(1000, 2))
        for j, var in enumerate(filled_vec(x).var()):
            assert var == pytest.approx(exact(x[:, j])[1], rel=1e-8)

    def test_constant_columns_have_no_variance(self):
        stats = filled_vec(np.full((300, 2), 0.1))
        assert stats.var().tolist() == [0.0, 0.0]
        assert stats.normalize([0.1, 0.2]).tolist() == [0.0, 0.0]

    @given(st.lists(st.integers(0, 200), min_size=1, max_size=5), st.integers(0, 2**32))
    def test_batches_updates_and_merges_agree(self, sizes, seed):
        rng = np.random.default_rng(seed)
        parts = [rng.normal(2.0, 3.0, (n, 4)) for n in sizes]
        whole = np.concatenate(parts)
        one, merged = RunningStatsVec(4), RunningStatsVec(4)
        for part in parts:
            for row in part[:20]:
                one.update(row)
            one.batch_update(part[20:])
            merged.merge(filled_vec(part))
        for stats in (one, merged):
            assert stats.count() == len(whole)
            if len(whole):
                close(stats.mean(), whole.mean(0), 10)
                np.testing.assert_allclose(stats.var(), whole.var(0), rtol=1e-11, atol=1e-13)

    def test_shapes_of_images_and_numbers(self):
        x = np.random.default_rng(5).normal(size=(7, 2, 3, 4))
        stats = filled_vec(x)
        assert stats.mean().shape == stats.var(1).shape == stats.shape == (2, 3, 4)
        close(stats.var(ddof=1), x.var(0, ddof=1))
        one = RunningStatsVec(())
        one.batch_update([1.0, 2.0, 3.0])
        assert float(one.mean()) == 2.0
        assert one.mean().shape == one.var().shape == one.std().shape == ()
        assert one.standardize(2.0).shape == one.normalize([1.0, 2.0])[0].shape == ()
        empty = RunningStatsVec(0)
        empty.batch_update(np.zeros((5, 0)))
        assert empty.count() == 5

    def test_not_contiguous_input(self):
        x = np.random.default_rng(6).normal(size=(40, 12))
        close(filled_vec(x[::2, ::3]).mean(), x[::2, ::3].mean(0))

    @pytest.mark.parametrize("bad", [*BAD, 1e200])
    def test_bad_batches_are_refused_and_change_nothing(self, bad):
        stats = filled_vec(np.random.default_rng(7).normal(size=(9, 3)))
        before = pickle.dumps(stats.state_dict())
        x = np.zeros((200, 3))
        x[131, 1] = bad
        with pytest.raises(InvalidValueError, match="batch"):
            stats.batch_update(x)
        with pytest.raises(InvalidValueError, match="x"):
            stats.update(x[131])
        assert pickle.dumps(stats.state_dict()) == before

    def test_the_error_names_the_place(self):
        x = np.zeros((5, 3))
        x[4, 2] = np.nan
        with pytest.raises(InvalidValueError, match=r"batch\[4, 2\]"):
            RunningStatsVec(3).batch_update(x)

    @pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 1), ()])
    def test_wrong_shapes_are_refused(self, shape):
        with pytest.raises(ShapeError, match=r"\(N, 3\)"):
            RunningStatsVec(3).batch_update(np.zeros(shape))

    def test_wrong_arguments_are_refused(self):
        with pytest.raises(ShapeError):
            RunningStatsVec(3).update(np.zeros((1, 3)))
        with pytest.raises(InvalidValueError):
            RunningStatsVec(-1)
        with pytest.raises(ShapeError):
            RunningStatsVec(3).merge(RunningStatsVec(2))
        with pytest.raises(ConfigError):
            RunningStatsVec(3).merge(RunningStatsVec(3, prior_count=1.0))
        with pytest.raises(DTypeError):
            RunningStatsVec(3).update(["a", "b", "c"])

    def test_normalize_one_and_many_into_out(self):
        x = np.random.default_rng(8).normal(3.0, 2.0, (50, 4))
        stats = filled_vec(x)
        expected = (x - x.mean(0)) / x.std(0)
        close(stats.normalize(x), expected)
        close(stats.normalize(x[3]), expected[3])
        out = np.empty((50, 4), np.float32)
        assert stats.normalize(x.astype(np.float32), out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
        with pytest.raises(InvalidValueError, match="overlap"):
            stats.normalize(x, out=x)
        with pytest.raises(InvalidValueError, match=r"x\[0, 0\]"):
            stats.normalize(np.full((1, 4), np.nan))

    def test_standardize_adds_epsilon_and_clips(self):
        x = np.random.default_rng(9).normal(3.0, 2.0, (50, 4))
        expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 0.5)
        close(filled_vec(x).standardize(x, epsilon=0.5), expected)
        close(filled_vec(x).standardize(x, epsilon=0.5, clip=1.0), np.clip(expected, -1, 1))

    def test_prior_counts_as_samples_of_mean_0_and_variance_1(self):
        x = np.random.default_rng(10).normal(3.0, 2.0, (50, 2))
        stats = filled_vec(x, prior_count=4.0)
        prior = np.array([[1.0, 1.0], [-1.0, -1.0]] * 2)
        close(stats.var(), np.concatenate([x, prior]).var(0))
        stats.reset()
        assert stats.var().tolist() == [1.0, 1.0]

    def test_state_pickle_and_repr(self):
        stats = filled_vec(np.random.default_rng(11).normal(size=(5, 3)), prior_count=0.5)
        copy = pickle.loads(pickle.dumps(stats))
        assert copy.mean().tolist() == stats.mean().tolist()
        assert (copy.count(), copy.prior_count, copy.shape) == (5, 0.5, (3,))
        assert repr(copy) == "RunningStatsVec((3,), prior_count=0.5, count=5)"

    @pytest.mark.parametrize(
        "change",
        [{"count": -1}, {"mean": [1.0]}, {"mean": [math.nan] * 2}, {"m2": [-1.0, 1.0]}, {"count": 0}, {"x": 1}],
    )
    def test_bad_states_are_refused(self, change):
        stats = filled_vec([[1.0, 2.0], [3.0, 5.0]])
        before = stats.state_dict()
        with pytest.raises(InvalidValueError):
            stats.load_state_dict({**before, **change})
        assert stats.mean().tolist() == before["mean"].tolist()

    def test_threads_lose_nothing(self):
        stats, x = RunningStatsVec(5), np.ones((64, 5), np.float32)
        threads = [threading.Thread(target=lambda: [stats.batch_update(x) for _ in range(500)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert stats.count() == 128_000
        assert stats.mean().tolist() == [1.0] * 5


class TestForgetting:
    @given(LISTS, st.floats(0.01, 1.0))
    def test_is_the_weighted_mean_and_variance(self, values, alpha):
        """The first sample weighs (1 - alpha)^(n-1), each later one alpha (1 - alpha)^(age)."""
        stats = EmaRunningStats(alpha)
        stats.batch_update(values)
        weights = alpha * (1 - alpha) ** np.arange(len(values) - 1, -1, -1.0)
        weights[0] = (1 - alpha) ** (len(values) - 1.0)
        x = np.array(values)
        mean = (weights * x).sum()
        close(stats.mean(), mean, 10 * np.abs(x).max())
        np.testing.assert_allclose(
            stats.var(), (weights * (x - mean) ** 2).sum(), rtol=1e-9, atol=1e-13 * (x**2).max() + 1e-300
        )

    def test_known_answer(self):
        stats = EmaRunningStats(0.5)
        for x in (1.0, 2.0, 3.0):
            stats.update(x)
        assert (stats.mean(), stats.var(), stats.count()) == (2.25, 0.6875, 3)
        assert stats.normalize(2.25) == 0.0

    def test_window_and_halflife(self):
        assert EmaRunningStats.from_window(9).alpha == 0.2
        assert EmaRunningStats.from_window(1).alpha == 1.0
        assert EmaRunningStats.from_halflife(1).alpha == pytest.approx(0.5, rel=1e-15)

    @pytest.mark.parametrize("alpha", [0.0, -1.0, 1.5, math.nan])
    def test_bad_alpha_is_refused(self, alpha):
        with pytest.raises(InvalidValueError):
            EmaRunningStats(alpha)

    @pytest.mark.parametrize("change", [{"alpha": 0.0}, {"var": -1.0}, {"count": 0}, {"mean": math.nan}, {"x": 1}])
    def test_bad_states_are_refused(self, change):
        stats = EmaRunningStats(0.1)
        stats.batch_update([1.0, 2.0])
        before = stats.state_dict()
        with pytest.raises(InvalidValueError):
            stats.load_state_dict({**before, **change})
        assert stats.state_dict() == before

    def test_bad_numbers_are_refused_and_change_nothing(self):
        stats = EmaRunningStats(0.1)
        stats.batch_update([1.0, 2.0])
        before = stats.state_dict()
        for bad in (*BAD, 1e200):
            with pytest.raises(InvalidValueError):
                stats.batch_update([1.0, bad])
        assert stats.state_dict() == before
        assert pickle.loads(pickle.dumps(stats)).state_dict() == before
        stats.reset()
        assert (stats.count(), stats.mean(), stats.std()) == (0, 0.0, 0.0)
        assert repr(stats) == "EmaRunningStats(alpha=0.1, count=0, mean=0, std=0)"
