"""The safety envelope: one command against one state, as called from Python, and the same rules in numpy.

``apply`` reads both messages, judges, and writes the command back where it changed something. The peer gets its arrays ready
made, which is a head start. Both are checked to let the same commands through and to clamp the others to the same numbers.
"""

import functools
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import LowCmd, LowState
from rfx.robots.go2 import GO2

STAND = GO2.pose("stand")
LIMITS = SafetyLimits()


class NumpyEnvelope:
    """The same rules by array operations; q, dq, tau, kp, kd are (12,) float64."""

    def __init__(self, limits):
        self.low, self.high = (np.float32(row).astype(float) for row in np.array(limits.position).T)
        self.velocity = np.float32(limits.velocity).astype(float)
        self.torque, self.step, self.kp, self.kd = map(np.array, (limits.torque, limits.step, limits.kp, limits.kd))
        self.cos_tilt, self.limits = np.cos(limits.tilt), limits
        self.last = np.full(12, np.nan)

    def apply(self, command, q, dq, tau_est, temperature, losses, quaternion, age_s):
        """Return the command inside of the limits, or None for damping."""
        w, x, y, z = quaternion
        norm = w * w + x * x + y * y + z * z
        up = w * w - x * x - y * y + z * z
        limits = self.limits
        if (
            not np.isfinite(command).all()
            or (command[3:] < 0).any()
            or not (np.isfinite(q).all() and np.isfinite(dq).all() and np.isfinite(tau_est).all())
            or (np.abs(dq) > self.velocity).any()
            or (temperature >= limits.temperature).any()
            or (losses >= limits.lost_states).any()
            or not up >= self.cos_tilt * norm
            or age_s > limits.stale_s
        ):
            self.last[:] = np.nan
            return None
        target, speed, tau, kp, kd = command
        some, some_speed = target < 2.146e9, speed < 16000.0
        kp = np.minimum(kp, np.where(some, self.kp, 0.0))
        kd = np.minimum(kd, np.where(some_speed, self.kd, 0.0))
        low = np.clip(q, self.low - 0.05, self.low)
        high = np.clip(q, self.high, self.high + 0.05)
        base = np.clip(np.where(np.isnan(self.last), q, self.last), low, high)
        moved = np.clip(target, low, high)
        moved = np.where(kp > 0, np.clip(moved, base - self.step, base + self.step), moved)
        target = np.where(some, np.clip(moved, low, high), target)
        speed = np.where(some_speed, np.clip(speed, -self.velocity, self.velocity), speed)
        tau = np.clip(tau, -self.torque, self.torque)
        p = np.where(kp > 0, kp * (target - q), 0.0)
        d = np.where(kd > 0, kd * (speed - dq), 0.0)
        if (np.abs(p + tau + d) > self.torque).any():
            for term in (p, tau, d):
                total = p + tau + d
                excess = total - np.clip(total, -self.torque, self.torque)
                cut = np.where(term * excess > 0, np.copysign(np.minimum(np.abs(excess), np.abs(term)), excess), 0.0)
                term -= cut
            target = np.where(kp > 0, q + p / np.where(kp > 0, kp, 1.0), target)
            speed = np.where(kd > 0, dq + d / np.where(kd > 0, kd, 1.0), speed)
        self.last = np.where(kp > 0, target, np.nan)
        return np.array([target, speed, tau, kp, kd])


def state():
    low = LowState(tick=2)
    low.set_motors(q=STAND, dq=0.1, tau_est=1.0, temperature=40)
    low.imu_state.quaternion = (0.99, 0.1, 0.05, 0.0)
    return low


def commands(outside):
    """A command inside of the limits, or one whose torques and targets have to be cut."""
    cmd = LowCmd()
    q = STAND + (0.9 if outside else 0.05) * np.where(np.arange(12) % 2, 1, -1)
    cmd.set_motors(q=q, dq=0.0, tau=1.0, kp=60.0, kd=2.0)
    return cmd


def rows(cmd):
    return np.array([getattr(cmd, name) for name in ("q", "dq", "tau", "kp", "kd")], float)


def measured(low):
    return (
        low.q.astype(float), low.dq.astype(float), low.tau_est.astype(float),
        np.array([low.motor_state[i].temperature for i in range(12)], float), np.zeros(12, int),
        low.imu_state.quaternion, 0.0,
    )  # fmt: skip


KERNEL = """
from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from rfx.go2.envelope cimport SafetyEnvelope
from rfx.kernels.clock cimport monotonic_ns
from rfx.kernels.envelope cimport EnvelopeMeasured

def time_bound(SafetyEnvelope envelope, double[:, ::1] command, double[:, ::1] measured, double[::1] quaternion, int n):
    cdef EnvelopeMeasured m
    cdef double[60] given
    cdef uint32_t[12] lost = [0] * 12
    cdef int i
    m.q, m.dq, m.tau_est, m.temperature = &measured[0, 0], &measured[1, 0], &measured[2, 0], &measured[3, 0]
    m.quaternion, m.age_ns, m.losses = &quaternion[0], 0, NULL
    began = monotonic_ns()
    with nogil:
        for i in range(n):
            memcpy(given, &command[0, 0], sizeof(given))
            envelope.bound(given, &m, lost, i)
    return (monotonic_ns() - began) / n
"""


@pytest.fixture(scope="module")
def time_bound(tmp_path_factory):
    """The compiled caller's view: how many ns one call of ``bound`` takes."""
    build = pytest.importorskip("Cython.Build", reason="Cython is not installed")
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    root, out = Path(__file__).parent.parent, tmp_path_factory.mktemp("kernel")
    (out / "bound_timer.pyx").write_text(KERNEL)
    here = os.getcwd()
    os.chdir(out)
    try:
        extension = setuptools.Extension(
            "bound_timer", ["bound_timer.pyx"], include_dirs=[np.get_include(), str(root / "rfx" / "kernels")]
        )
        modules = build.cythonize([extension], include_path=[str(root)], language_level=3, quiet=True)
        setuptools.setup(name="bound_timer", ext_modules=modules, script_args=["-q", "build_ext", "--inplace"])
    finally:
        os.chdir(here)
    sys.path.insert(0, str(out))
    import bound_timer

    return bound_timer.time_bound


@pytest.fixture(params=["inside", "outside"])
def case(request):
    low, cmd = state(), commands(request.param == "outside")
    mine, peer = SafetyEnvelope(LIMITS), NumpyEnvelope(LIMITS)
    out = cmd.copy()
    verdict = mine.apply(out, low, 0.0)
    np.testing.assert_allclose(rows(out), peer.apply(rows(cmd), *measured(low)), rtol=2e-6)
    assert bool(verdict) == (request.param == "outside")
    return request.param, low, cmd


@pytest.mark.parametrize("what", ["rfx", "numpy"])
def test_one_command(benchmark, case, what):
    name, low, cmd = case
    benchmark.group = f"envelope, one command {name}"
    if what == "numpy":
        run = functools.partial(NumpyEnvelope(LIMITS).apply, rows(cmd), *measured(low))
    else:
        envelope = SafetyEnvelope(LIMITS)

        def run():
            envelope.apply(cmd.copy(), low, 0.0)

    benchmark.pedantic(run, rounds=200, iterations=50, warmup_rounds=5)


def test_ratio(case, time_bound, capsys):
    """Interleaved rounds in one run, and the least of each: the number that counts."""
    name, low, cmd = case
    mine, peer, n = SafetyEnvelope(LIMITS), NumpyEnvelope(LIMITS), 200
    numbers = rows(cmd), np.array(measured(low)[:4]), np.array(low.imu_state.quaternion)
    arrays = (rows(cmd), *measured(low))
    calls = {
        "rfx": lambda: mine.apply(cmd.copy(), low, 0.0),
        "copy": cmd.copy,
        "numpy": functools.partial(peer.apply, *arrays),
    }
    best = dict.fromkeys([*calls, "bound"], math.inf)
    for _ in range(40):
        for who, call in calls.items():
            began = time.perf_counter()
            for _ in range(n):
                call()
            best[who] = min(best[who], 1e6 * (time.perf_counter() - began) / n)
        best["bound"] = min(best["bound"], time_bound(mine, *numbers, 2000))
    apply_us = best["rfx"] - best["copy"]
    with capsys.disabled():
        print(
            f"\n{name}: bound (compiled caller) {best['bound']:.0f} ns, apply {apply_us:.2f} us, numpy {best['numpy']:.1f} us; "
            f"ours / numpy = {apply_us / best['numpy']:.3f}"
        )
    assert apply_us < best["numpy"]
