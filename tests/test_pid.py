"""rfx.control.pid against a slow loop, golden values and the promises of its documentation."""

import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.control import Pid, PidArray, PidConfig
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

numbers = st.floats(-100, 100)


def slow_pid(config, inputs):
    """The formula, a line at a time."""
    integral, derivative, previous, outputs = 0.0, 0.0, None, []
    for setpoint, measurement, dt in inputs:
        e = setpoint - measurement
        seen = -measurement if config.derivative_on == "measurement" else e
        if previous is not None:
            derivative += config.derivative_alpha * ((seen - previous) / dt - derivative)
        previous = seen
        before = integral
        integral = min(max(integral + e * dt, -config.integral_limit), config.integral_limit)
        u = config.kp * e + config.ki * integral + config.kd * derivative
        out = min(max(u, config.output_min), config.output_max)
        if config.anti_windup == "clamping" and (u - out) * config.ki * e > 0:
            integral = before
            u = config.kp * e + config.ki * integral + config.kd * derivative
            out = min(max(u, config.output_min), config.output_max)
        elif config.anti_windup == "back_calculation" and config.ki:
            integral += min(config.back_calculation_gain * dt, 1.0) * (out - u) / config.ki
            integral = min(max(integral, -config.integral_limit), config.integral_limit)
        outputs.append(out)
    return outputs


configs = st.builds(
    PidConfig,
    kp=numbers,
    ki=st.floats(-10, 10).filter(lambda x: x == 0 or abs(x) > 1e-3),
    kd=st.floats(-5, 5),
    output_min=st.floats(-50, 0),
    output_max=st.floats(0, 50),
    integral_limit=st.floats(0, 100),
    derivative_alpha=st.floats(0.01, 1),
    anti_windup=st.sampled_from(["none", "clamping", "back_calculation"]),
    derivative_on=st.sampled_from(["measurement", "error"]),
)
inputs = st.lists(st.tuples(numbers, numbers, st.floats(1e-3, 1)), min_size=1, max_size=30)


@given(configs, inputs)
def test_output_is_the_formula(config, steps):
    pid = Pid(config)
    got = [pid.update(*step) for step in steps]
    np.testing.assert_allclose(got, slow_pid(config, steps), rtol=1e-9, atol=1e-9)


def test_golden_values():
    assert Pid.p(2.0).update(10.0, 5.0, 0.01) == 10.0
    pid = Pid.pi(1.0, 0.5)
    assert pid.update(5.0, 0.0, 0.1) == pytest.approx(5.25)
    assert pid.update(5.0, 0.0, 0.1) == pytest.approx(5.5)
    pid = Pid.pid(1.0, 0.1, 0.05)  # no kick to 30.005 at the start
    assert pid.update(5.0, 0.0, 0.01) == pytest.approx(5.005)
    assert pid.update(5.0, 0.0, 0.01) == pytest.approx(5.01)


def test_the_first_update_has_no_derivative():
    pid = Pid.pd(0.0, 1.0)
    assert pid.update(0.0, 1000.0, 0.001) == 0.0
    assert pid.update(0.0, 1001.0, 0.5) == pytest.approx(-2.0)


def test_a_step_of_the_set_point_gives_no_kick_on_the_measurement():
    on_measurement = Pid(PidConfig(0.0, 0.0, 1.0))
    on_error = Pid(PidConfig(0.0, 0.0, 1.0, derivative_on="error"))
    for pid in (on_measurement, on_error):
        pid.update(0.0, 0.0, 0.01)
    assert on_measurement.update(1.0, 0.0, 0.01) == 0.0
    assert on_error.update(1.0, 0.0, 0.01) == pytest.approx(100.0)


@pytest.mark.parametrize("method", ["clamping", "back_calculation"])
def test_anti_windup_leaves_the_limit_sooner(method):
    def steps_at_limit(anti_windup):
        pid = Pid(
            PidConfig(
                0.0, 1.0, 0.0, output_min=-1.0, output_max=1.0, anti_windup=anti_windup, back_calculation_gain=10.0
            )
        )
        for _ in range(1000):
            assert pid.update(1.0, 0.0, 0.1) <= 1.0
        return next(i for i in range(2000) if pid.update(-1.0, 0.0, 0.1) < 0.5)

    assert steps_at_limit("none") > 900
    assert steps_at_limit(method) < 50


def test_the_integral_stays_within_its_limit():
    pid = Pid(PidConfig(0.0, 2.0, 0.0).with_integral_limit(0.5))
    for _ in range(100):
        pid.update(1.0, 0.0, 0.1)
    assert pid.terms.i == pytest.approx(1.0)


def test_terms_add_up_and_say_when_the_output_is_at_its_limit():
    pid = Pid(PidConfig(2.0, 1.0, 0.1).with_limits(-3.0, 3.0))
    assert pid.terms == (0, 0, 0, 0, 0, False)
    pid.update(1.0, 0.5, 0.1)
    t = pid.terms
    assert t.p + t.i + t.d == pytest.approx(t.unclamped)
    assert not t.saturated
    pid.update(100.0, 0.0, 0.1)
    assert pid.terms.saturated
    assert pid.terms.output == 3.0


@given(configs, inputs)
def test_terms_add_up_whatever_keeps_the_integral_small(config, steps):
    pid = Pid(config)
    for step in steps:
        pid.update(*step)
        t = pid.terms
        assert t.p + t.i + t.d == pytest.approx(t.unclamped, rel=1e-9, abs=1e-9)
        assert t.output == min(max(t.unclamped, config.output_min), config.output_max)


@pytest.mark.parametrize("gain", [1.0, 100.0, 199.0, 300.0, 1e9])
def test_back_calculation_settles_whatever_its_gain(gain):
    config = PidConfig(1.0, 1.0, anti_windup="back_calculation", back_calculation_gain=gain).with_limits(-1.0, 1.0)
    pid = Pid(config)
    for _ in range(2000):
        assert pid.update(5.0, 0.0, 0.01) == 1.0
    assert abs(pid.state_dict()["integral"]) < 10.0


@given(inputs, st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0, 1))
def test_new_gains_do_not_bump_the_output(steps, kp, ki, kd):
    pid = Pid.pid(1.0, 0.5, 0.1)
    for step in steps:
        before = pid.update(*step)
    pid.set_gains(kp, ki, kd)
    setpoint, measurement, _ = steps[-1]
    e = setpoint - measurement
    s = pid.state_dict()
    assert kp * e + ki * s["integral"] + kd * s["derivative"] == pytest.approx(before, rel=1e-6, abs=1e-6)
    assert (pid.config.kp, pid.config.ki, pid.config.kd) == (kp, ki, kd)


def test_reset_forgets():
    pid = Pid.pid(1.0, 1.0, 1.0)
    first = pid.update(1.0, 0.0, 0.1)
    pid.update(3.0, 1.0, 0.1)
    pid.reset()
    assert pid.update(1.0, 0.0, 0.1) == first


BAD_UPDATES = [
    ((math.nan, 0.0, 0.1), InvalidValueError),
    ((0.0, math.inf, 0.1), InvalidValueError),
    ((0.0, 0.0, 0.0), InvalidValueError),
    ((0.0, 0.0, -0.1), InvalidValueError),
    ((0.0, 0.0, math.nan), InvalidValueError),
    ((1e308, -1e308, 0.1), InvalidValueError),
    (("1", 0.0, 0.1), DTypeError),
    ((None, 0.0, 0.1), DTypeError),
]


@pytest.mark.parametrize(("step", "error"), BAD_UPDATES)
def test_a_bad_update_is_refused_and_changes_nothing(step, error):
    pid = Pid.pid(1.0, 1.0, 1.0)
    pid.update(1.0, 0.2, 0.1)
    before, terms = pid.state_dict(), pid.terms
    with pytest.raises(error):
        pid.update(*step)
    assert (pid.state_dict(), pid.terms) == (before, terms)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kp": math.nan}, InvalidValueError),
        ({"ki": math.inf}, InvalidValueError),
        ({"output_min": 1.0, "output_max": -1.0}, ConfigError),
        ({"output_max": math.nan}, InvalidValueError),
        ({"output_min": math.inf}, ConfigError),
        ({"integral_limit": -1.0}, InvalidValueError),
        ({"derivative_alpha": 0.0}, InvalidValueError),
        ({"derivative_alpha": 1.1}, InvalidValueError),
        ({"anti_windup": "magic"}, ConfigError),
        ({"derivative_on": 3}, DTypeError),
        ({"kd": "0"}, DTypeError),
    ],
)
def test_an_impossible_configuration_is_refused(change, error):
    with pytest.raises(error):
        PidConfig(**change)


def test_configurations_are_changed_by_copies():
    config = PidConfig(1.0)
    assert config.with_limits(-1, 2).output_max == 2
    dt, rc = 1 / 500, 1 / (2 * math.pi * 30)
    assert config.with_derivative_cutoff(30, 500).derivative_alpha == pytest.approx(dt / (rc + dt))
    assert config == PidConfig(1.0)


def test_a_cutoff_far_above_the_rate_does_not_filter():
    assert PidConfig().with_derivative_cutoff(1e308, 1e-3).derivative_alpha == 1.0


def test_limits_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        PidConfig(1.0, 0.0, 0.0, -5.0, 5.0)


def test_a_numpy_infinity_is_no_limit():
    assert PidConfig(output_max=np.float32(np.inf)).output_max == math.inf


def test_pickles_carry_on_where_they_were():
    pid = Pid(PidConfig(1.0, 0.5, 0.1).with_limits(-5, 5))
    for i in range(5):
        pid.update(1.0, 0.1 * i, 0.02)
    copy, loaded = pickle.loads(pickle.dumps(pid)), Pid(pid.config)
    loaded.load_state_dict(pid.state_dict())
    expected = pid.update(1.0, 0.7, 0.02)
    assert copy.update(1.0, 0.7, 0.02) == loaded.update(1.0, 0.7, 0.02) == expected


def test_new_gains_do_not_bump_a_restored_controller():
    pid = Pid.pid(1.0, 0.5, 0.1)
    for i in range(20):
        pid.update(1.0, 0.05 * i, 0.02)
    copy, loaded = pickle.loads(pickle.dumps(pid)), Pid(pid.config)
    loaded.load_state_dict(pid.state_dict())
    assert copy.terms == loaded.terms == pid.terms
    for p in (pid, copy, loaded):
        p.set_gains(2.0, 0.7, 0.2)
    assert copy.state_dict() == loaded.state_dict() == pid.state_dict()


def test_new_gains_are_kept_by_a_pickle():
    pid = Pid(PidConfig(1.0, 0.5).with_limits(-5, 5))
    pid.update(1.0, 0.2, 0.1)
    pid.set_gains(3.0, 0.7, 0.1)
    copy = pickle.loads(pickle.dumps(pid))
    assert copy.config == pid.config == PidConfig(3.0, 0.7, 0.1).with_limits(-5, 5)
    assert copy.update(1.0, 0.4, 0.1) == pid.update(1.0, 0.4, 0.1)


def test_gains_that_cannot_take_up_the_output_change_nothing():
    pid = Pid.pi(1e200, 1.0)
    pid.update(1e100, 0.0, 0.1)
    before = pid.state_dict()
    with pytest.raises(InvalidValueError, match="too small"):
        pid.set_gains(1.0, 1e-300, 0.0)
    assert (pid.state_dict(), pid.config.ki) == (before, 1.0)


class Special(Pid):
    """A controller of somebody else."""

    def __init__(self, kp, name):
        super().__init__(PidConfig(kp))
        self.name = name


def test_a_subclass_may_take_other_arguments():
    assert Special(3.0, "hip").update(1.0, 0.0, 0.1) == 3.0


def test_threads_may_share_controllers():
    one, many = Pid(PidConfig(0.0, 1.0)), PidArray(PidConfig(0.0, 1.0), 500)
    target, measured = np.ones(500), np.zeros(500)

    def work():
        for _ in range(2000):
            one.update(1.0, 0.0, 0.5)
            many.update(target, measured, 0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert one.state_dict()["integral"] == 4000.0
    np.testing.assert_array_equal(many.state_dict()["integral"], 4000.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [("output", math.nan), ("integral", [1, [2]]), ("previous", [1.0, 2.0]), ("error", "x"), ("started", None)],
)
def test_a_broken_state_is_refused_whole(key, value):
    pid = Pid.pid(1.0, 0.5, 0.1)
    pid.update(1.0, 0.2, 0.1)
    before = pid.state_dict()
    with pytest.raises((ShapeError, InvalidValueError, DTypeError)):
        pid.load_state_dict({**before, "integral": 7.0, key: value})
    assert pid.state_dict() == before


@pytest.mark.parametrize("bad", [{}, {"integral": 1}, None])
def test_a_wrong_state_is_refused(bad):
    with pytest.raises(ConfigError, match="integral"):
        Pid().load_state_dict(bad)


# -- many at once


def test_an_array_is_so_many_controllers():
    rng = np.random.default_rng(1)
    settings = [PidConfig(1.0 + i, 0.1 * i, 0.01 * i).with_limits(-5, 5) for i in range(12)]
    together, alone = PidArray(settings), [Pid(c) for c in settings]
    for _ in range(50):
        target, measured = rng.normal(size=12), rng.normal(size=12)
        got = together.update(target, measured, 0.01)
        np.testing.assert_array_equal(
            got, [p.update(float(a), float(b), 0.01) for p, a, b in zip(alone, target, measured, strict=True)]
        )


def test_an_array_refuses_one_bad_joint_whole():
    pids = PidArray(PidConfig(1.0, 1.0), 3)
    pids.update(np.ones(3), np.zeros(3), 0.1)
    before = pids.state_dict()
    for target, error in (
        ([1, math.nan, 1], InvalidValueError),
        ([1, 1], ShapeError),
        ([1e308] * 3, InvalidValueError),
    ):
        with pytest.raises(error):
            pids.update(np.array(target), np.full(3, -1e308), 0.1)
    for key, value in pids.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize(
    "given",
    [
        [1.0, 2.0],
        (1, 2),
        np.array([1.0, 2.0], np.float32),
        np.array([1.0, 9.0, 2.0, 9.0])[::2],
        np.array([1.0, 2.0], ">f8"),
    ],
    ids=["list", "tuple", "float32", "strided", "big endian"],
)
def test_an_array_takes_any_layout(given):
    np.testing.assert_array_equal(PidArray(PidConfig(2.0), 2).update(given, np.zeros(2), 0.1), [2.0, 4.0])


def test_an_array_writes_to_out():
    pids, out = PidArray(PidConfig(2.0)), np.empty(12)
    assert pids.update(np.ones(12), np.zeros(12), 0.1, out=out) is out
    np.testing.assert_array_equal(out, 2.0)
    with pytest.raises(InvalidValueError, match="overlap"):
        pids.update(out, np.zeros(12), 0.1, out=out)


def test_an_array_pickles_and_resets():
    pids = PidArray(PidConfig(1.0, 1.0, 0.2), 4)
    pids.update(np.ones(4), np.zeros(4), 0.1)
    copy = pickle.loads(pickle.dumps(pids))
    np.testing.assert_array_equal(
        copy.update(np.ones(4), np.ones(4) / 3, 0.1), pids.update(np.ones(4), np.ones(4) / 3, 0.1)
    )
    pids.reset()
    assert not pids.state_dict()["started"].any()


@pytest.mark.parametrize(("config", "n"), [([], 12), (PidConfig(), 0), ([1], 12), (5, 12), (None, 12)])
def test_an_impossible_array_is_refused(config, n):
    with pytest.raises((ShapeError, InvalidValueError, DTypeError)):
        PidArray(config, n)


def test_reprs():
    assert repr(Pid.pid(1, 2, 3)) == "Pid(kp=1, ki=2, kd=3)"
    assert repr(PidArray(PidConfig())) == "PidArray(n=12)"
