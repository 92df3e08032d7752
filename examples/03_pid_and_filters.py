"""A noisy joint held by a PID controller with a filtered measurement."""

import numpy as np

from rfx import ButterworthFilter, Pid, PidConfig

RATE_HZ = 500.0
rng = np.random.default_rng(1)
pid = Pid(PidConfig(40.0, 30.0, 1.5).with_limits(-20.0, 20.0).with_derivative_cutoff(60.0, RATE_HZ))
smooth = ButterworthFilter(80.0, RATE_HZ)

q, dq, dt = 0.0, 0.0, 1.0 / RATE_HZ
for step in range(1500):
    measured = smooth.update(q + 0.002 * rng.normal())
    torque = pid.update(0.8, measured, dt)
    dq += (torque - 3.0 - 0.5 * dq) / 0.05 * dt  # 3 Nm of load, some friction, 0.05 kg m^2
    q += dq * dt
    if step % 250 == 249:
        print(
            f"{(step + 1) * dt:4.1f} s  q = {q:6.3f} rad  torque = {torque:6.2f} Nm  integral term = {pid.terms.i:5.2f}"
        )
assert abs(q - 0.8) < 0.02, q
