"""What the simulated robot says of itself: LowState and SportModeState from the state of its plant."""

import math
import struct
from typing import Any

import numpy as np

from rfx.go2.messages import LowState, SportModeState, WirelessController
from rfx.go2.sport_mode import SportMode
from rfx.robots.go2 import LEGS
from rfx.sim.gait import feet_of, jacobians_of
from rfx.sim.plant import PlantState

SERVO, OFF = 1, 0
VOLTS = 28.8


class RobotMessages:
    """Two messages that are filled again and again."""

    def __init__(self) -> None:
        self.low = LowState()
        self.sport = SportModeState()
        self.low.bms_state.soc = 100
        self.low.bms_state.cell_vol = (3600,) * 8 + (0,) * 7
        self.low.power_v = VOLTS

    def __repr__(self) -> str:
        return f"RobotMessages(tick={self.low.tick})"

    def remote(self, controller: WirelessController) -> None:
        """Carry the hand controller in LowState, as the robot does: two octets, keys, then lx rx ry L2 ly."""
        sticks = struct.pack("<5f", controller.lx, controller.rx, controller.ry, 0.0, controller.ly)
        self.low.wireless_remote = tuple(b"\x55\x51" + struct.pack("<H", controller.keys) + sticks + bytes(16))

    def low_state(self, plant: PlantState, tick: int, lost: Any, bad: list[int]) -> bytes:
        """Return LowState as CDR bytes; motors that cannot be used have mode 0, ``lost`` counts what was not measured."""
        message = self.low
        message.tick = tick
        message.set_motors(q=plant.q, dq=plant.dq, ddq=plant.ddq, tau_est=plant.tau_est, temperature=35, mode=SERVO)
        for i in bad:
            message.motor_state[i].mode = OFF
        for i in np.flatnonzero(lost).tolist():
            message.motor_state[i].lost = int(lost[i])
        _fill_imu(message.imu_state, plant)
        message.foot_force = _to_i16(plant.foot_force)
        message.foot_force_est = message.foot_force
        message.power_a = float(np.abs(np.asarray(plant.tau_est) * np.asarray(plant.dq)).sum()) / VOLTS + 1.0
        return message.to_cdr()

    def sport_state(self, plant: PlantState, tick: int, mode: SportMode | None) -> bytes:
        """Return SportModeState as CDR bytes; without a sport mode the mode's own fields are 0."""
        message = self.sport
        message.stamp.sec, message.stamp.nanosec = divmod(tick * 1_000_000, 1_000_000_000)
        _fill_imu(message.imu_state, plant)
        message.position = tuple(map(float, plant.position))
        message.velocity = tuple(map(float, plant.velocity))
        message.body_height = float(plant.position[2])
        message.yaw_speed = float(plant.gyroscope[2])
        message.foot_force = _to_i16(plant.foot_force)
        if np.isfinite(plant.q).all():
            message.foot_position_body = tuple(feet_of(plant.q).ravel().tolist())
            speeds = jacobians_of(plant.q) @ np.asarray(plant.dq).reshape(len(LEGS), 3, 1)
            message.foot_speed_body = tuple(speeds.ravel().tolist())
        message.mode = 0 if mode is None else int(mode.mode)
        message.gait_type = 0 if mode is None else mode.gait_type
        message.progress = 0.0 if mode is None else mode.progress
        message.error_code = 0 if mode is None else mode.error_code
        message.foot_raise_height = 0.0 if mode is None else mode.foot_raise_height
        return message.to_cdr()


def _fill_imu(imu: Any, plant: PlantState) -> None:
    w, x, y, z = quaternion = tuple(map(float, plant.quaternion))
    imu.quaternion = quaternion
    imu.gyroscope = tuple(map(float, plant.gyroscope))
    imu.accelerometer = tuple(map(float, plant.accelerometer))
    imu.rpy = (
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )
    imu.temperature = 40


def _to_i16(forces: Any) -> tuple[int, ...]:
    return tuple(int(min(32767.0, max(-32768.0, f))) for f in forces)
