"""Filters and PID, one sample at a time as a control loop has them, against plain Python, numpy and scipy.signal.

Run by ``pytest benchmarks/bench_filters.py --benchmark-enable``, ours beside the peer in one group. ``python
benchmarks/bench_filters.py`` measures the ratios that count: many interleaved rounds, minimum of each. The twins in
plain Python and numpy check nothing and keep no last value; ours refuses what is not finite and may be shared by threads.
"""

import timeit

import numpy as np
import pytest
from scipy import signal

from rfx.control import Pid, PidArray, PidConfig
from rfx.math import ButterworthFilter, DerivativeFilter, LowPassFilter, MovingAverageFilter

SAMPLES = np.random.default_rng(3).normal(size=(200, 12))
DT = 0.002


class PlainLowPass:
    """``y = alpha x + (1 - alpha) y`` on numbers or on arrays."""

    def __init__(self, alpha, y=0.0):
        self.alpha, self.y = alpha, y

    def update(self, x):
        self.y = self.alpha * x + (1.0 - self.alpha) * self.y
        return self.y


class PlainAverage:
    """Mean of a ring, summed up afresh each time: what does not drift."""

    def __init__(self, window, shape=()):
        self.ring, self.seen = np.zeros((window, *shape)), 0

    def update(self, x):
        self.ring[self.seen % len(self.ring)] = x
        self.seen += 1
        return self.ring[: self.seen].mean(axis=0)


class PlainDerivative:
    """Differences times the rate, low-passed."""

    def __init__(self, rate, alpha):
        self.rate, self.alpha, self.previous, self.y = rate, alpha, None, 0.0

    def update(self, x):
        if self.previous is not None:
            self.y = self.alpha * (x - self.previous) * self.rate + (1.0 - self.alpha) * self.y
        self.previous = x
        return self.y


class ScipyButterworth:
    """``sosfilt`` with its state handed on from sample to sample."""

    def __init__(self, cutoff, rate, channels=1):
        self.sos = signal.butter(2, cutoff, fs=rate, output="sos")
        self.zi = np.zeros((1, 2, channels))

    def update(self, x):
        y, self.zi = signal.sosfilt(self.sos, np.reshape(x, (1, -1)), axis=0, zi=self.zi)
        return y[0]


class PlainPid:
    """PID on numbers: derivative on the measurement, clamping."""

    def __init__(self, kp, ki, kd, low, high):
        self.gains, self.low, self.high, self.integral, self.previous = (kp, ki, kd), low, high, 0.0, None

    def update(self, setpoint, measurement, dt):
        kp, ki, kd = self.gains
        e = setpoint - measurement
        d = 0.0 if self.previous is None else (self.previous - measurement) / dt
        self.previous = measurement
        integral = self.integral + e * dt
        u = kp * e + ki * integral + kd * d
        if (u > self.high and ki * e > 0.0) or (u < self.low and ki * e < 0.0):
            u = kp * e + ki * self.integral + kd * d
        else:
            self.integral = integral
        return min(max(u, self.low), self.high)


class NumpyPid:
    """The same for n joints at once."""

    def __init__(self, kp, ki, kd, low, high, n):
        self.gains, self.low, self.high, self.integral, self.previous = (kp, ki, kd), low, high, np.zeros(n), None

    def update(self, setpoint, measurement, dt):
        kp, ki, kd = self.gains
        e = setpoint - measurement
        d = 0.0 if self.previous is None else (self.previous - measurement) / dt
        self.previous = measurement
        integral = self.integral + e * dt
        u = kp * e + ki * integral + kd * d
        winding = (u - np.clip(u, self.low, self.high)) * (ki * e) > 0.0
        self.integral = np.where(winding, self.integral, integral)
        return np.clip(kp * e + ki * self.integral + kd * d, self.low, self.high)


GAINS = PidConfig(20.0, 5.0, 0.5).with_limits(-23.7, 23.7)

# what, with how many channels, ours, peer
CASES = [
    ("low-pass / plain Python", 1, lambda: LowPassFilter(0.3), lambda: PlainLowPass(0.3)),
    ("low-pass / numpy", 12, lambda: LowPassFilter(0.3, channels=12), lambda: PlainLowPass(0.3, np.zeros(12))),
    ("average of 50 / numpy", 1, lambda: MovingAverageFilter(50), lambda: PlainAverage(50)),
    ("average of 50 / numpy", 12, lambda: MovingAverageFilter(50, channels=12), lambda: PlainAverage(50, (12,))),
    ("derivative / plain Python", 1, lambda: DerivativeFilter(500.0, 0.3), lambda: PlainDerivative(500.0, 0.3)),
    (
        "derivative / numpy",
        12,
        lambda: DerivativeFilter(500.0, 0.3, channels=12),
        lambda: PlainDerivative(500.0, 0.3),
    ),
    ("Butterworth / sosfilt", 1, lambda: ButterworthFilter(40.0, 500.0), lambda: ScipyButterworth(40.0, 500.0)),
    (
        "Butterworth / sosfilt",
        12,
        lambda: ButterworthFilter(40.0, 500.0, channels=12),
        lambda: ScipyButterworth(40.0, 500.0, 12),
    ),
    ("PID / plain Python", 1, lambda: Pid(GAINS), lambda: PlainPid(20.0, 5.0, 0.5, -23.7, 23.7)),
    ("PID / numpy", 12, lambda: PidArray(GAINS, 12), lambda: NumpyPid(20.0, 5.0, 0.5, -23.7, 23.7, 12)),
]


def inputs(what, channels):
    """The arguments of each update in turn."""
    rows = SAMPLES[:, 0].tolist() if channels == 1 else list(SAMPLES)
    if "PID" not in what:
        return [(x,) for x in rows]
    return [(0.1 * x, x, DT) for x in rows]


def agree(ours, peer, steps):
    for step in steps:
        np.testing.assert_allclose(ours.update(*step), np.squeeze(peer.update(*step)), rtol=1e-9, atol=1e-9)


def runner(filter_, steps):
    """Return a function that takes all samples, with as little of its own as can be."""
    if len(steps[0]) == 1:
        xs = [x for (x,) in steps]

        def run():
            update = filter_.update
            for x in xs:
                update(x)
    else:

        def run():
            update = filter_.update
            for setpoint, measurement, dt in steps:
                update(setpoint, measurement, dt)

    return run


@pytest.mark.parametrize("who", ["rfx", "peer"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}, {c[1]}")
def test_speed(benchmark, case, who):
    what, channels, ours, peer = case
    steps = inputs(what, channels)
    agree(ours(), peer(), steps)
    benchmark.group = f"200 samples: {what}, {channels} at once"
    benchmark(runner(ours() if who == "rfx" else peer(), steps))


def main():
    print("ours / peer    ours        peer        what, each sample")
    for what, channels, ours, peer in CASES:
        steps = inputs(what, channels)
        agree(ours(), peer(), steps)
        timers = [timeit.Timer(runner(make(), steps)) for make in (ours, peer)]
        best = [float("inf")] * 2
        for _ in range(150):
            for i, timer in enumerate(timers):
                best[i] = min(best[i], timer.timeit(1) / len(steps))
        print(f"{best[0] / best[1]:8.3f} {best[0] * 1e9:9.0f} ns {best[1] * 1e9:9.0f} ns  {what}, {channels} at once")


if __name__ == "__main__":
    main()
