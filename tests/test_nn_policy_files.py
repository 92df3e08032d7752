"""Policies saved and loaded, classes of the user among them."""

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from tinygrad.nn import Linear

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError
from rfx.nn import (
    MLP,
    ActorCritic,
    JitPolicy,
    Policy,
    read_policy_directory,
    register_policy,
)
from rfx.robots import GO2

RNG = np.random.default_rng(1)


def rows(n, width=3):
    return RNG.standard_normal((n, width)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    return MLP(3, 2, [4], seed=1)


def test_a_saved_policy_comes_back(tmp_path):
    net = MLP(3, 2, [4], activation="elu", output_activation=None, layer_norm=True, seed=3)
    path = net.save(tmp_path / "walk", robot_config=GO2, training_info={"steps": 10}, contract={"layout": "mine"})
    assert path == tmp_path / "walk"
    jit = JitPolicy.load(path)
    assert (jit.robot_config, jit.training_info, jit.contract) == (GO2, {"steps": 10}, {"layout": "mine"})
    assert sorted(jit.get_parameters()) == sorted(net.get_parameters())
    for found in (Policy.load(path), MLP.load(str(path)), jit.policy):
        assert isinstance(found, MLP)
        assert found.config_dict() == net.config_dict()
        assert (found.robot_config, found.training_info) == (GO2, {"steps": 10})
        assert found.contract == {"layout": "mine"}
        assert all(np.array_equal(v, found.get_parameters()[k]) for k, v in net.get_parameters().items())
    x = rows(1)
    np.testing.assert_array_equal(found(x).numpy(), net(x).numpy())
    again = found.save(tmp_path / "again")
    assert read_policy_directory(again).config == read_policy_directory(path).config


@register_policy
class Custom(Policy):
    def __init__(self, obs_dim, act_dim, scale=1.0):
        self.l1 = Linear(obs_dim, act_dim)
        self.factor = scale

    def forward(self, obs):
        return self.l1(obs).tanh() * self.factor


class Twice(MLP):
    def forward(self, obs):
        return super().forward(obs) * 2


def test_a_class_of_the_user_is_saved_with_its_arguments(tmp_path):
    net = Custom(3, act_dim=2, scale=0.5)
    path = net.save(tmp_path / "walk")
    found = Policy.load(path)
    assert type(found) is Custom
    assert found.factor == 0.5
    x = rows(2)
    np.testing.assert_allclose(found(x).numpy(), net(x).numpy(), atol=1e-6)
    assert read_policy_directory(path).layers is None
    assert "scale=0.5" in repr(found)


def test_a_forward_of_its_own_is_not_described_by_the_class_above(tmp_path):
    net = Twice(3, 2, [4], seed=1)
    path = net.save(tmp_path / "walk")
    assert read_policy_directory(path).layers is None
    with pytest.raises(ConfigError, match="unknown policy type 'Twice'"):
        Policy.load(path)
    assert type(Twice.load(path)) is Twice
    with pytest.raises(ConfigError, match="unknown policy type"):
        MLP.load(path)


def test_another_class_is_not_loaded_by_mistake(tmp_path, net):
    path = net.save(tmp_path / "walk")
    with pytest.raises(ConfigError, match="holds a policy of type MLP, not ActorCritic"):
        ActorCritic.load(path)


def test_names_are_given_once():
    with pytest.raises(ConfigError, match="choose another name"):
        register_policy(type("MLP", (MLP,), {}))
    with pytest.raises(ConfigError, match="choose another name"):
        register_policy(type("Custom", (MLP,), {"__module__": "elsewhere"}))
    with pytest.raises(DTypeError):
        register_policy(int)


def test_arguments_that_are_no_plain_data_are_named(tmp_path):
    class Odd(Policy):
        def __init__(self, layer):
            self.layer = layer

        def forward(self, obs):
            return self.layer(obs)

    with pytest.raises(ConfigError, match="config_dict"):
        Odd(Linear(3, 2)).save(tmp_path / "walk")
    assert not (tmp_path / "walk").exists()
    with pytest.raises(TypeError, match="forward"):
        Policy()(np.zeros((1, 3)))


@pytest.mark.parametrize("damage", ["type", "config", "shape", "missing", "truncated", "gone"])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, damage):
    path = MLP(3, 2, [4], seed=1).save(tmp_path / "walk")
    config, model = path / "rfx_config.json", path / "model.safetensors"
    text = config.read_text()
    change = {
        "type": ('"MLP"', '"os.system"'),
        "config": ('"obs_dim": 3', '"obs_dimension": 3'),
        "shape": ('"obs_dim": 3', '"obs_dim": 5'),
        "missing": ('"hidden": [', '"hidden": [4, '),
    }.get(damage)
    if change is not None:
        assert change[0] in text
        config.write_text(text.replace(*change))
    elif damage == "truncated":
        model.write_bytes(model.read_bytes()[:-4])
    else:
        model.unlink()
    with pytest.raises((RfxError, FileNotFoundError)) as caught:
        Policy.load(path)
    assert isinstance(caught.value, (ConfigError, ShapeError, CodecError, FileNotFoundError))
    assert str(caught.value)


def test_tinygrad_reads_the_weights_and_we_read_its_own(tmp_path):
    from tinygrad.nn.state import get_state_dict, load_state_dict, safe_load, safe_save

    net, other = MLP(3, 2, [4], seed=1), MLP(3, 2, [4], seed=2)
    load_state_dict(other, safe_load(net.save(tmp_path / "walk") / "model.safetensors"), verbose=False)
    x = rows(2)
    np.testing.assert_array_equal(other(x).numpy(), net(x).numpy())
    safe_save(get_state_dict(net), str(tmp_path / "old.safetensors"))
    found = Policy.load(tmp_path / "old.safetensors")
    assert found.hidden == [4]
    np.testing.assert_array_equal(found(x).numpy(), net(x).numpy())


def test_a_description_of_a_huge_network_is_refused_before_it_is_built(tmp_path, net):
    path = net.save(tmp_path / "walk")
    config = path / "rfx_config.json"
    for size in (2**24, 2**40):
        config.write_text(config.read_text().replace('"obs_dim": 3', f'"obs_dim": {size}'))
        with pytest.raises((ShapeError, InvalidValueError)):
            Policy.load(path)
        config.write_text(config.read_text().replace(f'"obs_dim": {size}', '"obs_dim": 3'))
    assert Policy.load(path).obs_dim == 3
