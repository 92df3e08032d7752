"""rfx.math.filters against slow loops from the formulas and against scipy.signal."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.math import ButterworthFilter, DerivativeFilter, LowPassFilter, MovingAverageFilter, Vector3Filter

MAKERS = {
    "low pass": lambda **k: LowPassFilter(0.3, **k),
    "moving average": lambda **k: MovingAverageFilter(7, **k),
    "derivative": lambda **k: DerivativeFilter(50.0, 0.4, **k),
    "butterworth": lambda **k: ButterworthFilter(8.0, 100.0, **k),
}
samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def run(filter_, values):
    return np.array([filter_.update(float(v)) for v in values])


# -- each formula


@given(samples, st.floats(0, 1), st.floats(-10, 10))
def test_low_pass_is_its_formula(values, alpha, initial):
    y, expected = initial, []
    for v in values:
        y = alpha * v + (1 - alpha) * y
        expected.append(y)
    np.testing.assert_allclose(run(LowPassFilter(alpha, initial=initial), values), expected, rtol=1e-12, atol=1e-9)


def test_low_pass_starts_at_zero_and_halves_its_way():
    f = LowPassFilter(0.5)
    assert (f.value, f.update(10.0), f.update(10.0)) == (0.0, 5.0, 7.5)


def test_low_pass_from_cutoff():
    dt, rc = 1 / 500, 1 / (2 * np.pi * 20)
    assert LowPassFilter.from_cutoff(20, 500).alpha == pytest.approx(dt / (rc + dt), rel=1e-14)


@pytest.mark.parametrize(("cutoff", "rate"), [(0, 100), (-1, 100), (10, 0), (10, -5), (np.nan, 100), (10, np.inf)])
def test_low_pass_from_an_impossible_cutoff_is_refused(cutoff, rate):
    with pytest.raises(InvalidValueError):
        LowPassFilter.from_cutoff(cutoff, rate)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, np.nan])
def test_low_pass_refuses_alpha_outside_0_to_1(alpha):
    with pytest.raises(InvalidValueError, match="alpha"):
        LowPassFilter(alpha)


@given(samples, st.integers(1, 12))
def test_moving_average_is_the_mean_of_the_window(values, window):
    expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]
    np.testing.assert_allclose(run(MovingAverageFilter(window), values), expected, rtol=1e-9, atol=1e-9)


def test_moving_average_does_not_drift():
    """A plain running sum is off by more than 1e-7 after this."""
    rng = np.random.default_rng(0)
    f = MovingAverageFilter(100, channels=4)
    for _ in range(20_000):
        f.update(rng.normal(size=4) * 1e9)
    for _ in range(99):
        f.update(np.full(4, 0.1))
    np.testing.assert_allclose(f.update(np.full(4, 0.1)), 0.1, rtol=1e-13)


@given(samples, st.integers(1, 9))
def test_moving_average_forgets_what_left_the_window_entirely(values, window):
    """After a window of zeros exactly nothing is left, however large the samples before."""
    f = MovingAverageFilter(window)
    run(f, [v * 1e140 for v in values])
    run(f, [0.0] * (2 * window))
    assert f.value == 0.0


@given(samples, st.floats(0, 1))
def test_derivative_is_its_formula(values, alpha):
    y, expected, previous = 0.0, [], None
    for v in values:
        y = 0.0 if previous is None else alpha * (v - previous) * 100.0 + (1 - alpha) * y
        previous = v
        expected.append(y)
    np.testing.assert_allclose(run(DerivativeFilter(100.0, alpha), values), expected, rtol=1e-9, atol=1e-6)


def test_derivative_of_a_ramp_is_its_slope_and_starts_without_a_kick():
    values = run(DerivativeFilter(10.0), 5.0 + 0.3 * np.arange(20))
    assert values[0] == 0.0
    np.testing.assert_allclose(values[1:], 3.0)


@pytest.mark.parametrize(("cutoff", "rate"), [(5, 100), (0.1, 500), (49.9, 100), (120, 500)])
def test_butterworth_is_scipys(cutoff, rate):
    x = np.random.default_rng(2).normal(size=500)
    b, a = signal.butter(2, cutoff, fs=rate)
    np.testing.assert_allclose(ButterworthFilter(cutoff, rate).coefficients, [*b, *a[1:]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(run(ButterworthFilter(cutoff, rate), x), signal.lfilter(b, a, x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cutoff", [0, 50, 60, -1, np.nan])
def test_butterworth_needs_a_cutoff_below_half_the_rate(cutoff):
    with pytest.raises(InvalidValueError, match="cutoff"):
        ButterworthFilter(cutoff, 100)


@pytest.mark.parametrize("cutoff", [1e-6, 1e-5, 1e-3, 0.4999])
def test_butterworth_lets_a_constant_through(cutoff):
    b0, b1, b2, a1, a2 = ButterworthFilter(cutoff, 1.0).coefficients
    assert (b0 + b1 + b2) / (1 + a1 + a2) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("cutoff", [1e-8, 1e-9, 1e-200])
def test_butterworth_refuses_cutoffs_that_doubles_cannot_hold(cutoff):
    with pytest.raises(InvalidValueError, match="cutoff_hz to be at least 1e-06"):
        ButterworthFilter(cutoff, 1.0)


# -- what all have in common


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_channels_are_filtered_each_alone(make):
    x = np.random.default_rng(3).normal(size=(40, 3))
    together = make(channels=3)
    got = np.array([together.update(row) for row in x])
    for i in range(3):
        np.testing.assert_array_equal(got[:, i], run(make(), x[:, i]))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e151])
def test_a_bad_sample_is_refused_and_the_state_stays_whole(make, bad):
    f, twin = make(), make()
    for v in (1.0, 2.0, -3.0):
        f.update(v)
        twin.update(v)
    with pytest.raises(InvalidValueError, match="x"):
        f.update(bad)
    assert f.update(0.5) == twin.update(0.5)
    many = make(channels=2)
    with pytest.raises(InvalidValueError):
        many.update([0.0, bad])
    np.testing.assert_array_equal(many.value, 0)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_largest_samples_do_not_overflow(make):
    f = make()
    assert np.isfinite(run(f, [1e150, -1e150] * 50)).all()
    assert np.isfinite(f.update(1.0))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_wrong_kinds_of_samples_are_refused(make):
    for bad in ("1", None, [1.0]):
        with pytest.raises((DTypeError, ShapeError)):
            make().update(bad)
    for bad in (1.0, [1.0], np.zeros((2, 1)), ["a", "b"]):
        with pytest.raises((DTypeError, ShapeError)):
            make(channels=2).update(bad)
    with pytest.raises(InvalidValueError):
        make(channels=0)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_reset_forgets(make):
    f = make()
    first = run(f, [3.0, 1.0, 4.0])
    f.reset()
    assert f.value == make().value
    np.testing.assert_array_equal(run(f, [3.0, 1.0, 4.0]), first)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("channels", [None, 3])
def test_pickle_and_state_dict_carry_on_where_it_was(make, channels):
    x = np.random.default_rng(4).normal(size=(30, channels or 1))
    feed = (lambda f, row: f.update(row)) if channels else (lambda f, row: f.update(float(row[0])))
    f = make(channels=channels)
    for row in x[:20]:
        feed(f, row)
    copy, loaded = pickle.loads(pickle.dumps(f)), make(channels=channels)
    loaded.load_state_dict(f.state_dict())
    for row in x[20:]:
        expected = feed(f, row)
        np.testing.assert_array_equal(feed(copy, row), expected)
        np.testing.assert_array_equal(feed(loaded, row), expected)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "change",
    [
        {"state": np.zeros(1000)},
        {"value": [np.nan]},
        {"value": [1e200]},
        {"seen": -1},
        {"seen": 1.5},
        {"seen": 2**70},
        {"more": 1},
    ],
)
def test_a_wrong_state_is_refused_whole(make, change):
    f = make()
    f.update(2.0)
    before = f.state_dict()
    with pytest.raises((ConfigError, ShapeError, InvalidValueError, DTypeError)):
        f.load_state_dict({**before, "state": before["state"] + 1.0, **change})
    after = f.state_dict()
    np.testing.assert_array_equal(after["state"], before["state"])
    assert (after["value"], after["seen"]) == (before["value"], before["seen"])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_state_that_can_be_loaded_overflows(make, sign):
    f = make()
    state = f.state_dict()
    f.load_state_dict({"state": np.full_like(state["state"], sign * 1e170), "value": [0.0], "seen": 10**6})
    assert np.isfinite(run(f, [1e150, -1e150] * 20)).all()
    with pytest.raises(InvalidValueError, match="state"):
        f.load_state_dict({**state, "state": np.full_like(state["state"], 1.7e308)})


class Named(LowPassFilter):
    """A filter of somebody else."""


def test_a_subclass_pickles():
    f = Named(0.25, channels=2, initial=3.0)
    f.update([1.0, 2.0])
    copy = pickle.loads(pickle.dumps(f))
    assert type(copy) is Named
    np.testing.assert_array_equal(copy.update([0.5, 0.5]), f.update([0.5, 0.5]))


def test_a_low_pass_cannot_start_where_it_would_overflow():
    with pytest.raises(InvalidValueError, match="initial"):
        LowPassFilter(0.5, initial=1e300)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_out_is_written_and_returned(make):
    f, out = make(channels=3), np.empty(3)
    assert f.update([1.0, 2.0, 3.0], out=out) is out
    np.testing.assert_array_equal(out, make(channels=3).update([1.0, 2.0, 3.0]))
    x = np.ones(3)
    with pytest.raises(InvalidValueError, match="overlap"):
        f.update(x, out=x)
    with pytest.raises(DTypeError, match="no out"):
        make().update(1.0, out=out)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_values_are_copies(make):
    f = make(channels=2)
    f.update([1.0, 1.0])
    before = f.value.copy()
    f.value[:] = 99
    np.testing.assert_array_equal(f.value, before)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_float32_samples_give_float64(make):
    assert make(channels=2).update(np.ones(2, np.float32)).dtype == np.float64


def test_reprs_say_what_they_are():
    assert repr(LowPassFilter(0.25)) == "LowPassFilter(0.25, 0)"
    assert repr(MovingAverageFilter(5, channels=3)) == "MovingAverageFilter(5, channels=3)"
    assert "MovingAverageFilter(4)" in repr(Vector3Filter.moving_average(4))


def test_threads_may_share_a_filter():
    f = MovingAverageFilter(10**6)
    threads = [threading.Thread(target=lambda: [f.update(1.0) for _ in range(2000)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.state_dict()["seen"] == 8000
    assert f.value == 1.0


@pytest.mark.parametrize("kind", [LowPassFilter, MovingAverageFilter, DerivativeFilter, ButterworthFilter])
@pytest.mark.parametrize(
    "use", [lambda f: f.update(1.0), lambda f: f.value, lambda f: f.reset(), lambda f: f.state_dict()]
)
def test_a_filter_that_was_never_set_up_says_so(kind, use):
    f = kind.__new__(kind)
    with pytest.raises(InvalidStateError, match="never set up"):
        use(f)
    assert "never set up" in repr(f)


def test_a_filter_cannot_be_set_up_twice():
    f = LowPassFilter(0.5)
    f.update(2.0)
    with pytest.raises(InvalidStateError, match="already"):
        f.__init__(0.1, channels=3)
    assert (f.value, f.alpha, f.channels) == (1.0, 0.5, None)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "given",
    [
        [1.0, 2.0],
        (1, 2),
        np.array([1, 2]),
        np.array([1.0, 2.0], np.float32),
        np.array([1.0, 9.0, 2.0, 9.0])[::2],
        np.array([1.0, 2.0], ">f8"),
        np.frombuffer(b"x" + np.array([1.0, 2.0]).tobytes(), np.uint8)[1:].view(np.float64),
    ],
    ids=["list", "tuple", "int64", "float32", "strided", "big endian", "unaligned"],
)
def test_samples_in_any_layout_are_the_same_samples(make, given):
    f, twin = make(channels=2), make(channels=2)
    for _ in range(3):
        np.testing.assert_array_equal(f.update(given), twin.update(np.array([1.0, 2.0])))


def test_threads_may_share_a_filter_with_channels():
    f = MovingAverageFilter(10**4, channels=50)
    threads = [threading.Thread(target=lambda: [f.update(np.ones(50)) for _ in range(1000)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.state_dict()["seen"] == 4000
    np.testing.assert_array_equal(f.value, 1.0)


# -- three axes


def test_vector_filter_is_three_filters():
    f = Vector3Filter.low_pass(0.5)
    np.testing.assert_array_equal(f.update([2.0, 4.0, -8.0]), [1.0, 2.0, -4.0])
    np.testing.assert_array_equal(f.value, [1.0, 2.0, -4.0])
    f.reset()
    np.testing.assert_array_equal(f.value, 0)


def test_vector_filter_refuses_a_bad_vector_whole():
    f = Vector3Filter.moving_average(3)
    f.update([1.0, 1.0, 1.0])
    with pytest.raises(InvalidValueError):
        f.update([5.0, 5.0, np.nan])
    with pytest.raises(InvalidValueError):
        f.update([5.0, 5.0, 1e160])
    np.testing.assert_array_equal(f.value, 1.0)


def test_vector_filter_pickles_and_restores():
    f = Vector3Filter(LowPassFilter(0.5), MovingAverageFilter(3), ButterworthFilter(5, 100))
    f.update([1.0, 2.0, 3.0])
    copy = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(copy.update([4.0, 5.0, 6.0]), f.update([4.0, 5.0, 6.0]))
    state = f.state_dict()
    with pytest.raises(ConfigError):
        f.load_state_dict({**state, "z": {}})
    np.testing.assert_array_equal(f.state_dict()["x"]["state"], state["x"]["state"])


def test_vector_filter_needs_three_different_single_filters():
    f = LowPassFilter(0.5)
    with pytest.raises(ConfigError, match="twice"):
        Vector3Filter(f, f, LowPassFilter(0.5))
    with pytest.raises(ShapeError, match="single channel"):
        Vector3Filter(f, LowPassFilter(0.5), LowPassFilter(0.5, channels=2))
    with pytest.raises(DTypeError, match="filter"):
        Vector3Filter(f, LowPassFilter(0.5), 3)
