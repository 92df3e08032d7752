"""rfx.estimators.weights and priorities against numpy, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rfx.estimators as estimators
from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.estimators import (
    average_weight_vectors,
    compute_lap_priorities,
    compute_priorities,
    compute_td_priorities,
    polyak_update,
    reptile_update,
)

DTYPES = [np.float32, np.float64]
UPDATES = [(polyak_update, 0.25), (reptile_update, 0.25)]


def pair(dtype=np.float64, shape=(5, 3), seed=0):
    return tuple(np.random.default_rng(seed).normal(size=(2, *shape)).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@given(n=st.integers(0, 300), seed=st.integers(0, 2**32), rate=st.floats(0, 1, width=32))
def test_updates_are_the_formulae_to_the_bit(dtype, n, seed, rate):
    target, source = pair(dtype, (n,), seed)
    rate = dtype(rate)
    meta, blended = target.copy(), target.copy()
    reptile_update(meta, source, float(rate))
    polyak_update(blended, source, float(rate))
    np.testing.assert_array_equal(meta, target + rate * (source - target))
    np.testing.assert_array_equal(blended, rate * source + (dtype(1) - rate) * target)


def test_examples_of_the_design_document():
    meta = np.array([1.0, 2.0, 3.0], np.float32)
    reptile_update(meta, np.array([4.0, 5.0, 6.0], np.float32), 0.1)
    np.testing.assert_allclose(meta, [1.3, 2.3, 3.3], rtol=1e-6)
    target = np.zeros(3, np.float32)
    polyak_update(target, np.ones(3, np.float32), 0.005)
    np.testing.assert_allclose(target, [0.005] * 3, rtol=1e-6)
    mean = average_weight_vectors([np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])])
    assert mean.tolist() == [2.0, 2.0, 2.0]


def test_tau_of_0_and_1_keep_and_copy():
    target, source = pair()
    before = target.copy()
    polyak_update(target, source, 0.0)
    np.testing.assert_array_equal(target, before)
    polyak_update(target, source, 1)
    np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize(("update", "rate"), UPDATES)
def test_lists_are_updated_array_by_array(update, rate):
    targets = [np.ones((2, 3), np.float32), np.zeros(()), np.zeros((0, 4))]
    sources = (np.zeros((3, 2), np.float32).T, np.ones(()), np.zeros((0, 4)))
    update(targets, sources, rate)
    assert (targets[0] == 0.75).all()
    assert targets[1] == 0.25


@pytest.mark.parametrize(("update", "rate"), UPDATES)
def test_read_only_and_overlapping_arrays_are_refused(update, rate):
    memory = np.arange(10.0)
    locked = np.zeros(3)
    locked.flags.writeable = False
    with pytest.raises(InvalidValueError, match="writeable"):
        update(locked, np.ones(3), rate)
    for target, source in ((memory, memory), (memory[:6], memory[4:]), (memory[:5], memory[::2])):
        with pytest.raises(InvalidValueError, match="overlap"):
            update(target, source, rate)
    with pytest.raises(InvalidValueError, match="overlap"):
        update([memory[:4], memory[3:7]], [np.ones(4), np.ones(4)], rate)
    with pytest.raises(InvalidValueError, match="overlap"):
        update([np.ones(4), memory[:4]], [memory[2:6], np.ones(4)], rate)
    assert memory.tolist() == list(range(10))
    assert locked.tolist() == [0.0] * 3


@pytest.mark.parametrize(("update", "rate"), UPDATES)
def test_neighbours_and_shared_sources_are_fine(update, rate):
    memory = np.zeros(8)
    source = np.ones(4)
    update([memory[:4], memory[4:]], [source, source], rate)
    assert memory.tolist() == [0.25] * 8
    update(memory[:4], memory[4:], rate)


@pytest.mark.parametrize(("update", "rate"), UPDATES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_atomic_changes_nothing_where_a_number_is_not_finite(update, rate, bad):
    targets, sources = [np.zeros(300), np.zeros(40)], [np.ones(300), np.ones(40)]
    sources[1][39] = bad
    with pytest.raises(InvalidValueError, match=r"\[1\]\[39\]"):
        update(targets, sources, rate, atomic=True)
    assert not targets[0].any()
    targets[0][7] = bad
    with pytest.raises(InvalidValueError, match=r"\[0\]\[7\]"):
        update(targets, [np.ones(300), np.ones(40)], rate, atomic=True)
    assert not targets[1].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("update", "rate"), UPDATES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [3, 299])
def test_a_number_that_is_not_finite_never_gets_into_the_target(dtype, update, rate, bad, where):
    target, source = np.zeros(300, dtype), np.ones(300, dtype)
    source[where] = bad
    with pytest.raises(InvalidValueError, match=rf"source\[{where}\]|task_params\[{where}\]"):
        update(target, source, rate)
    assert target[where] == 0.0
    assert np.delete(target, where).tolist() == [0.25] * 299


@pytest.mark.parametrize(("update", "rate"), UPDATES)
def test_a_target_that_is_not_finite_is_an_error(update, rate):
    target = np.zeros(300)
    target[7] = math.nan
    with pytest.raises(InvalidValueError, match=r"(target|meta_params)\[7\]"):
        update(target, np.ones(300), rate)


@pytest.mark.parametrize("atomic", [False, True])
def test_what_would_overflow_stays_as_it_was(atomic):
    target = np.array([0.0, 3e38], np.float32)
    with pytest.raises(InvalidValueError, match="overflow"):
        reptile_update(target, np.array([1.0, -3e38], np.float32), 1.0, atomic=atomic)
    assert target.tolist() == [0.0 if atomic else 1.0, np.float32(3e38)]


@pytest.mark.parametrize(("update", "rate"), UPDATES)
def test_wrong_arguments_are_refused(update, rate):
    target, source = pair()
    with pytest.raises(ShapeError):
        update(target, source.T, rate)
    with pytest.raises(ShapeError):
        update([target], [source, source], rate)
    with pytest.raises(DTypeError, match="float32"):
        update(target, source.astype(np.float32), rate)
    with pytest.raises(DTypeError, match="int64"):
        update(np.zeros(3, int), np.zeros(3, int), rate)
    with pytest.raises(DTypeError, match="numpy array"):
        update(target.tolist(), source, rate)
    with pytest.raises(ShapeError, match="contiguous"):
        update(np.zeros((3, 4))[:, ::2], np.zeros((3, 2)), rate)
    with pytest.raises(InvalidValueError):
        update(target, source, -0.1)
    with pytest.raises(InvalidValueError):
        update(target, source, math.nan)
    with pytest.raises(DTypeError, match="atomic"):
        update(target, source, rate, atomic=np.ones(2))


def test_tau_above_1_is_refused():
    with pytest.raises(InvalidValueError, match="tau"):
        polyak_update(*pair(), 1.5)


@pytest.mark.parametrize("dtype", DTYPES)
@given(count=st.integers(1, 6), n=st.integers(0, 1200), seed=st.integers(0, 2**32))
def test_average_is_rounded_once(dtype, count, n, seed):
    vectors = list(np.random.default_rng(seed).normal(size=(count, n)).astype(dtype))
    expected = np.mean(np.asarray(vectors, np.longdouble), axis=0)
    np.testing.assert_allclose(average_weight_vectors(vectors), expected, rtol=2e-16 + np.finfo(dtype).eps, atol=1e-15)


def test_average_of_lists_with_weights_into_out():
    networks = [[np.full((2, 2), float(k), np.float32), np.full(3, -float(k))] for k in (1, 2)]
    first, second = average_weight_vectors(networks, [3.0, 1.0])
    assert first.dtype == np.float32
    assert (first == 1.25).all()
    assert (second == -1.25).all()
    out = [np.empty((2, 2), np.float32), np.empty(3)]
    made = average_weight_vectors(networks, out=out)
    assert made[0] is out[0]
    assert (out[1] == -1.5).all()
    assert average_weight_vectors(np.arange(6.0).reshape(2, 3)).tolist() == [1.5, 2.5, 3.5]


def test_wrong_averages_are_refused():
    a = np.ones(3)
    for vectors, error in (
        ([], InvalidValueError),
        ([a, np.ones(4)], ShapeError),
        ([a, np.ones(3, np.float32)], DTypeError),
        ([[a], a], DTypeError),
        ([[a], [a, a]], ShapeError),
        ([a, np.array([1.0, math.nan, 1.0])], InvalidValueError),
        (a, DTypeError),
        (np.array(1.0), DTypeError),
        (3, DTypeError),
    ):
        with pytest.raises(error):
            average_weight_vectors(vectors)
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0]):
        with pytest.raises(InvalidValueError):
            average_weight_vectors([a, a], weights)
    with pytest.raises(InvalidValueError, match="overlap"):
        average_weight_vectors([a, np.ones(3)], out=a)
    out = np.ones(3)
    with pytest.raises(InvalidValueError, match="overlap"):
        average_weight_vectors([[a, a], [a, a]], out=[out, out])


def test_priorities():
    errors = np.array([[0.5, -2.0], [0.0, 1e-9]])
    np.testing.assert_array_equal(compute_priorities(errors, 0.25), np.abs(errors) + 0.25)
    np.testing.assert_array_equal(compute_td_priorities(errors), np.maximum(np.abs(errors), 1e-6))
    np.testing.assert_array_equal(compute_lap_priorities(errors), np.maximum(np.abs(errors), 1.0))
    single = compute_priorities(errors.astype(np.float32), 0.25)
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, np.abs(errors) + 0.25, rtol=1e-6)
    losses = np.array([[1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(
        compute_lap_priorities(errors, losses, eta=0.5), np.maximum(np.abs(errors) + 0.5 * losses, 1e-6)
    )
    out = np.empty((2, 2))
    assert compute_td_priorities(errors, out=out) is out


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(0.1, 1.0))
def test_lap_in_a_buffer_with_alpha_is_the_papers(errors, alpha):
    expected = np.maximum(np.abs(errors) ** alpha, 1.0)
    np.testing.assert_allclose(compute_lap_priorities(errors) ** alpha, expected, rtol=1e-14)


@pytest.mark.parametrize("make", [compute_priorities, compute_td_priorities, compute_lap_priorities])
def test_bad_errors_are_refused(make):
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(InvalidValueError, match=r"\[1\]"):
            make([0.0, bad])
    with pytest.raises(DTypeError):
        make(["a"])
    assert make([]).shape == (0,)


def test_bad_options_of_priorities_are_refused():
    with pytest.raises(InvalidValueError, match="eps"):
        compute_priorities([1.0], -1.0)
    with pytest.raises(InvalidValueError, match="min_priority"):
        compute_td_priorities([1.0], min_priority=-1.0)
    with pytest.raises(InvalidValueError, match="losses"):
        compute_lap_priorities([1.0], [-1.0])
    with pytest.raises(ShapeError, match="losses"):
        compute_lap_priorities([1.0], [1.0, 2.0])
    with pytest.raises(InvalidValueError, match="overflow"):
        compute_priorities([1.7e308], 1.7e308)


def test_the_simd_names_are_the_same_functions():
    for name, simd in (
        ("reptile_update", "reptile_update_simd"),
        ("polyak_update", "polyak_update_simd"),
        ("average_weight_vectors", "average_weights_simd"),
        ("compute_priorities", "compute_priorities_simd"),
    ):
        assert getattr(estimators, name) is getattr(estimators, simd)
