"""Robots as plain data: joints by name with limits and gains."""

from rfx.robots.config import JointConfig, RobotConfig
from rfx.robots.go2 import GO2, MOTOR_NAMES, NUM_MOTORS, motor_idx, motor_index_by_name

__all__ = ["GO2", "MOTOR_NAMES", "NUM_MOTORS", "JointConfig", "RobotConfig", "motor_idx", "motor_index_by_name"]
