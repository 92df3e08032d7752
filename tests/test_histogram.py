"""rfx.control.Histogram, and with it the histogram kernel of rfx.kernels.clock."""

import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.control import Histogram
from rfx.errors import CodecError, DTypeError, InvalidValueError

LARGEST = 2**63 - 1
durations = st.integers(0, 200) | st.integers(0, 10**10) | st.integers(0, LARGEST)


def filled(values):
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_within_one_bucket_of_the_nearest_rank(values, q):
    ordered = sorted(values)
    exact = ordered[max(math.ceil(q * len(values)), 1) - 1]
    assert abs(filled(values).quantile(q) - exact) <= exact / 128 + 1


@given(st.lists(durations, min_size=1, max_size=60))
def test_count_least_and_greatest_are_exact(values):
    histogram = filled(values)
    assert (histogram.count, histogram.min, histogram.max) == (len(values), min(values), max(values))


@given(durations)
def test_a_bucket_holds_its_value_and_is_at_most_one_sixtyfourth_wide(value):
    least, most, count = filled([value]).counts()
    assert least[0] <= value <= most[0]
    assert int(most[0]) - int(least[0]) <= value / 64
    assert count.tolist() == [1]


def test_buckets_leave_no_gap():
    values = sorted({(base << shift) + step for shift in range(55) for base in range(64, 128) for step in (-1, 0)})
    least, most, _ = filled(values).counts()
    touching = most[:-1] + 1 == least[1:]
    assert np.all(most[:-1] < least[1:])
    assert touching.sum() > 3000


@given(st.lists(durations, max_size=30), st.lists(durations, max_size=30))
def test_merging_equals_recording_all_in_one(one, other):
    merged = filled(one)
    merged.merge(filled(other))
    whole = filled(one + other).state_dict()
    assert merged.state_dict() | {"total": 0} == whole | {"total": 0}
    assert merged.mean == pytest.approx(filled(one + other).mean)


def test_merging_with_itself_doubles_the_counts():
    histogram = filled([1, 2, 3])
    histogram.merge(histogram)
    assert histogram.count == 6


def test_the_mean_is_exact():
    assert filled([1, 2, 10**9]).mean == (10**9 + 3) / 3


def test_an_empty_histogram_answers_zero():
    histogram = Histogram()
    assert (histogram.count, histogram.min, histogram.max, histogram.mean, histogram.p99) == (0, 0, 0, 0.0, 0)
    assert histogram.counts()[0].shape == (0,)


@pytest.mark.parametrize("bad", [-1, 2**63, 10**30])
def test_durations_out_of_range_are_refused_and_not_counted(bad):
    histogram = Histogram()
    with pytest.raises(InvalidValueError, match="ns"):
        histogram.record(bad)
    assert histogram.count == 0


@pytest.mark.parametrize("bad", [1.0, "1", None, True])
def test_durations_that_are_not_integers_are_refused(bad):
    with pytest.raises(DTypeError, match="ns"):
        Histogram().record(bad)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_shares_out_of_range_are_refused(bad):
    with pytest.raises(InvalidValueError, match="q"):
        filled([1]).quantile(bad)


def test_merging_something_else_is_refused():
    with pytest.raises(DTypeError, match="Histogram, got list"):
        Histogram().merge([1])


@given(st.lists(durations, max_size=30))
def test_pickle_keeps_everything(values):
    histogram = filled(values)
    assert pickle.loads(pickle.dumps(histogram)).state_dict() == histogram.state_dict()


def test_a_copy_is_independent():
    histogram = filled([5])
    histogram.copy().record(7)
    assert histogram.count == 1


def test_reset_forgets_everything():
    histogram = filled([5, 6])
    histogram.reset()
    assert histogram.state_dict() == Histogram().state_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"buckets": {99999: 1}},
        {"buckets": {3: -1}},
        {"buckets": [1]},
        {"count": 7},
        {"least": 9, "most": 3},
        {"total": math.nan},
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(change):
    histogram = filled([5, 6])
    before = histogram.state_dict()
    with pytest.raises(CodecError):
        histogram.load_state_dict(before | change)
    with pytest.raises(CodecError):
        histogram.load_state_dict({})
    assert histogram.state_dict() == before


def test_threads_record_without_losing_any():
    histogram = Histogram()
    threads = [threading.Thread(target=lambda: [histogram.record(i) for i in range(2000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histogram.count == 16000
    assert histogram.counts()[2].sum() == 16000


def test_repr_shows_the_gist():
    assert repr(filled([7])) == "Histogram(count=1, p50=7 ns, p99=7 ns, max=7 ns)"
