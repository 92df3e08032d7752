"""rfx.estimators: vtrace and compute_vtrace against the definition, at every kind of end."""

import math

import numpy as np
import pytest
from rlox_core import rlox_core
from rollouts import EXACT, F32, Rollout, many, vtrace_definition

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.estimators import compute_vtrace, gae, vtrace


def run(case, **options):
    return vtrace(case.log_rhos, case.rewards, case.values, *case.common(), case.gamma, case.lam, **options)


def clips(rng):
    return [float(rng.choice([0.0, 0.5, 1.0, 1.7, math.inf])) for _ in range(3)]


def test_agrees_with_the_definition_in_thousands_of_random_cases():
    rng = np.random.default_rng(0)
    for case in many(2000):
        case.log_rhos *= 0.5
        rho_bar, c_bar, pg_bar = clips(rng)
        got = run(case, rho_bar=rho_bar, c_bar=c_bar, pg_rho_bar=pg_bar)
        for ours, expected in zip(got, vtrace_definition(case, rho_bar, c_bar, pg_bar), strict=True):
            scale = max(1.0, np.abs(expected).max(initial=0.0))
            np.testing.assert_allclose(ours, expected, rtol=0, atol=EXACT * scale)


def test_float32_agrees_with_the_definition():
    for case in many(400, 1, dtype=np.float32):
        got = run(case)
        assert got[0].dtype == got[1].dtype == np.float32
        for ours, expected in zip(got, vtrace_definition(case, 1.0, 1.0, 1.0), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=0, atol=F32)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layouts_give_the_same_bytes(dtype):
    for case in many(200, 2, dtype=dtype, steps=300, n=3):
        rows = run(case)
        names = ("log_rhos", "rewards", "values", "terminated", "truncated", "final")
        turned = [getattr(case, name).T.copy() for name in names]
        major = vtrace(*turned, case.last, case.gamma, case.lam, time_axis=1)
        for k in range(2):
            np.testing.assert_array_equal(major[k], rows[k].T)
        for i in range(3):
            one = vtrace(*(x[i] for x in turned), case.last[i], case.gamma, case.lam)
            for k in range(2):
                np.testing.assert_array_equal(one[k], rows[k][:, i])


def test_on_policy_it_is_the_return_of_gae():
    for case in many(300, 3):
        case.log_rhos[:] = 0.0
        vs, advantages = run(case)
        expected = gae(case.rewards, case.values, *case.common(), case.gamma, case.lam)
        np.testing.assert_allclose(vs, expected[1], rtol=0, atol=EXACT)
        np.testing.assert_allclose(advantages, expected[0], rtol=0, atol=EXACT)


def test_ratios_of_zero_keep_the_values():
    for case in many(50, 4):
        case.log_rhos[:] = -np.inf
        vs, advantages = run(case)
        np.testing.assert_array_equal(vs, case.values)
        np.testing.assert_array_equal(advantages, 0.0)


def test_the_policy_gradient_has_a_clip_of_its_own():
    case = Rollout(np.random.default_rng(5), 20, 4)
    vs, advantages = run(case)
    other_vs, other = run(case, pg_rho_bar=0.25)
    np.testing.assert_array_equal(other_vs, vs)
    ratio = np.exp(case.log_rhos)
    scale = np.minimum(ratio, 0.25) / np.minimum(ratio, 1.0)
    np.testing.assert_allclose(other, advantages * scale, rtol=0, atol=EXACT)
    np.testing.assert_array_equal(run(case, rho_bar=0.5)[1], run(case, rho_bar=0.5, pg_rho_bar=0.5)[1])


def test_a_truncated_step_takes_its_advantage_from_its_own_final_state():
    # the target of the next trajectory must not show in it
    got = vtrace([0.0, 0.0], [1.0, 5.0], [2.0, 3.0], [False, True], [True, False], [4.0, np.nan], np.nan, 0.5)
    np.testing.assert_array_equal(got[1], [1 + 0.5 * 4 - 2, 5 - 3])


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_what_is_not_finite_stays_behind_the_end_of_its_episode(lam):
    for case in many(40, 6, steps=23, n=3):
        case.lam = lam
        case.terminated[11] = ~case.truncated[11]
        good = run(case)
        for array in (case.log_rhos, case.rewards, case.values, case.final):
            array[12:] = np.nan
        case.last[:], case.final[~case.truncated] = np.nan, np.nan
        for changed, expected in zip(run(case), good, strict=True):
            np.testing.assert_array_equal(changed[:12], expected[:12])


def test_nan_in_a_ratio_is_not_clipped_away():
    nan, flags = [0.0, np.nan, 0.0], np.zeros(3, bool)
    vs, advantages = vtrace(nan, np.ones(3), np.zeros(3), flags, flags, None, 0.0, 0.9)
    assert np.isnan(vs).tolist() == [True, True, False]
    assert np.isnan(advantages).tolist() == [True, True, False]


@pytest.mark.parametrize(("dtype", "ulps"), [(np.float32, 1.5), (np.float64, 1.0)])
def test_exp_is_within_a_unit_or_so_in_the_last_place(dtype, ulps):
    # one step, reward 1, nothing else: the advantage is the ratio itself
    limit = 86.9 if dtype == np.float32 else 708.3
    logs = np.linspace(-limit, limit, 400_001).astype(dtype)[None]
    flags = np.ones_like(logs, bool)
    ones, zeros = np.ones_like(logs), np.zeros_like(logs)
    last = np.zeros(logs.shape[1], dtype)
    got = vtrace(logs, ones, zeros, flags, ~flags, None, last, 1.0, rho_bar=math.inf)[1]
    with np.errstate(under="ignore"):
        exact = np.exp(logs.astype(np.longdouble))
    assert np.max(np.abs(got - exact) / np.spacing(got)) < ulps
    assert vtrace([0.0], [1.0], [0.0], [True], [False], None, 0.0, 1.0)[1][0] == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_at_the_edges(dtype):
    logs = np.array([[-np.inf, -2000, -105, 1000, np.inf, -0.0]], dtype)
    ones, flags = np.ones_like(logs), np.ones(logs.shape, bool)
    got = vtrace(logs, ones, ones * 0, flags, ~flags, None, np.zeros(6, dtype), 1.0, rho_bar=math.inf)[1]
    expected = np.array([[0, 0, np.exp(-105.0), np.inf, np.inf, 1]]).astype(dtype)
    np.testing.assert_allclose(got, expected, rtol=1e-15, atol=0)


def test_example_of_the_design_document():
    single = [np.array(x, np.float32) for x in ([0.2, -0.3, 0.8], [1, 2, 3], [0.5, 1.0, 1.5], [0, 0, 0])]
    vs, advantages = compute_vtrace(*single, 2.0, 0.99, 1.0, 1.0)
    assert vs.dtype == np.float32
    np.testing.assert_allclose(vs, [6.3392677, 5.3932, 4.98], rtol=0, atol=1e-5)
    np.testing.assert_allclose(advantages, [5.839268, 4.3932004, 3.48], rtol=0, atol=1e-5)


def test_agrees_with_rlox_where_it_is_right():
    rlox = rlox_core()
    rng = np.random.default_rng(7)
    for _ in range(300):
        steps = int(rng.integers(0, 60))
        logs, rewards, values = rng.normal(size=(3, steps)).astype(np.float32)
        dones = (rng.random(steps) < 0.1).astype(np.float32)
        given = logs, rewards, values, dones, 0.7, 0.99, 0.9, 0.8
        for ours, theirs in zip(compute_vtrace(*given), rlox.compute_vtrace(*given), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


# -- the door


def arguments(steps=4, n=2):
    zeros, flags = np.zeros((steps, n)), np.zeros((steps, n), bool)
    return {
        "log_rhos": zeros,
        "rewards": zeros,
        "values": zeros,
        "terminated": flags,
        "truncated": flags,
        "final_values": zeros,
        "last_values": np.zeros(n),
        "gamma": 0.9,
    }


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("log_rhos", np.zeros(()), ShapeError),
        ("rewards", np.zeros((2, 4)), ShapeError),
        ("values", [["a", "b"]], DTypeError),
        ("terminated", np.full((4, 2), 3), InvalidValueError),
        ("truncated", np.zeros(4, bool), ShapeError),
        ("truncated", None, ShapeError),
        ("final_values", np.zeros(4), ShapeError),
        ("last_values", np.zeros(3), ShapeError),
        ("gamma", 1.01, InvalidValueError),
        ("lam", np.nan, InvalidValueError),
        ("rho_bar", -1.0, InvalidValueError),
        ("rho_bar", np.nan, InvalidValueError),
        ("c_bar", -math.inf, InvalidValueError),
        ("pg_rho_bar", "1", DTypeError),
        ("time_axis", 2, InvalidValueError),
        ("out", (np.zeros((4, 2)), np.zeros(8)), ShapeError),
    ],
)
def test_refuses_what_does_not_fit(name, value, error):
    with pytest.raises(error, match=name):
        vtrace(**{**arguments(), name: value})


def test_truncated_steps_need_final_values():
    with pytest.raises(InvalidValueError, match="final_values"):
        vtrace(**{**arguments(), "truncated": np.ones((4, 2), bool), "final_values": None})


def test_writes_into_out_and_nowhere_else():
    case = Rollout(np.random.default_rng(8), 9, 3)
    out = np.full((9, 3), np.nan), np.full((9, 3), np.nan)
    got = run(case, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    np.testing.assert_array_equal(got, run(case))
    with pytest.raises(InvalidValueError, match="overlap"):
        run(case, out=(case.log_rhos, out[1]))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_gives_nothing(shape):
    empty, flags = np.zeros(shape), np.zeros(shape, bool)
    for got in vtrace(empty, empty, empty, flags, flags, empty, np.zeros(shape[1:]), 0.9):
        assert got.shape == shape
