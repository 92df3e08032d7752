"""rfx.go2.limits: bounds by joint name, and those that are refused."""

import math
import pickle

import pytest

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.limits import SafetyLimits


def test_limits_are_given_by_joint_name():
    limits = SafetyLimits(position={"FR_hip": (-0.5, 0.5)}, velocity=5.0, torque=list(range(1, 13)))
    assert limits.of("FR_hip")["position"] == (-0.5, 0.5)
    assert limits.of("FL_hip")["position"] == (-1.0472, 1.0472)
    assert limits.of("RL_calf") == {
        "position": (-2.7227, -0.83776), "velocity": 5.0, "torque": 12.0, "step": 0.25, "kp": 300.0, "kd": 20.0,
    }  # fmt: skip
    changed = limits.with_joint("RL_calf", torque=3.0, position=(-2.0, -1.0))
    assert changed.of("RL_calf")["torque"] == 3.0
    assert changed.of("RR_calf") == limits.of("RR_calf")
    assert limits.of("RL_calf")["torque"] == 12.0
    assert "torque" in repr(changed)
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert hash(changed) == hash(limits.with_joint("RL_calf", torque=3.0, position=(-2.0, -1.0)))
    assert repr(SafetyLimits()) == "SafetyLimits()"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"position": {"FR_toe": (0, 1)}}, ConfigError),
        ({"position": {"FR_hip": (1, 0)}}, InvalidValueError),
        ({"position": {"FR_hip": 1.0}}, DTypeError),
        ({"position": 1.0}, DTypeError),
        ({"velocity": math.nan}, InvalidValueError),
        ({"torque": {"FR_hip": -1.0}}, InvalidValueError),
        ({"torque": [1.0] * 11}, DTypeError),
        ({"step": "0.1"}, DTypeError),
        ({"tilt": 4.0}, InvalidValueError),
        ({"tilt": 0.0}, InvalidValueError),
        ({"temperature": math.inf}, InvalidValueError),
        ({"stale_s": 0.0}, InvalidValueError),
        ({"lost_states": 0}, InvalidValueError),
        ({"damping_kd": -1.0}, InvalidValueError),
        ({"velocity": True}, DTypeError),
    ],
)
def test_impossible_limits_are_refused(change, error):
    with pytest.raises((error, ShapeError)):
        SafetyLimits(**change)


def test_unknown_bounds_and_envelopes_without_limits_are_refused():
    with pytest.raises(ConfigError, match="colour"):
        SafetyLimits().with_joint("FR_hip", colour=1.0)
    with pytest.raises(DTypeError, match="SafetyLimits"):
        SafetyEnvelope({"tilt": 1.0})
    assert "commands=0" in repr(SafetyEnvelope())
