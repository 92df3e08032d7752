"""rfx.nn.contract: what a policy tells the robot side, as plain data; and the robot's side of it."""

import contextlib
import copy
import doctest
import importlib
import json
import math

import numpy as np
import pytest
from guides import run_guide
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from test_mlp import random_network

from rfx.errors import ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import COMMANDS, READINGS, GoldenPairs, PolicyContract
from rfx.nn.contract_compare import differences, robot_differences
from rfx.nn.contract_diagnosis import diagnose
from rfx.nn.contract_faults import faults_of
from rfx.nn.contract_side import ContractSide, golden_readings, make_golden, projected_gravity, replay, write_contract
from rfx.nn.files import read_policy_directory, write_policy_directory
from rfx.robots import GO2, LAYOUTS, RobotConfig


def policy_of(contract, seed=0):
    width = contract.layout.observation.size * contract.history
    layers, tensors = random_network(np.random.default_rng(seed), (width, 24, 12))
    return CompiledPolicy.from_layers(layers, tensors, contract=contract, **contract.settings)


def golden(layout="rl_sar", **changes):
    contract = PolicyContract(layout, **changes)
    return make_golden(policy_of(contract), contract, steps=6)


# -- plain data


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_contract_goes_through_json_and_comes_back(layout):
    contract = golden(layout, history=2, quaternion_order="xyzw", command_ranges=dict.fromkeys(COMMANDS, (-0.5, 1)))
    again = PolicyContract.from_dict(json.loads(json.dumps(contract.to_dict(), allow_nan=False)))
    assert again == contract
    assert np.array_equal(again.golden.observations, contract.golden.observations)
    assert again.layout == LAYOUTS[layout]


def test_contracts_differ_by_what_they_say():
    assert PolicyContract("rl_sar") == PolicyContract(LAYOUTS["rl_sar"])
    assert PolicyContract("rl_sar") != PolicyContract("rl_sar", last_action="raw")


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"layout": "go2"}, ConfigError, "layout"),
        ({"control_rate_hz": 20.0}, ConfigError, "control_rate_hz"),
        ({"control_rate_hz": math.nan}, InvalidValueError, "control_rate_hz"),
        ({"quaternion_order": "xwyz"}, ConfigError, "quaternion_order"),
        ({"last_action": True}, ConfigError, "last_action"),
        ({"history": 0}, InvalidValueError, "history"),
        ({"history_order": "random"}, ConfigError, "history_order"),
        ({"history_stacking": None}, ConfigError, "history_stacking"),
        ({"history_fill": ""}, ConfigError, "history_fill"),
        ({"normalizer": 1}, DTypeError, "normalizer"),
        ({"robot": ""}, ConfigError, "robot"),
        ({"command_ranges": {"forward": (-1, 1)}}, ConfigError, "command_ranges"),
        ({"command_ranges": dict.fromkeys(COMMANDS, (1, -1))}, ConfigError, "lowest"),
        ({"command_ranges": dict.fromkeys(COMMANDS, (0, math.inf))}, InvalidValueError, "finite"),
        ({"golden": {}}, DTypeError, "golden"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, error, word):
    with pytest.raises(error, match=word):
        PolicyContract(**{"layout": "rl_sar", **changes})


def test_golden_pairs_of_another_layout_are_refused():
    with pytest.raises(ConfigError, match="45 -> 12"):
        PolicyContract("rl_sar", golden=golden("legged_gym").golden)


def test_golden_pairs_have_to_be_whole():
    pairs = golden().golden
    data = pairs.to_dict()
    with pytest.raises(ConfigError, match="quaternion"):
        GoldenPairs.from_dict({**data, "readings": {k: v for k, v in data["readings"].items() if k != "quaternion"}})
    with pytest.raises(ShapeError, match="actions"):
        GoldenPairs.from_dict({**data, "actions": data["actions"][:-1]})
    with pytest.raises(InvalidValueError, match="targets"):
        GoldenPairs.from_dict({**data, "targets": [[math.inf] * 12] * len(pairs)})
    with pytest.raises(RfxError):
        GoldenPairs.from_dict({**data, "observations": []})


GOOD = golden().to_dict()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_contract_gives_an_error_of_ours_and_no_other(data):
    plain = copy.deepcopy(GOOD)
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
    )  # fmt: skip
    place = plain
    for _ in range(data.draw(st.integers(0, 3))):
        deeper = [k for k, v in place.items() if isinstance(v, dict)]
        if not deeper:
            break
        place = place[data.draw(st.sampled_from(sorted(deeper)))]
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(junk)
    with contextlib.suppress(RfxError):
        PolicyContract.from_dict(plain)


def test_a_newer_version_is_refused():
    with pytest.raises(ConfigError, match="version 2"):
        PolicyContract.from_dict({**PolicyContract("rl_sar").to_dict(), "version": 2})


def test_repr_tells_layout_and_sizes():
    assert repr(golden(history=6)) == "PolicyContract('rl_sar', 45 -> 12, history=6, golden=6)"


# -- the robot's side


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_gravity_agrees_with_scipy(order):
    q = np.random.default_rng(0).normal(size=(50, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    rotation = Rotation.from_quat(q, scalar_first=order == "wxyz")
    np.testing.assert_allclose(projected_gravity(q, order), rotation.inv().apply([0, 0, -1]), atol=1e-12)


def standing():
    zeros = {name: np.zeros(n) for name, n in READINGS.items()}
    return {
        **zeros,
        "quaternion": np.array([1.0, 0, 0, 0]),
        "joint_pos": LAYOUTS["rl_sar"].action.in_motor_order("default_pose"),
    }


def test_standing_still_gives_gravity_and_nothing_else():
    obs = ContractSide(PolicyContract("rl_sar")).observe(standing())
    assert obs.tolist() == [0, 0, 0, 0, 0, -1, *[0] * 39]


def test_an_observation_is_in_the_order_and_scale_of_its_layout():
    readings = standing()
    readings["joint_vel"] = np.arange(12.0)
    readings["base_ang_vel"] = np.array([1.0, 2.0, 3.0])
    readings["velocity_commands"] = np.array([0.5, -0.5, 1.0])
    layout = LAYOUTS["legged_gym"]
    obs = ContractSide(PolicyContract("legged_gym")).observe(readings)
    where = layout.observation.slices
    names = layout.observation.joint_names
    np.testing.assert_allclose(obs[where["joint_vel"]], [0.05 * GO2.index_of(n) for n in names], rtol=1e-6)
    np.testing.assert_allclose(obs[where["base_ang_vel"]], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(obs[where["velocity_commands"]], [1.0, -1.0, 0.25])


@pytest.mark.parametrize(("last_action", "seen"), [("clipped", 1.0), ("raw", 3.0)])
def test_the_last_action_comes_back_as_the_contract_says(last_action, seen):
    side = ContractSide(PolicyContract("clock", last_action=last_action))
    side.targets(np.full(12, 3.0))
    where = side.contract.layout.observation.slices["last_action"]
    assert side.observe(standing())[where].tolist() == [seen] * 12
    side.reset()
    assert not side.observe(standing())[where].any()


def test_the_clock_turns_once_in_a_gait_period():
    side = ContractSide(PolicyContract("clock"))
    clock = []
    for _ in range(26):
        clock.append(side.observe(standing())[-3:])
        side.targets(np.zeros(12))
    np.testing.assert_allclose(clock[0], [0, 1, 0], atol=1e-7)
    np.testing.assert_allclose(clock[25][:2], clock[0][:2], atol=1e-6)


def test_targets_are_in_motor_order():
    contract = PolicyContract("isaac_lab")
    action = np.zeros(12)
    action[contract.layout.action.joint_names.index("RL_calf")] = 1.0
    targets = ContractSide(contract).targets(action)
    assert targets[GO2.index_of("RL_calf")] == pytest.approx(-1.5 + 0.25)
    assert targets[GO2.index_of("FR_hip")] == pytest.approx(-0.1)


def test_bad_readings_are_refused():
    side = ContractSide(PolicyContract("rl_sar"))
    with pytest.raises(ConfigError, match="quaternion"):
        side.observe({})
    with pytest.raises(InvalidValueError, match="joint_vel"):
        side.observe({**standing(), "joint_vel": [math.nan] * 12})
    with pytest.raises(ShapeError, match="joint_pos"):
        side.observe({**standing(), "joint_pos": [0.0] * 11})


def test_golden_readings_are_attitudes_within_what_a_robot_can_do():
    contract = PolicyContract("rl_sar")
    readings = golden_readings(contract, 100)
    np.testing.assert_allclose(np.linalg.norm(readings["quaternion"], axis=1), 1.0, atol=1e-12)
    assert (readings["joint_pos"] >= GO2.lower).all()
    assert (readings["joint_pos"] <= GO2.upper).all()
    assert projected_gravity(readings["quaternion"])[:, 2].max() < -0.9


# -- differences by name


def test_a_contract_does_not_differ_from_itself():
    for layout in LAYOUTS:
        assert differences(PolicyContract(layout), PolicyContract(layout)) == []


def test_a_difference_of_all_joints_is_told_once():
    (difference,) = differences(
        PolicyContract("rl_sar"),
        PolicyContract.from_dict(
            json.loads(json.dumps(PolicyContract("rl_sar").to_dict()).replace('"kp": 20.0', '"kp": 40.0'))
        ),
    )
    assert str(difference) == "kp of all joints: the policy expects 20, got 40"


def robot_like(contract):
    action = contract.layout.action
    data = GO2.to_dict()
    data["poses"] = {"stand": action.in_motor_order("default_pose").tolist()}
    for joint, kp, kd in zip(data["joints"], action.in_motor_order("kp"), action.in_motor_order("kd"), strict=True):
        joint["kp"], joint["kd"] = float(kp), float(kd)
    return data


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_robot_that_is_configured_as_the_policy_expects_has_no_difference(layout):
    contract = PolicyContract(layout)
    assert robot_differences(contract, RobotConfig.from_dict(robot_like(contract))) == []


def test_gains_pose_and_rates_of_a_robot_are_compared_by_name():
    contract = PolicyContract("unitree_rl_mjlab")
    data = robot_like(contract)
    data["joints"][5]["kp"] = 21.0
    data["poses"]["stand"][0] += 0.05
    data["policy_rate_hz"] = 100.0
    found = {d.name for d in robot_differences(contract, RobotConfig.from_dict(data))}
    assert found == {"kp of FL_calf", "default pose of FR_hip", "policy rate"}


# -- diagnosis from numbers alone


@pytest.mark.parametrize(
    "name", ["legs left/right", "gyro scale", "history order", "action scale", "layout clock", "kp"]
)
def test_a_mistake_that_shows_in_numbers_is_named_from_them(name):
    contract = golden("legged_gym", history=3)
    policy, pairs = policy_of(contract), contract.golden
    (fault,) = [fault for fault in faults_of(contract) if fault.name == name]
    wrong = CompiledPolicy.from_layers(policy.layers, policy.tensors, **fault.contract.settings)
    seen = replay(wrong, ContractSide(fault.contract), pairs.readings, pairs.actions)
    assert diagnose(policy, contract, *seen) == (() if name == "kp" else (name,))


def test_a_mistake_of_no_known_kind_is_told_by_its_terms_and_joints():
    contract = golden()
    pairs = contract.golden
    observations, targets = pairs.observations.copy(), pairs.targets.copy()
    observations[:, contract.layout.observation.slices["projected_gravity"]] *= 1.01
    targets[:, 3] += 0.02
    assert diagnose(policy_of(contract), contract, observations, targets=targets) == (
        "projected_gravity",
        "target of FL_hip",
    )
    assert diagnose(policy_of(contract), contract, pairs.observations) == ()


def test_without_golden_pairs_there_is_no_diagnosis():
    contract = PolicyContract("rl_sar")
    with pytest.raises(ConfigError, match="golden"):
        diagnose(policy_of(contract), contract, np.zeros((1, 45)))


# -- in the file


def test_a_contract_is_written_into_a_policy_file_and_loaded_with_it(tmp_path):
    layers, tensors = random_network(np.random.default_rng(0), (90, 24, 12))
    statistics = {"mean": np.zeros(90), "var": np.ones(90), "epsilon": 1e-5, "clip": None, "count": 5.0}
    config = {"policy_type": "MLP", "policy_config": {}, "layers": layers, "training": {"steps": 7}}
    write_policy_directory(tmp_path / "walk", config, tensors, statistics, {"note.txt": b"hello"})
    write_contract(tmp_path / "walk", PolicyContract("rl_sar", history=2, history_order="newest_first"))
    files = read_policy_directory(tmp_path / "walk")
    assert files.config["training"] == {"steps": 7}
    assert files.extra == {"note.txt": b"hello"}
    policy = CompiledPolicy.load(tmp_path / "walk")
    assert policy.contract.normalizer
    assert (policy.history, policy.obs_dim) == (2, 45)
    observations, actions, _ = replay(policy, ContractSide(policy.contract), policy.contract.golden.readings)
    assert np.array_equal(actions, policy.contract.golden.actions)
    assert np.array_equal(observations, policy.contract.golden.observations)


def test_a_contract_that_does_not_fit_the_network_leaves_the_file_as_it_was(tmp_path):
    layers, tensors = random_network(np.random.default_rng(0), (45, 24, 12))
    config = {"policy_type": "MLP", "policy_config": {}, "layers": layers}
    write_policy_directory(tmp_path / "walk", config, tensors)
    with pytest.raises(ConfigError, match="48"):
        write_contract(tmp_path / "walk", PolicyContract("legged_gym"))
    assert read_policy_directory(tmp_path / "walk").config.get("contract") is None


# -- documentation


def test_the_examples_of_the_guide_run_and_give_what_they_say(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tinygrad")
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    names = run_guide("policy_contract.md")
    assert capsys.readouterr().out.strip() == "('gyro scale',)"
    assert np.allclose(
        names["again"](np.ones(45)[None].astype(np.float32)), names["policy"](np.ones(45, np.float32)), atol=1e-5
    )


def test_the_example_of_the_docstring_gives_what_it_says():
    results = doctest.testmod(importlib.import_module("rfx.nn.contract_side"))
    assert results.attempted
    assert not results.failed
