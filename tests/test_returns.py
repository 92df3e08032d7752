"""rfx.estimators: discounted, n-step and lambda returns, Retrace and UPGO against their definitions."""

import math
import signal
import threading

import numpy as np
import pytest
from rollouts import (
    EXACT,
    F32,
    Rollout,
    discounted_definition,
    many,
    n_step_definition,
    retrace_definition,
    td_lambda_definition,
    upgo_definition,
)

from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.estimators import discounted_returns, gae, n_step_returns, retrace, td_lambda, upgo


def discounted(c, **o):
    return discounted_returns(c.rewards, *c.common(), c.gamma, **o)


def lambda_returns(c, **o):
    return td_lambda(c.rewards, c.values, *c.common(), c.gamma, c.lam, **o)


def three_steps(c, **o):
    return n_step_returns(c.rewards, c.values, *c.common(), c.gamma, 3, **o)


def retraced(c, **o):
    return retrace(c.log_rhos, c.rewards, c.q_values, c.values, *c.common(), c.gamma, c.lam, **o)


def upgoing(c, **o):
    return upgo(c.rewards, c.values, *c.common(), c.gamma, **o)


ALL = {
    discounted: discounted_definition,
    lambda_returns: td_lambda_definition,
    three_steps: lambda c: n_step_definition(c, 3),
    retraced: lambda c: retrace_definition(c, 1.0),
    upgoing: upgo_definition,
}
each = pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)


@each
def test_agrees_with_the_definition_in_thousands_of_random_cases(function):
    for case in many(1200):
        np.testing.assert_allclose(function(case), ALL[function](case), rtol=0, atol=EXACT)


@each
def test_float32_agrees_with_the_definition(function):
    for case in many(200, 1, dtype=np.float32):
        got = function(case)
        assert got.dtype == np.float32
        if function is upgoing:  # a float32 rounding may decide which way to go
            continue
        np.testing.assert_allclose(got, ALL[function](case), rtol=0, atol=F32)


@each
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layouts_give_the_same_bytes(function, dtype):
    for case in many(60, 2, dtype=dtype):
        rows = function(case)
        turned = Rollout(np.random.default_rng(0), 1, 1)
        for name, value in vars(case).items():
            setattr(turned, name, value.T if isinstance(value, np.ndarray) else value)
        np.testing.assert_array_equal(function(turned, time_axis=1), rows.T)
        if case.n:
            for name, value in vars(case).items():
                if isinstance(value, np.ndarray):
                    setattr(turned, name, value[..., 0])
            np.testing.assert_array_equal(function(turned), rows[:, 0])


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_what_is_not_finite_stays_behind_the_end_of_its_episode(function, bad, lam):
    for case in many(30, 3, steps=23, n=3):
        case.lam = lam
        case.terminated[11] = ~case.truncated[11]
        good = function(case)
        for array in (case.rewards, case.values, case.q_values, case.log_rhos, case.final):
            array[12:] = bad
        case.last[:], case.final[~case.truncated] = bad, bad
        np.testing.assert_array_equal(function(case)[:12], good[:12])


@each
def test_nan_shows_in_the_returns_that_hold_it(function):
    case = Rollout(np.random.default_rng(4), 8, 2)
    case.terminated[:], case.truncated[:], case.gamma, case.lam = False, False, 0.9, 0.9
    case.rewards[5] = np.nan
    got = function(case)
    assert np.isnan(got[4:6]).all()
    assert np.isfinite(got[6:]).all()


def test_upgo_hides_no_nan_of_the_value_that_decides():
    flags = np.zeros(3, bool)
    got = upgo([0.0, 0.0, 0.0], [0.0, np.nan, 0.0], flags, flags, None, 1.0, 0.5)
    assert np.isnan(got).tolist() == [True, False, False]


@pytest.mark.parametrize("n", [1, 2, 7, 40, 10**12])
def test_any_number_of_steps(n):
    for case in many(150, 5):
        got = n_step_returns(case.rewards, case.values, *case.common(), case.gamma, n)
        np.testing.assert_allclose(got, n_step_definition(case, n), rtol=0, atol=EXACT)


def test_identities():
    for case in many(200, 6):
        np.testing.assert_allclose(
            lambda_returns(case),
            gae(case.rewards, case.values, *case.common(), case.gamma, case.lam)[1],
            rtol=0,
            atol=EXACT,
        )
        np.testing.assert_array_equal(
            n_step_returns(case.rewards, case.values, *case.common(), case.gamma, 10**6), discounted(case)
        )
        logs, case.q_values = case.log_rhos, case.values
        case.log_rhos = logs * 0
        np.testing.assert_allclose(retraced(case), lambda_returns(case), rtol=0, atol=EXACT)
        case.log_rhos = logs
        case.lam = 1.0
        np.testing.assert_array_equal(lambda_returns(case), discounted(case))
        case.lam = 0.0
        one = n_step_returns(case.rewards, case.values, *case.common(), case.gamma, 1)
        np.testing.assert_array_equal(lambda_returns(case), one)
        np.testing.assert_array_equal(retraced(case), one)


def test_upgo_is_never_below_the_one_step_return_it_could_have_taken():
    for case in many(200, 7):
        one = n_step_returns(case.rewards, case.values, *case.common(), case.gamma, 1)
        assert (upgoing(case) >= one - EXACT).all()


def test_the_clip_of_retrace():
    for case in many(200, 8):
        case.log_rhos *= 0.5
        for bar in (0.0, 0.7, 2.0, math.inf):
            expected = retrace_definition(case, bar)
            scale = max(1.0, np.abs(expected).max(initial=0.0))
            np.testing.assert_allclose(retraced(case, c_bar=bar), expected, rtol=0, atol=EXACT * scale)


# -- the door


@each
def test_refuses_what_does_not_fit(function):
    for name, value, error in [
        ("rewards", np.zeros(()), ShapeError),
        ("rewards", ["a"], DTypeError),
        ("terminated", np.full((4, 2), 0.5), InvalidValueError),
        ("truncated", np.zeros((2, 4), bool), ShapeError),
        ("final", np.zeros(3), ShapeError),
        ("last", np.zeros(3), ShapeError),
        ("gamma", 1.5, InvalidValueError),
    ]:
        case = Rollout(np.random.default_rng(0), 4, 2)
        setattr(case, name, value)
        with pytest.raises(error, match=name):
            function(case)


def test_refuses_other_arrays_that_do_not_fit():
    case = Rollout(np.random.default_rng(0), 4, 2)
    for name, function in [("values", lambda_returns), ("q_values", retraced), ("log_rhos", retraced)]:
        wrong = Rollout(np.random.default_rng(0), 4, 2)
        setattr(wrong, name, np.zeros((2, 4)))
        with pytest.raises(ShapeError, match=name):
            function(wrong)
    with pytest.raises(InvalidValueError, match="c_bar"):
        retraced(case, c_bar=-1.0)
    for n, error in [(0, InvalidValueError), (1.0, DTypeError), (True, DTypeError)]:
        with pytest.raises(error, match="n to be"):
            n_step_returns(case.rewards, case.values, *case.common(), 0.9, n)


@each
def test_truncated_steps_need_final_values(function):
    case = Rollout(np.random.default_rng(0), 4, 2)
    case.truncated[2], case.final = True, None
    with pytest.raises(InvalidValueError, match="final_values"):
        function(case)
    case.truncated[:] = False
    assert np.isfinite(function(case)).all()


@each
def test_writes_into_out_and_nowhere_else(function):
    case = Rollout(np.random.default_rng(9), 9, 3)
    out, expected = np.full((9, 3), np.nan), function(case)
    assert function(case, out=out) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(DTypeError, match="float64"):
        function(case, out=np.zeros((9, 3), np.float32))
    for time_axis in (0, 1):
        case.last = np.zeros(9 if time_axis else 3)
        for shared in (case.rewards, case.final):
            with pytest.raises(InvalidValueError, match="overlap"):
                function(case, out=shared, time_axis=time_axis)


@each
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_gives_nothing(function, shape):
    case = Rollout(np.random.default_rng(0), 1, 1)
    for name in ("rewards", "values", "final", "q_values", "log_rhos"):
        setattr(case, name, np.zeros(shape))
    case.terminated = case.truncated = np.zeros(shape, bool)
    case.last = np.zeros(shape[1:])
    assert function(case).shape == shape


def test_ctrl_c_gets_through_a_long_count():
    steps = 200_000
    rewards, flags = np.ones((steps, 1)), np.zeros((steps, 1), bool)
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        timer.start()  # in here: on a busy machine it may come before the next line
        n_step_returns(rewards, rewards, flags, flags, None, [0.0], 1.0, steps)
    timer.join()
