"""Policies of others become policy files: deploy.yaml with ONNX, TorchScript."""

import json

import numpy as np
import pytest
from test_mlp import random_network

from rfx.errors import CodecError, ConfigError, RfxError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract
from rfx.nn.contract_check import check_policy
from rfx.nn.importers_deploy import contract_from_deploy
from rfx.robots import GO2, LAYOUTS

RNG = np.random.default_rng
NAMES = {"joint_pos_rel": "joint_pos_rel", "joint_vel": "joint_vel_rel"}


def deployed(name="unitree_rl_lab", history=1):
    """The settings of a layout as a deploy.yaml has them."""
    layout = LAYOUTS[name]
    action = layout.action
    scale = np.broadcast_to(np.asarray(action.scale), (12,)).tolist()
    return {
        "joint_ids_map": [GO2.index_of(joint) for joint in action.joint_names],
        "step_dt": 1 / layout.rate_hz,
        "stiffness": action.in_motor_order("kp").tolist(),
        "damping": action.in_motor_order("kd").tolist(),
        "default_joint_pos": list(action.default_pose),
        "commands": {
            "base_velocity": {
                "ranges": {"lin_vel_x": [-1.0, 1.5], "lin_vel_y": [-0.5, 0.5], "ang_vel_z": [-1.0, 1.0], "heading": None}
            }
        },
        "actions": {
            "JointPositionAction": {
                "clip": [[-100.0, 100.0]] * 12, "joint_names": [".*"], "scale": scale,
                "offset": list(action.default_pose), "joint_ids": None,
            }
        },
        "observations": {
            NAMES.get(term.name, term.name): {
                "params": {}, "clip": [-100.0, 100.0], "scale": term.scales.tolist(), "history_length": history
            }
            for term in layout.observation.terms
        },
    }  # fmt: skip


# -- deploy.yaml


@pytest.mark.parametrize("name", ["unitree_rl_lab", "unitree_rl_mjlab", "isaac_lab"])
def test_a_deployment_gives_the_layout_that_it_was_written_from(name):
    contract, wanted = contract_from_deploy(deployed(name)), LAYOUTS[name]
    layout = contract.layout
    assert layout.action.joint_names == wanted.action.joint_names
    assert [t.name for t in layout.observation.terms] == [t.name for t in wanted.observation.terms]
    for ours, theirs in zip(layout.observation.terms, wanted.observation.terms, strict=True):
        np.testing.assert_allclose(ours.scales, theirs.scales)
        assert ours.clip == 100.0
    for field in ("default_pose", "scale", "kp", "kd"):
        np.testing.assert_allclose(layout.action.in_motor_order(field), wanted.action.in_motor_order(field))
    assert layout.rate_hz == pytest.approx(50.0)
    assert contract.command_ranges == {"forward": (-1.0, 1.5), "left": (-0.5, 0.5), "yaw": (-1.0, 1.0)}
    assert contract.last_action == "raw"


def test_gains_are_of_the_motors_and_not_of_the_policy_s_joints():
    settings = deployed()
    settings["stiffness"] = [float(i) for i in range(12)]
    kp = contract_from_deploy(settings).layout.action.in_motor_order("kp")
    assert kp.tolist() == list(range(12))


def test_histories_are_stacked_by_term_unless_it_says_otherwise():
    settings = deployed(history=5)
    contract = contract_from_deploy(settings)
    assert (contract.history, contract.history_stacking, contract.history_order) == (5, "terms", "oldest_first")
    settings["observations"]["use_gym_history"] = True
    assert contract_from_deploy(settings).history_stacking == "frames"


def test_one_group_of_observations_is_taken_as_what_is_in_it():
    settings = deployed()
    settings["observations"] = {"obs": {"use_gym_history": False, **settings["observations"]}}
    assert contract_from_deploy(settings) == contract_from_deploy(deployed())


def test_a_clip_behind_the_scale_becomes_one_before_it():
    settings = deployed()
    settings["observations"]["scale_first"] = True
    terms = {t.name: t for t in contract_from_deploy(settings).layout.observation.terms}
    assert terms["joint_vel"].clip == pytest.approx(100.0 / 0.05)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda s: s.pop("joint_ids_map"), "joint_ids_map"),
        (lambda s: s.update(joint_ids_map=[0] * 12), "joint_ids_map"),
        (lambda s: s.update(stiffness=[1.0] * 11), "stiffness"),
        (lambda s: s.update(step_dt=0), "step_dt"),
        (lambda s: s.update(default_joint_pos=[0.0] * 12), "offset"),
        (lambda s: s["actions"].pop("JointPositionAction"), "JointPositionAction"),
        (lambda s: s["actions"]["JointPositionAction"].update(clip=[[-1, 1]] * 12), "clipped"),
        (lambda s: s["actions"]["JointPositionAction"].update(joint_ids=[0, 1]), "joint_ids"),
        (lambda s: s["observations"].update(height_scan={"scale": None}), "height_scan"),
        (lambda s: s["observations"]["base_ang_vel"].update(clip=[-1, 2]), "symmetric"),
        (lambda s: s["observations"]["base_ang_vel"].update(scale=[1.0, 2.0]), "scale"),
        (lambda s: s["observations"]["base_ang_vel"].update(history_length=3), "history_length"),
        (lambda s: s["observations"].update(base_ang_vel=None), "base_ang_vel"),
        (lambda s: s["commands"]["base_velocity"]["ranges"].update(lin_vel_x=[1, -1]), "lowest"),
    ],
)
def test_a_deployment_that_no_contract_can_say_is_refused_by_name(change, word):
    settings = deployed()
    change(settings)
    with pytest.raises(RfxError, match=word):
        contract_from_deploy(settings)


def test_files_are_yaml_or_json(tmp_path):
    (tmp_path / "deploy.json").write_text(json.dumps(deployed()))
    wanted = contract_from_deploy(deployed())
    assert contract_from_deploy(tmp_path / "deploy.json") == wanted
    yaml = pytest.importorskip("yaml")
    (tmp_path / "deploy.yaml").write_text(yaml.dump(deployed(), default_flow_style=None, sort_keys=False))
    assert contract_from_deploy(tmp_path / "deploy.yaml") == wanted
    for text in ("[1, 2", "- 1\n- 2", "!!python/object/apply:os.getcwd []"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(CodecError):
            contract_from_deploy(tmp_path / "bad.yaml")


# -- ONNX


def exported(path, width, seed=0, normalizer=None):
    pytest.importorskip("onnx")
    from rfx.nn.onnx_write import to_onnx

    layers, tensors = random_network(RNG(seed), (width, 32, 12), "elu")
    policy = CompiledPolicy.from_layers(layers[:-1], tensors, normalizer=normalizer)
    to_onnx(policy, path)
    return policy


def test_an_isaac_lab_training_becomes_a_policy_file_that_passes_the_check(tmp_path):
    from rfx.nn.importers import import_isaac_lab

    statistics = {"mean": RNG(1).normal(size=225), "var": RNG(2).uniform(0.5, 2, 225), "epsilon": 1e-8, "clip": None}
    policy = exported(tmp_path / "policy.onnx", 225, normalizer=statistics)
    import_isaac_lab(deployed(history=5), tmp_path / "policy.onnx", tmp_path / "walk", control_rate_hz=200.0)
    loaded = CompiledPolicy.load(tmp_path / "walk")
    assert (loaded.obs_dim, loaded.history, loaded.contract.control_rate_hz) == (45, 5, 200.0)
    assert loaded.contract.normalizer
    stack = RNG(3).normal(size=(20, 225)).astype(np.float32)
    np.testing.assert_allclose(loaded(stack), policy(stack), atol=1e-5)
    report = check_policy(tmp_path / "walk")
    assert report.ok
    assert "missing normaliser" in {fault.name for fault in report.faults}


def test_a_network_of_another_size_than_the_contract_says_is_refused(tmp_path):
    from rfx.nn.importers import import_policy

    exported(tmp_path / "policy.onnx", 48)
    with pytest.raises(ConfigError, match=r"48 numbers.*45"):
        import_policy(tmp_path / "policy.onnx", tmp_path / "walk", "rl_sar")
    assert not (tmp_path / "walk").exists()


def test_a_legged_gym_policy_takes_the_layout_of_that_name(tmp_path):
    from rfx.nn.importers import import_legged_gym

    exported(tmp_path / "policy.onnx", 48)
    import_legged_gym(tmp_path / "policy.onnx", tmp_path / "walk", last_action="clipped")
    assert CompiledPolicy.load(tmp_path / "walk").contract.layout == LAYOUTS["legged_gym"]


def test_an_onnx_model_is_compiled_with_a_contract(tmp_path):
    from rfx.nn.importers import from_onnx

    policy = exported(tmp_path / "policy.onnx", 90)
    again = from_onnx(tmp_path / "policy.onnx", contract=PolicyContract("rl_sar", history=2))
    assert (again.obs_dim, again.history) == (45, 2)
    stack = RNG(3).normal(size=(20, 90)).astype(np.float32)
    np.testing.assert_allclose(again(stack), policy(stack), atol=1e-5)


# -- TorchScript, where torch is installed


@pytest.fixture
def torch():
    pytest.importorskip("tinygrad")
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["ELU", "ReLU", "Tanh", "SiLU"])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_activation_of_a_torchscript_actor_is_found(torch, name, normalised, tmp_path):
    from rfx.nn.importers import import_legged_gym

    nn = torch.nn

    class Normalizer(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("_mean", torch.randn(1, 48))
            self.register_buffer("_std", torch.rand(1, 48) + 0.5)

        def forward(self, x):
            return (x - self._mean) / (self._std + 0.01)

    class Exported(nn.Module):
        def __init__(self):
            super().__init__()
            kind = getattr(nn, name)
            self.actor = nn.Sequential(nn.Linear(48, 32), kind(), nn.Linear(32, 16), kind(), nn.Linear(16, 12))
            self.normalizer = Normalizer() if normalised else nn.Identity()

        def forward(self, x):
            return self.actor(self.normalizer(x))

    torch.manual_seed(0)
    model = Exported()
    torch.jit.save(torch.jit.script(model), str(tmp_path / "policy_1.pt"))
    import_legged_gym(tmp_path / "policy_1.pt", tmp_path / "walk")
    policy = CompiledPolicy.load(tmp_path / "walk")
    obs = RNG(0).normal(size=(50, 48)).astype(np.float32)
    np.testing.assert_allclose(policy(obs), model(torch.from_numpy(obs)).detach().numpy(), atol=1e-5)
    assert policy.contract.normalizer == normalised
    assert check_policy(tmp_path / "walk").ok


def test_a_torchscript_model_of_another_kind_is_refused(torch, tmp_path):
    from rfx.nn.importers import read_torchscript

    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
    torch.jit.save(torch.jit.script(model), str(tmp_path / "m.pt"))
    with pytest.raises(ConfigError, match="weight"):
        read_torchscript(tmp_path / "m.pt")
