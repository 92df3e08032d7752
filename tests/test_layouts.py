"""Observation and action layouts by name."""

import json

import numpy as np
import pytest

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.robots import (
    GO2,
    LAYOUTS,
    SIGNALS,
    ActionLayout,
    ObservationLayout,
    ObservationTerm,
    PolicyLayout,
    policy_layout,
)

SIZES = {
    "legged_gym": 48,
    "isaac_lab": 48,
    "playground": 48,
    "clock": 48,
    "unitree_rl_lab": 45,
    "unitree_rl_mjlab": 45,
    "rl_sar": 45,
}


@pytest.mark.parametrize("name", SIZES)
def test_a_layout_has_the_size_it_is_known_for(name):
    layout = LAYOUTS[name]
    assert layout.name == name
    assert layout.observation.size == SIZES[name]
    assert layout.action.size == 12
    assert layout.source


def test_every_layout_is_listed_here():
    assert set(LAYOUTS) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_a_layout_survives_json(name):
    layout = LAYOUTS[name]
    assert PolicyLayout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_layouts_of_the_same_size_are_told_apart():
    made = [json.dumps(LAYOUTS[n].to_dict()["observation"]) for n in LAYOUTS]
    assert len({m for m, n in zip(made, LAYOUTS, strict=True) if SIZES[n] == 48}) == 4
    assert LAYOUTS["legged_gym"].observation.slices["velocity_commands"] == slice(9, 12)
    assert LAYOUTS["playground"].observation.slices["velocity_commands"] == slice(45, 48)
    assert LAYOUTS["clock"].observation.slices["clock"] == slice(45, 48)


def test_legged_gym_has_the_scales_of_its_configuration():
    scales = {t.name: t.scales.tolist() for t in LAYOUTS["legged_gym"].observation.terms}
    assert scales["base_lin_vel"] == [2.0] * 3
    assert scales["velocity_commands"] == [2.0, 2.0, 0.25]
    assert scales["joint_vel"] == [0.05] * 12
    assert scales["last_action"] == [1.0] * 12


@pytest.mark.parametrize(
    ("name", "motors"),
    [
        ("unitree_rl_lab", [3, 0, 9, 6, 4, 1, 10, 7, 5, 2, 11, 8]),  # joint_ids_map of its deploy.yaml
        ("unitree_rl_mjlab", [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]),
        ("rl_sar", list(range(12))),
    ],
)
def test_the_order_of_the_joints_is_that_of_the_published_map(name, motors):
    assert [GO2.index_of(joint) for joint in LAYOUTS[name].action.joint_names] == motors


@pytest.mark.parametrize("name", SIZES)
def test_default_poses_are_within_the_travel_and_mirrored(name):
    pose = LAYOUTS[name].action.in_motor_order("default_pose")
    assert ((pose > GO2.lower) & (pose < GO2.upper)).all()
    right, left = pose.reshape(2, 2, 3)[:, 0], pose.reshape(2, 2, 3)[:, 1]
    assert np.array_equal(right * [-1, 1, 1], left)


def test_targets_are_in_motor_order_and_move_by_the_scale():
    layout = LAYOUTS["legged_gym"].action
    action = np.zeros(12)
    action[layout.joint_names.index("RR_calf")] = 2.0
    moved = layout.targets(action) - layout.in_motor_order("default_pose")
    assert moved.nonzero()[0].tolist() == [GO2.index_of("RR_calf")]
    assert moved.sum() == pytest.approx(0.5)


def test_targets_of_an_action_beyond_the_clip_are_those_of_the_clip():
    layout = LAYOUTS["clock"].action
    assert np.array_equal(layout.targets(np.full((2, 12), 5.0)), layout.targets(np.ones((2, 12))))


def test_gains_are_in_motor_order():
    kp = LAYOUTS["unitree_rl_mjlab"].action.in_motor_order("kp")
    assert dict(zip(GO2.joint_names, kp, strict=True))["FR_calf"] == 40.0
    assert dict(zip(GO2.joint_names, kp, strict=True))["FR_hip"] == 20.0


def test_a_layout_is_found_by_name_or_is_itself():
    assert policy_layout("rl_sar") is LAYOUTS["rl_sar"]
    assert policy_layout(LAYOUTS["rl_sar"]) is LAYOUTS["rl_sar"]
    with pytest.raises(ConfigError, match=r"legged_gym, .*got 'gym'"):
        policy_layout("gym")


def test_unknown_terms_and_wrong_numbers_are_refused():
    joints = GO2.joint_names
    with pytest.raises(ConfigError, match="base_lin_vel"):
        ObservationTerm("speed")
    with pytest.raises(InvalidValueError, match="scale of clock"):
        ObservationTerm("clock", (1.0, 2.0))
    with pytest.raises(InvalidValueError, match="clip"):
        ObservationTerm("clock", clip=-1.0)
    with pytest.raises(ConfigError, match="each once"):
        ObservationLayout((ObservationTerm("clock"),) * 2, joints)
    with pytest.raises(ConfigError, match="FR_hip"):
        ObservationLayout((ObservationTerm("clock"),), joints[:11])
    with pytest.raises(ConfigError, match="12 numbers"):
        ActionLayout(joints, 0.5)
    with pytest.raises(ConfigError, match="kp"):
        ActionLayout(joints, (0.0,) * 12, kp=-1.0)
    with pytest.raises(DTypeError, match="ObservationLayout"):
        PolicyLayout("x", None, None)


def test_a_dict_with_a_missing_or_unknown_key_is_refused():
    plain = LAYOUTS["rl_sar"].to_dict()
    with pytest.raises(ConfigError, match="colour"):
        PolicyLayout.from_dict({**plain, "colour": 1})
    with pytest.raises(ConfigError, match="ActionLayout"):
        PolicyLayout.from_dict({**plain, "action": {}})
    with pytest.raises(DTypeError, match="terms"):
        PolicyLayout.from_dict({**plain, "observation": {**plain["observation"], "terms": "clock"}})
    assert PolicyLayout.from_dict(plain) == LAYOUTS["rl_sar"]


def measured(lead=()):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(*lead, size)) for name, size in SIGNALS.items()}


@pytest.mark.parametrize("name", SIZES)
def test_an_observation_is_assembled_term_by_term_and_joint_by_joint(name):
    layout, signals = LAYOUTS[name].observation, measured()
    parts = layout.split(layout.assemble(signals))
    assert list(parts) == [t.name for t in layout.terms]
    for term in layout.terms:
        for k, (got, scale) in enumerate(zip(parts[term.name], term.scales, strict=True)):
            place = k
            if term.name in ("joint_pos", "joint_pos_rel", "joint_vel"):
                place = GO2.index_of(layout.joint_names[k])
            assert got == np.float32(signals[term.name][place] * scale)


def test_many_observations_are_assembled_as_one_by_one():
    layout, signals = LAYOUTS["rl_sar"].observation, measured((4, 2))
    many = layout.assemble(signals)
    assert many.shape == (4, 2, 45)
    assert many.dtype == np.float32
    assert np.array_equal(many[3, 1], layout.assemble({k: v[3, 1] for k, v in signals.items()}))
    one_command = layout.assemble({**signals, "velocity_commands": np.zeros(3)})
    assert not layout.split(one_command)["velocity_commands"].any()


def test_terms_are_clipped_before_and_observations_after_scaling():
    layout = ObservationLayout((ObservationTerm("base_ang_vel", 10.0, clip=0.5),), GO2.joint_names, clip=4.0)
    assert layout.assemble({"base_ang_vel": [0.1, 3.0, -9.0]}) == pytest.approx([1.0, 4.0, -4.0])


def test_signals_that_do_not_fit_are_refused():
    layout, signals = LAYOUTS["rl_sar"].observation, measured()
    with pytest.raises(ConfigError, match="joint_vel is missing"):
        layout.assemble({k: v for k, v in signals.items() if k != "joint_vel"})
    with pytest.raises(ShapeError, match="joint_vel of 12"):
        layout.assemble({**signals, "joint_vel": np.zeros(11)})
    with pytest.raises(InvalidValueError, match="finite"):
        layout.assemble({**signals, "joint_vel": np.full(12, np.nan)})
    with pytest.raises(ShapeError, match="leading"):
        layout.assemble({**signals, "joint_vel": np.zeros((2, 12)), "base_ang_vel": np.zeros((3, 3))})
    with pytest.raises(ShapeError, match="45"):
        layout.split(np.zeros(48))
