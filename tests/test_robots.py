"""rfx.robots: joints by name, never by a guessed index."""

import json
import pickle

import numpy as np
import pytest

from rfx.errors import ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError
from rfx.robots import GO2, MOTOR_NAMES, JointConfig, RobotConfig, motor_idx, motor_index_by_name

SIMULATOR_ORDER = [f"{leg}_{part}" for leg in ("FL", "FR", "RL", "RR") for part in ("hip", "thigh", "calf")]


def test_motor_order_is_unitrees():
    assert GO2.joint_names[:4] == ("FR_hip", "FR_thigh", "FR_calf", "FL_hip")
    assert GO2.joint_names == MOTOR_NAMES
    assert (motor_idx.FR_HIP, motor_idx.RL_CALF) == (0, 11)


def test_rear_thighs_travel_differently_from_front_ones():
    assert GO2.joint("FR_thigh").position_max == 3.4907
    assert GO2.joint("RL_thigh").position_max == 4.5379


def test_motor_index_by_name_is_none_for_an_unknown_name():
    assert motor_index_by_name("RR_calf") == 8
    assert motor_index_by_name("rr_calf") is None


def test_reorder_goes_by_name():
    given = np.arange(24.0).reshape(2, 12)
    result = GO2.reorder(given, SIMULATOR_ORDER)
    for i, name in enumerate(MOTOR_NAMES):
        np.testing.assert_array_equal(result[:, i], given[:, SIMULATOR_ORDER.index(name)])
    assert not np.shares_memory(result, given)


def test_reorder_refuses_other_names_and_lengths():
    with pytest.raises(ConfigError, match="FR_hip"):
        GO2.reorder(np.zeros(12), ["x", *SIMULATOR_ORDER[1:]])
    with pytest.raises(ShapeError, match="12"):
        GO2.reorder(np.zeros(11), SIMULATOR_ORDER)


def test_round_trip_by_dict_json_and_pickle():
    assert RobotConfig.from_dict(json.loads(json.dumps(GO2.to_dict()))) == GO2
    assert pickle.loads(pickle.dumps(GO2)) == GO2
    assert hash(pickle.loads(pickle.dumps(GO2))) == hash(GO2)


def test_from_dict_leaves_its_argument_alone():
    data = GO2.to_dict()
    before = json.dumps(data)
    RobotConfig.from_dict(data)
    assert json.dumps(data) == before


def test_from_dict_refuses_unknown_and_missing_keys():
    with pytest.raises(ConfigError, match="colour"):
        RobotConfig.from_dict({**GO2.to_dict(), "colour": "white"})
    with pytest.raises(ConfigError, match="joints"):
        RobotConfig.from_dict({"name": "x"})
    with pytest.raises(DTypeError, match="mapping"):
        RobotConfig.from_dict([1])


def test_arrays_are_new_each_time():
    lower = GO2.lower
    lower[:] = 0
    assert GO2.lower[0] == -1.0472


def test_poses_cannot_be_changed_and_unknown_ones_are_named():
    with pytest.raises(TypeError):
        GO2.poses["stand"] = ()
    with pytest.raises(ConfigError, match=r"no pose 'sit'.*stand"):
        GO2.pose("sit")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"position_min": 2.0}, ConfigError),
        ({"position_max": float("nan")}, InvalidValueError),
        ({"velocity_max": 0}, InvalidValueError),
        ({"effort_max": -1}, InvalidValueError),
        ({"name": ""}, ConfigError),
        ({"index": -1}, InvalidValueError),
        ({"kp": "20"}, DTypeError),
    ],
)
def test_an_impossible_joint_is_refused(change, error):
    good = {"name": "a", "index": 0, "position_min": -1, "position_max": 1, "velocity_max": 1, "effort_max": 1}
    JointConfig(**good)
    with pytest.raises(error):
        JointConfig(**{**good, **change})


def test_an_impossible_robot_is_refused():
    a, b = (JointConfig(n, i, -1, 1, 1, 1) for i, n in enumerate("ab"))
    with pytest.raises(ConfigError, match="name of its own"):
        RobotConfig("r", (a, JointConfig("a", 1, -1, 1, 1, 1)))
    with pytest.raises(ConfigError, match="stands at"):
        RobotConfig("r", (b, a))
    with pytest.raises(ConfigError, match="outside of its travel"):
        RobotConfig("r", (a, b), {"stand": (0.0, 2.0)})
    with pytest.raises(ShapeError, match="stand"):
        RobotConfig("r", (a, b), {"stand": (0.0,)})


@pytest.mark.parametrize(
    "change",
    [
        {"joints": 5},
        {"joints": ("a", "b")},
        {"joints": None},
        {"name": ""},
        {"name": 5},
        {"poses": [1]},
        {"poses": {"stand": 3}},
        {"poses": {"stand": "0" * 12}},
        {"control_rate_hz": "fast"},
        {"policy_rate_hz": 0},
    ],
)
def test_wrong_kinds_are_refused_by_errors_of_ours(change):
    good = {"name": "r", "joints": GO2.joints, "poses": {}}
    RobotConfig(**good)
    with pytest.raises(RfxError):
        RobotConfig(**{**good, **change})


@pytest.mark.parametrize("names", [[1, *["FR_hip"] * 11], ["FR_hip"] * 12, 3, "FR_hip", [*MOTOR_NAMES, "FR_hip"]])
def test_reorder_refuses_what_is_not_each_joint_once(names):
    with pytest.raises((ConfigError, DTypeError)):
        GO2.reorder(np.zeros(12), names)


def test_numpy_numbers_become_plain_ones():
    joint = JointConfig("a", np.int64(0), np.float32(-1.0), np.float64(1.0), 1, 2)
    robot = RobotConfig("r", [joint], {"stand": np.zeros(1)}, control_rate_hz=np.float32(200.0))
    assert RobotConfig.from_dict(json.loads(json.dumps(robot.to_dict()))) == robot


@pytest.mark.parametrize("name", ["stand", "lie"])
def test_poses_of_the_go2_keep_away_from_the_stops_and_are_symmetric(name):
    q = GO2.pose(name)
    assert (q > GO2.lower + 0.05).all()
    assert (q < GO2.upper - 0.05).all()
    for front in ("F", "R"):
        assert GO2.index_of(f"{front}R_hip") < GO2.index_of(f"{front}L_hip")
        right, left = (q[[GO2.index_of(f"{front}{side}_{part}") for part in ("hip", "thigh", "calf")]] for side in "RL")
        np.testing.assert_array_equal(right * [-1, 1, 1], left)


def test_limits_stand_in_motor_order():
    np.testing.assert_array_equal(GO2.torque_limit, [23.7, 23.7, 45.43] * 4)
    np.testing.assert_array_equal(GO2.velocity_limit, [30.1, 30.1, 15.7] * 4)
    np.testing.assert_array_equal(GO2.lower[1::3], [-1.5708, -1.5708, -0.5236, -0.5236])
    np.testing.assert_array_equal(GO2.upper[1::3], [3.4907, 3.4907, 4.5379, 4.5379])
