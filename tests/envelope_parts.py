"""States, commands and what they must keep to, for the tests of the safety envelope."""

import math

import numpy as np

from rfx.go2.messages import NO_POSITION, LowCmd, LowState
from rfx.robots.go2 import GO2

STAND = GO2.pose("stand")
FIELDS = ("q", "dq", "tau", "kp", "kd")


def state(q=STAND, dq=0.0, tilt=0.0, temperature=35, lost=0, tick=0):
    low = LowState(tick=tick)
    low.set_motors(q=q, dq=dq, tau_est=0.0, temperature=temperature)
    low.imu_state.quaternion = (math.cos(tilt / 2), math.sin(tilt / 2), 0.0, 0.0)
    for i in range(12):
        low.motor_state[i].lost = lost if np.ndim(lost) == 0 else lost[i]
    return low


def command(q=STAND, dq=0.0, tau=0.0, kp=20.0, kd=0.5):
    cmd = LowCmd()
    cmd.set_motors(q=q, dq=dq, tau=tau, kp=kp, kd=kd)
    return cmd


def put(cmd, motor, **values):
    """Set numbers of one motor, NaN and all."""
    for name, value in values.items():
        setattr(cmd.motor_cmd[motor], name, value)
    return cmd


def rows(cmd):
    """The command as (5, 12) doubles."""
    return np.array([getattr(cmd, name) for name in FIELDS], np.float64)


def is_damping(cmd, kd=3.0):
    q, dq, tau, kp, kd_sent = rows(cmd)
    modes = {cmd.motor_cmd[i].mode for i in range(12)}
    return (
        modes == {1} and (q >= NO_POSITION).all() and not (dq.any() or tau.any() or kp.any()) and (kd_sent == kd).all()
    )
