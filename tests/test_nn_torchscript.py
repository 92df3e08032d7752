"""TorchScript models behind the same interface; runs where torch is installed."""

import json
import pickle

import numpy as np
import pytest
import tinygrad_here  # noqa: F401

pytest.importorskip("torch")

import torch

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, ShapeError
from rfx.nn import ObservationNormalizer, Policy, TorchJitPolicy, read_policy_directory

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ELU(), torch.nn.Linear(4, 2))


@pytest.fixture
def exported(model, tmp_path):
    path = tmp_path / "export.pt"
    torch.jit.save(torch.jit.script(model), str(path))
    return path


def test_dicts_tensors_and_arrays_go_in(exported, model):
    policy = TorchJitPolicy(model_path=exported, obs_keys=["state", "command"], device="cpu")
    state, command = torch.randn(3, 2), torch.randn(3, 3)
    want = model(torch.cat([state, command], -1)).detach()
    for obs in (
        {"state": state, "command": command, "image": None},
        {"state": state.numpy(), "command": command.numpy()},
        torch.cat([state, command], -1),
    ):
        found = policy(obs)
        assert isinstance(found, torch.Tensor)
        assert not found.requires_grad
        torch.testing.assert_close(found, want)
    assert policy.forward({"state": state, "command": command}).requires_grad


def test_what_does_not_fit_is_refused(exported, tmp_path):
    policy = TorchJitPolicy(exported, ["a", "b"])
    with pytest.raises(ConfigError, match="expected an observation with"):
        policy({"a": np.zeros((1, 2))})
    with pytest.raises(ShapeError, match="do not fit together"):
        policy({"a": np.zeros((1, 2)), "b": np.zeros((2, 3))})
    with pytest.raises(InvalidStateError, match="model_path"):
        TorchJitPolicy()(np.zeros((1, 5)))
    with pytest.raises(InvalidStateError, match="no model"):
        TorchJitPolicy().save(tmp_path / "walk")
    with pytest.raises(DTypeError, match="obs_keys"):
        TorchJitPolicy(exported, "state")
    with pytest.raises(ConfigError, match="device"):
        TorchJitPolicy(exported, device="toaster")
    with pytest.raises(FileNotFoundError, match="no TorchScript model"):
        TorchJitPolicy(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"no zip")
    with pytest.raises(CodecError, match="no TorchScript model"):
        TorchJitPolicy(tmp_path / "bad.pt")


def test_a_saved_model_is_found_again_from_anywhere(exported, tmp_path, monkeypatch):
    policy = TorchJitPolicy(exported)
    policy.normalizer = ObservationNormalizer(5, clip=2.0)
    policy.normalizer.update(np.random.default_rng(0).normal(3, 2, (20, 5)))
    path = policy.save(tmp_path / "walk", training_info={"by": "torch"})
    monkeypatch.chdir("/")
    x = np.ones((2, 5), np.float32)
    for found in (Policy.load(path), TorchJitPolicy.load(path), pickle.loads(pickle.dumps(policy))):
        torch.testing.assert_close(found({"state": x}), policy({"state": x}))
    want = policy.model(torch.as_tensor(policy.normalizer.normalize(x.astype(np.float64)), dtype=torch.float32))
    torch.testing.assert_close(policy(x), want.detach())
    assert sorted(p.name for p in path.iterdir()) == [
        "model.pt", "model.safetensors", "normalizer.json", "rfx_config.json"
    ]  # fmt: skip


def test_an_older_folder_is_loaded(exported, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    exported.rename(old / "model.pt")
    config = {"model_path": "model.pt", "obs_keys": ["state"], "device": "cpu"}
    (old / "rfx_config.json").write_text(json.dumps({"policy_type": "TorchJitPolicy", "policy_config": config}))
    assert Policy.load(old)(np.zeros((1, 5))).shape == (1, 2)


@pytest.mark.parametrize("path", ["/etc/passwd", "../model.pt", None])
def test_a_path_out_of_the_folder_is_refused(exported, tmp_path, path):
    saved = TorchJitPolicy(exported).save(tmp_path / "walk")
    config = json.loads((saved / "rfx_config.json").read_text())
    config["policy_config"]["model_path"] = path
    (saved / "rfx_config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="beside it"):
        Policy.load(saved)
    assert read_policy_directory(saved).policy_type == "TorchJitPolicy"


def test_weights_go_out_and_in(exported, tmp_path):
    policy = TorchJitPolicy(exported)
    weights = policy.get_parameters()
    assert sorted(weights) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    policy.set_parameters({name: value * 0 for name, value in weights.items()})
    assert not policy(np.ones((1, 5))).any()
    with pytest.raises(ConfigError, match="expected the weights"):
        policy.set_parameters({})
    assert not Policy.load(policy.save(tmp_path / "walk"))(np.ones((1, 5))).any()
