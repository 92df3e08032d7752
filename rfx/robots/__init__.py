"""Robots as plain data: joints by name with limits and gains, observation and action layouts by name."""

from rfx.robots.config import JointConfig, RobotConfig
from rfx.robots.go2 import GO2, MOTOR_NAMES, NUM_MOTORS, motor_idx, motor_index_by_name
from rfx.robots.layouts import (
    LAYOUTS,
    SIGNALS,
    ActionLayout,
    ObservationLayout,
    ObservationTerm,
    PolicyLayout,
    policy_layout,
)

__all__ = [
    "GO2",
    "LAYOUTS",
    "MOTOR_NAMES",
    "NUM_MOTORS",
    "SIGNALS",
    "ActionLayout",
    "JointConfig",
    "ObservationLayout",
    "ObservationTerm",
    "PolicyLayout",
    "RobotConfig",
    "motor_idx",
    "motor_index_by_name",
    "policy_layout",
]
