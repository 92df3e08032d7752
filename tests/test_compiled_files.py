"""rfx.nn.compiled from files and from policies that describe themselves."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from compiled_parts import RNG, observations, small, statistics
from test_mlp import random_network

from rfx.errors import ConfigError, DTypeError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.files import write_policy_directory


def saved(path, normalizer=None, contract=None):
    layers, tensors = random_network(RNG(0), (6, 17, 3))
    config = {"policy_type": "MLP", "policy_config": {"obs_dim": 6, "act_dim": 3, "hidden": [17]}, "layers": layers}
    if contract is not None:
        config["contract"] = contract
    write_policy_directory(path, config, {**tensors, "log_std": np.zeros(3, np.float32)}, normalizer)
    return CompiledPolicy.from_layers(layers, tensors, normalizer=normalizer)


def test_a_file_is_loaded_with_its_normaliser(tmp_path):
    policy = saved(tmp_path / "walk", {**statistics(6), "count": 10.0})
    assert np.array_equal(CompiledPolicy.load(tmp_path / "walk")(observations(5)), policy(observations(5)))


def test_loading_imports_neither_tinygrad_nor_torch(tmp_path):
    saved(tmp_path / "walk")
    code = (
        "import sys; from rfx.nn.compiled import CompiledPolicy; import numpy as np\n"
        "CompiledPolicy.load(sys.argv[1])(np.zeros(6, np.float32))\n"
        "print([m for m in ('tinygrad', 'torch', 'onnx', 'mujoco', 'cyclonedds') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "walk")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_file_whose_layers_are_not_described_is_refused(tmp_path):
    config = {"policy_type": "Custom", "policy_config": {}}
    write_policy_directory(tmp_path / "own", config, {"w": np.zeros((2, 2), np.float32)})
    with pytest.raises(ConfigError, match="Custom"):
        CompiledPolicy.load(tmp_path / "own")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        CompiledPolicy.load(tmp_path / "nothing")


class Describing:
    """What from_policy asks a policy for."""

    normalizer = contract = None

    def __init__(self, layers, tensors):
        self.layers, self.tensors = layers, tensors

    def describe(self):
        return self.layers

    def get_parameters(self):
        return self.tensors


def test_a_policy_is_asked_for_its_layers_and_weights():
    layers, tensors = random_network(RNG(0), (6, 17, 3))
    policy = CompiledPolicy.from_policy(Describing(layers, tensors))
    assert np.array_equal(policy(observations(3)), small()(observations(3)))
    with pytest.raises(ConfigError, match="Describing"):
        CompiledPolicy.from_policy(Describing(None, tensors))
    with pytest.raises(DTypeError, match="module"):
        CompiledPolicy.from_policy(pickle)
