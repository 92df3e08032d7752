"""rfx.llm.divergence and reduction against the formulas, with math.fsum and exact fractions."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm import categorical_kl, compute_token_kl, reduce_tokens, token_kl
from rfx.llm.reduction import token_exp

INF, NAN = math.inf, math.nan


def exact_exp(x, terms=60):
    """exp of a float as a fraction: the series after halving until |x| < 1, squared back."""
    halvings = max(0, math.frexp(x)[1])
    x = Fraction(x) / 2**halvings
    total, term = Fraction(1), Fraction(1)
    for i in range(1, terms):
        term = term * x / i
        total += term
        total = Fraction(int(total * 2**300), 2**300)
        term = Fraction(int(term * 2**300), 2**300)
    for _ in range(halvings):
        total = total * total
        scale = 2 ** (300 + max(0, -math.floor(math.log2(total))))
        total = Fraction(int(total * scale), scale)
    return total


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-20, 0), (-700, 700)])
def test_exp_is_within_seven_tenths_of_a_unit_in_the_last_place(low, high):
    x = np.random.default_rng(0).uniform(low, high, 300)
    for value, got in zip(x.tolist(), token_exp(x).tolist(), strict=True):
        assert abs(Fraction(got) - exact_exp(value)) < Fraction(7, 10) * Fraction(math.ulp(got))


def test_exp_agrees_with_libm_over_all_of_its_range():
    x = np.concatenate([np.linspace(-745, 709.7, 20_001), -np.logspace(-320, 2, 1000), np.logspace(-320, 2, 1000)])
    np.testing.assert_allclose(token_exp(x), [math.exp(v) for v in x], rtol=2.3e-16, atol=5e-324)


def test_exp_knows_its_edges():
    edges = [0.0, -0.0, INF, -INF, 709.782712893384, 709.7827128933841, -745.1332191019411, -745.2, 1e308, -1e308]
    expected = [1.0, 1.0, INF, 0.0, 1.797693134862273e308, INF, 5e-324, 0.0, INF, 0.0]
    np.testing.assert_allclose(token_exp(np.array(edges)), expected, rtol=1e-15)
    assert np.isnan(token_exp(np.array([NAN])))[0]


def test_exp_gives_the_same_bytes_on_every_cpu():
    """The digest was made by each of the clones (SSE2, AVX2, AVX-512) and without optimisation."""
    digest = hashlib.sha256(token_exp(np.arange(-44800, 44801) / 64).tobytes()).hexdigest()
    assert digest.startswith("7f5c1c510ec066b7")


# -- the design document's sum


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 255, 256, 257, 1000, 4097])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sum_agrees_with_the_formula(n, dtype):
    rng = np.random.default_rng(n)
    p = rng.uniform(-12, 0, n).astype(dtype)
    q = rng.uniform(-12, 0, n).astype(dtype)
    expected = math.fsum(math.exp(a) * (float(a) - float(b)) for a, b in zip(p, q, strict=True))
    assert compute_token_kl(p, q) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_sum_of_equal_distributions_is_zero_without_a_sign():
    result = compute_token_kl([-1.0, -2.0, -0.5], [-1.0, -2.0, -0.5])
    assert result == 0.0
    assert math.copysign(1, compute_token_kl([], [])) == 1.0
    assert isinstance(result, float)


def test_probability_zero_counts_nothing():
    assert compute_token_kl([-INF, 0.0], [-INF, 0.0]) == 0.0
    assert compute_token_kl([-INF, 0.0], [-1.0, -2.0]) == 2.0


def test_a_reference_of_probability_zero_makes_it_infinite():
    assert compute_token_kl([-1.0, 0.0], [-INF, 0.0]) == INF
    assert compute_token_kl([-800.0], [-INF]) == INF


@pytest.mark.parametrize("at", [0, 3, 250, 263, 299])
def test_one_special_value_in_a_block_leaves_the_rest_as_it_was(at):
    rng = np.random.default_rng(at)
    p, q = rng.uniform(-12, 0, (2, 300))
    p[at] = -INF
    expected = math.fsum(math.exp(a) * (a - b) for i, (a, b) in enumerate(zip(p, q, strict=True)) if i != at)
    assert compute_token_kl(p, q) == pytest.approx(expected, rel=1e-12)
    p[at] = -720.0
    assert compute_token_kl(p, q) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("at", [0, 3, 299])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_no_log_probability_is_refused_by_name(bad, at, dtype):
    p, q = np.full((2, 300), -1.0, dtype)
    p[at] = bad
    with pytest.raises(InvalidValueError, match=rf"log_p\[{at}\]"):
        compute_token_kl(p, q)
    with pytest.raises(InvalidValueError, match=rf"log_q\[{at}\]"):
        compute_token_kl(q, p)


def test_log_densities_above_zero_are_taken_until_they_overflow():
    assert compute_token_kl([2.0], [1.0]) == pytest.approx(math.exp(2))
    with pytest.raises(InvalidValueError, match="range of float64"):
        compute_token_kl([710.0], [710.0])


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=20), st.data())
def test_kl_of_distributions_is_never_below_zero(logits, data):
    other = data.draw(st.lists(st.floats(-30, 30), min_size=len(logits), max_size=len(logits)))
    p, q = (np.array(v) - np.logaddexp.reduce(v) for v in (logits, other))
    assert compute_token_kl(p, q) >= -1e-13


def test_categorical_kl_takes_each_row_by_itself():
    rng = np.random.default_rng(4)
    p, q = np.log(rng.dirichlet(np.ones(300), (2, 3, 5)))
    got = categorical_kl(p, q)
    assert got.shape == (3, 5)
    np.testing.assert_array_equal(
        got, [[compute_token_kl(a, b) for a, b in zip(*r, strict=True)] for r in zip(p, q, strict=True)]
    )
    np.testing.assert_allclose(got, (np.exp(p) * (p - q)).sum(-1), rtol=1e-12)
    assert categorical_kl(np.empty((0, 4)), np.empty((0, 4))).shape == (0,)


@pytest.mark.parametrize(("p", "q"), [([-1.0, -2.0], [-1.0]), ([[-1.0]], [[-1.0]]), (-1.0, -1.0)])
def test_shapes_that_do_not_fit_are_refused(p, q):
    with pytest.raises(ShapeError):
        compute_token_kl(p, q)


# -- estimators per token


def test_k3_is_unbiased_for_samples_of_the_policy():
    """The sign matters: with the ratio turned round the mean is 0.0777."""
    policy, reference = np.log([0.7, 0.3]), np.log([0.5, 0.5])
    exact = compute_token_kl(policy, reference)
    assert exact == pytest.approx(0.0823, abs=5e-5)
    for estimator in ("k1", "k3"):
        assert np.exp(policy) @ token_kl(policy, reference, estimator=estimator) == pytest.approx(exact, rel=1e-14)
    assert np.exp(policy) @ token_kl(reference, policy) != pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_estimators_agree_with_their_formulas(n, dtype):
    rng = np.random.default_rng(n)
    policy, reference = rng.uniform(-12, 0, (2, n)).astype(dtype)
    d = reference.astype(np.float64) - policy.astype(np.float64)
    tolerance = {"rtol": 1e-12 if dtype == np.float64 else 1e-7, "atol": 1e-15}
    np.testing.assert_allclose(token_kl(policy, reference, estimator="k1"), -d, **tolerance)
    np.testing.assert_allclose(token_kl(policy, reference, estimator="k2"), d * d / 2, **tolerance)
    np.testing.assert_allclose(token_kl(policy, reference), np.expm1(d) - d, rtol=tolerance["rtol"], atol=1e-14)
    assert token_kl(policy, reference).dtype == dtype


@pytest.mark.parametrize("d", [1e-300, 1e-12, -1e-8, 1e-5, 0.3, -0.34, 0.35, -0.36, 3.0, -40.0, 700.0])
def test_k3_keeps_its_digits_however_close_the_policies_are(d):
    exact = exact_exp(d, 80) - 1 - Fraction(d)
    if abs(d) < 1e-4:  # the leading terms of the series, exactly
        exact = sum(Fraction(d) ** i / math.factorial(i) for i in range(2, 12))
    got = Fraction(token_kl([0.0], [d])[0])
    assert abs(got - exact) <= exact * Fraction(4, 10**15) + Fraction(5e-324)


@given(st.lists(st.floats(-1e3, 0), min_size=1, max_size=30), st.data())
def test_k3_and_k2_are_never_below_zero(policy, data):
    reference = data.draw(st.lists(st.floats(-1e3, 0), min_size=len(policy), max_size=len(policy)))
    for estimator in ("k2", "k3"):
        assert (token_kl(policy, reference, estimator=estimator) >= 0).all()


@pytest.mark.parametrize(
    ("policy", "reference", "k1", "k2", "k3"),
    [
        (-INF, -INF, 0.0, 0.0, 0.0),
        (-1.0, -INF, INF, INF, INF),
        (-INF, -1.0, -INF, INF, INF),
        (-1.0, -1.0, 0.0, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("n", [1, 11])
def test_minus_infinity_gives_the_limit_of_the_formula(policy, reference, k1, k2, k3, n):
    for estimator, expected in (("k1", k1), ("k2", k2), ("k3", k3)):
        got = token_kl([policy] * n, [reference] * n, estimator=estimator)
        np.testing.assert_array_equal(got, expected)
        assert not np.signbit(got[got == 0]).any()


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_masked_tokens_may_be_anything_and_count_zero(estimator):
    policy, reference = (
        np.array([[-1.0, NAN, -2.0], [INF, -1.0, -INF]]),
        np.array([[-1.5, INF, NAN], [NAN, -1.0, -3.0]]),
    )
    mask = np.array([[True, False, False], [False, True, False]])
    got = token_kl(policy, reference, estimator=estimator, mask=mask)
    expected = token_kl([-1.0], [-1.5], estimator=estimator)[0]
    np.testing.assert_array_equal(got, [[expected, 0, 0], [0, 0, 0]])
    with pytest.raises(InvalidValueError, match=r"log_probs\[0, 1\]"):
        token_kl(policy, reference, estimator=estimator)


def test_out_is_filled_and_returned():
    out = np.empty(2)
    assert token_kl([-1.0, -2.0], [-1.5, -2.0], estimator="k1", out=out) is out
    np.testing.assert_array_equal(out, [0.5, 0.0])


def test_read_only_and_strided_input_is_taken():
    values = np.random.default_rng(0).uniform(-5, 0, (6, 8))
    values.flags.writeable = False
    np.testing.assert_array_equal(token_kl(values.T, values.T[::-1]), token_kl(values.T.copy(), values.T[::-1].copy()))


@pytest.mark.parametrize("estimator", ["k4", ["k1"], None, 3])
def test_an_unknown_estimator_is_refused(estimator):
    with pytest.raises(ConfigError, match="estimator"):
        token_kl([-1.0], [-1.0], estimator=estimator)


# -- reductions

VALUES = np.array([[1.0, 2.0, 3.0], [4.0, NAN, NAN], [NAN, NAN, NAN]])
MASK = np.array([[True, True, True], [True, False, False], [False, False, False]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("per_sequence_sum", [6.0, 4.0, 0.0]),
        ("per_sequence_mean", [2.0, 4.0, 0.0]),
        ("sum", 10.0),
        ("token_mean", 2.5),
        ("sequence_mean", 2.0),
        ("fixed_mean", 10.0 / 9),
        ("none", [[1, 2, 3], [4, 0, 0], [0, 0, 0]]),
    ],
)
def test_each_reduction_is_what_it_says(how, expected):
    np.testing.assert_allclose(reduce_tokens(VALUES, MASK, how=how), expected, rtol=1e-15)


def test_offsets_reduce_packed_tokens_as_rows_do():
    flat, mask = VALUES.ravel(), MASK.ravel()
    for how in ("per_sequence_sum", "per_sequence_mean", "sum", "token_mean", "sequence_mean"):
        got = reduce_tokens(flat, mask, how=how, offsets=np.array([0, 3, 6, 9], np.int32))
        np.testing.assert_array_equal(got, reduce_tokens(VALUES, MASK, how=how))
    assert reduce_tokens(flat, mask, how="fixed_mean", offsets=[0, 3, 6, 9], max_length=5) == pytest.approx(10 / 15)


def test_token_kl_reduces_what_it_computed():
    policy, reference = np.random.default_rng(0).uniform(-5, 0, (2, 4, 9))
    mask = np.random.default_rng(1).random((4, 9)) < 0.5
    terms = token_kl(policy, reference, mask=mask)
    got = token_kl(policy, reference, mask=mask, reduction="per_sequence_sum")
    np.testing.assert_allclose(got, terms.sum(1), rtol=1e-13)


def test_nothing_reduces_to_zero():
    assert reduce_tokens(np.empty((0, 5))) == 0.0
    assert reduce_tokens([], how="fixed_mean") == 0.0
    assert reduce_tokens(np.empty((3, 0)), how="sequence_mean") == 0.0
    assert reduce_tokens(np.zeros((2, 3, 4)), how="per_sequence_sum").shape == (2, 3)


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ([1.0], {"how": "mean"}, ConfigError, "one of none, per_sequence_sum"),
        (1.0, {}, ShapeError, "got a number"),
        ([1.0], {"mask": [True, False]}, ShapeError, "mask"),
        ([1.0], {"mask": [0.5]}, DTypeError, "mask"),
        ([NAN], {}, InvalidValueError, "NaN"),
        ([INF, 1.0, -INF], {}, InvalidValueError, "inf"),
        ([[INF], [-INF]], {}, InvalidValueError, "inf"),
        ([1.0, 2.0], {"offsets": [0, 1]}, InvalidValueError, "from 0 to 2"),
        ([1.0, 2.0], {"offsets": [0, 2, 1, 2]}, InvalidValueError, "from 0 to 2"),
        ([1.0, 2.0], {"offsets": [0.0, 2.0]}, DTypeError, "offsets"),
        ([1.0, 2.0], {"offsets": []}, DTypeError, "offsets"),
        ([[1.0, 2.0]], {"offsets": [0, 2]}, ShapeError, "beside offsets"),
        ([1.0, 2.0], {"offsets": [0, 2], "how": "fixed_mean"}, ConfigError, "max_length"),
        ([1.0, 2.0], {"max_length": 0, "how": "fixed_mean"}, InvalidValueError, "max_length"),
    ],
)
def test_what_does_not_fit_a_reduction_is_refused(values, options, error, message):
    with pytest.raises(error, match=message):
        reduce_tokens(values, **options)
