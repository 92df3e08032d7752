"""Policies: calls, shapes, weights and files."""

import copy
import pickle

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import Linear
from tinygrad.nn.optim import SGD
from tinygrad.nn.state import get_parameters

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.estimators import average_weight_vectors, polyak_update
from rfx.nn import (
    MLP,
    ActorCritic,
    JitPolicy,
    ObservationNormalizer,
    Policy,
    calls,
    engine,
    read_policy_directory,
    register_policy,
)
from rfx.nn.layers import ACTIVATIONS, run_layers
from rfx.robots import GO2

RNG = np.random.default_rng(1)


def rows(n, width=3):
    return RNG.standard_normal((n, width)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    return MLP(3, 2, [4], seed=1)


def expected(policy, obs):
    return run_layers(policy.describe(), policy.get_parameters(), obs)[0]


def test_results_of_several_calls_do_not_share_memory(net):
    batches = [rows(2) for _ in range(5)]
    results = [net(x) for x in batches]
    for result, x in zip(results, batches, strict=True):
        np.testing.assert_allclose(result.numpy(), expected(net, x), atol=1e-6)


def test_another_batch_size_is_recorded_anew(net):
    for n in (2, 1, 2, 4, 1, 4, 4, 1, 2):
        x = rows(n)
        np.testing.assert_allclose(net(x).numpy(), expected(net, x), atol=1e-6)


def test_the_recorded_shapes_are_bounded(monkeypatch):
    assert calls.MOST_SHAPES == 8
    monkeypatch.setattr(calls, "MOST_SHAPES", 2)
    net = MLP(3, 2, [], seed=1)
    for n in (1, 2, 1, 5):
        net(rows(n))
    assert [key[0][0] for key in net._rfx.calls["_act"].captures] == [(1, 3), (5, 3)]


@pytest.mark.parametrize("make", ["slice", "transposed", "lazy", "constant", "double", "integer", "list"])
def test_any_tensor_or_array_is_taken(net, make):
    for i in range(3):
        x = rows(4) + i
        obs, want = {
            "slice": lambda x=x, i=i: (Tensor(x).realize()[i : i + 1], x[i : i + 1]),
            "transposed": lambda x=x: (Tensor(np.ascontiguousarray(x.T)).realize().T, x),
            "lazy": lambda x=x: (Tensor(x) * 2 + 1, x * 2 + 1),
            "constant": lambda i=i: (Tensor.full((1, 3), 0.5 + i), np.full((1, 3), 0.5 + i)),
            "double": lambda x=x: (x.astype(np.float64), x),
            "integer": lambda i=i: (np.full((1, 3), i), np.full((1, 3), float(i))),
            "list": lambda i=i: ([[1.0, 2.0, float(i)]], np.array([[1.0, 2.0, i]])),
        }[make]()
        np.testing.assert_allclose(net(obs).numpy(), expected(net, want), atol=1e-6)


def test_no_observations_give_no_actions(net):
    assert net(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.zeros((1, 4)), Tensor.zeros(1, 4), np.zeros(()), [[1.0], [1.0, 2.0]]])
def test_another_width_is_refused(net, bad):
    with pytest.raises(ShapeError):
        net(bad)


def test_values_that_are_not_finite_are_refused(net):
    with pytest.raises(InvalidValueError, match="finite"):
        net([[0.0, np.nan, 0.0]])
    with pytest.raises(InvalidValueError, match="finite"):
        net(np.array([[0.0, 1e300, 0.0]]))
    with pytest.raises(DTypeError):
        net("observation")


def test_new_weights_show_at_once():
    net, x = MLP(3, 2, [], seed=1), rows(1)
    for _ in range(3):
        net(x)
    net.set_parameters({name: value * 2 for name, value in net.get_parameters().items()})
    np.testing.assert_allclose(net(x).numpy(), expected(net, x), atol=1e-6)
    net.layers[0].weight.assign(net.layers[0].weight * 0.5)
    np.testing.assert_allclose(net(x).numpy(), expected(net, x), atol=1e-6)
    net.layers[0] = Linear(3, 2)
    np.testing.assert_allclose(net(x).numpy(), expected(net, x), atol=1e-6)


def test_training_changes_what_the_call_returns():
    net, x = MLP(3, 2, [], seed=1), rows(4)
    before = [net(x).numpy() for _ in range(3)][-1]
    with Context(TRAINING=1):
        optimiser = SGD(net.parameters(), lr=0.5)
        loss = (net(x) - 1).square().mean()
        loss.backward()
        optimiser.step()
    after = net(x).numpy()
    assert np.square(after - 1).mean() < np.square(before - 1).mean()
    np.testing.assert_allclose(after, expected(net, x), atol=1e-6)


def test_a_call_inside_a_recording_of_the_user_is_plain(net):
    step = TinyJit(lambda obs: (net(obs) * 2).realize())
    for _ in range(4):
        x = rows(2)
        np.testing.assert_allclose(step(Tensor(x).realize()).numpy(), 2 * expected(net, x), atol=1e-6)


def test_an_array_inside_a_recording_is_refused(net):
    step = TinyJit(lambda obs: (net(np.ones((1, 3))) + obs[:, :2]).realize())
    step(Tensor(rows(1)).realize())
    with pytest.raises(InvalidStateError, match="constant"):
        step(Tensor(rows(1)).realize())


def test_tinygrad_finds_the_weights_and_nothing_else(net):
    net(rows(1))
    assert sum(int(np.prod(t.shape)) for t in get_parameters(net)) == 3 * 4 + 4 + 4 * 2 + 2
    assert len(get_parameters(net)) == 4


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_description_computes_what_the_network_does(activation):
    net = MLP(3, 2, [4], activation=activation, output_activation=None, layer_norm=True, seed=2)
    x = 3 * rows(3)
    np.testing.assert_allclose(net.forward(Tensor(x)).numpy(), expected(net, x), atol=2e-5)


def test_the_same_seed_gives_the_same_weights():
    one, two, other = (MLP(3, 2, [4], seed=s).get_parameters() for s in (1, 1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["layers.0.weight"], other["layers.0.weight"])
    assert np.abs(one["layers.0.weight"]).max() <= 1 / np.sqrt(3)
    drawn = []
    for seed in (5, 5, 6):
        Tensor.manual_seed(seed)
        drawn.append(MLP(3, 2, []).get_parameters()["layers.0.weight"])
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"obs_dim": 0}, InvalidValueError),
        ({"act_dim": 2.0}, DTypeError),
        ({"hidden": [4, 0]}, InvalidValueError),
        ({"hidden": 4}, DTypeError),
        ({"activation": "softmax"}, ConfigError),
        ({"output_activation": "__class__"}, ConfigError),
        ({"seed": -1}, InvalidValueError),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, error):
    with pytest.raises(error):
        MLP(**({"obs_dim": 3, "act_dim": 2, "hidden": [4]} | arguments))


def test_weights_go_out_and_in_as_arrays(net):
    one, two = MLP(3, 2, [4], seed=1), MLP(3, 2, [4], seed=2)
    target, source = one.get_parameters(), two.get_parameters()
    polyak_update(list(target.values()), list(source.values()), 0.25)
    one.set_parameters(target)
    want = 0.75 * net.get_parameters()["layers.0.weight"] + 0.25 * source["layers.0.weight"]
    np.testing.assert_allclose(one.get_parameters()["layers.0.weight"], want, atol=1e-6)
    flat = average_weight_vectors(
        [np.concatenate([v.ravel() for v in p.get_parameters().values()]) for p in (one, two)]
    )
    assert flat.shape == (26,)
    source["layers.0.weight"][:] = 9
    assert two.get_parameters()["layers.0.weight"].max() < 1


def test_weights_that_do_not_fit_change_nothing():
    net = MLP(3, 2, [4], seed=1)
    before = net.get_parameters()
    for change, error in [
        ({"layers.0.bias": np.zeros(5)}, ShapeError),
        ({"layers.9.bias": np.zeros(4)}, ConfigError),
        ({"layers.1.bias": np.array([0, np.inf])}, InvalidValueError),
        ({"layers.1.bias": ["a", "b"]}, DTypeError),
    ]:
        with pytest.raises(error, match="layers"):
            net.set_parameters({name: value + 1 for name, value in before.items()} | change)
        assert all(np.array_equal(before[name], value) for name, value in net.get_parameters().items())
    with pytest.raises(ConfigError, match="missing"):
        net.set_parameters({})


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


def test_policies_are_copied_and_pickled(net):
    net = MLP(3, 2, [4], seed=1)
    net.normalizer = ObservationNormalizer(3)
    net.normalizer.update(rows(5))
    x = rows(2)
    for found in (pickle.loads(pickle.dumps(net)), copy.deepcopy(JitPolicy(net))):
        np.testing.assert_array_equal(found(x).numpy(), net(x).numpy())


def test_a_normaliser_is_part_of_the_policy(tmp_path):
    net, x = MLP(3, 2, [4], seed=1), 5 * rows(6) + 2
    normalizer = ObservationNormalizer(3, clip=1.5)
    normalizer.update(x)
    want = expected(net, normalizer.normalize(x.astype(np.float64)))
    found = Policy.load(net.save(tmp_path / "walk", normalizer=normalizer))
    assert net.normalizer is None
    np.testing.assert_allclose(found(x).numpy(), want, atol=1e-5)
    np.testing.assert_allclose(found.forward(Tensor(x)).numpy(), expected(net, x), atol=1e-5)
    assert Policy.load(found.save(tmp_path / "again")).normalizer.to_dict() == found.normalizer.to_dict()
    net.normalizer = normalizer
    for i in range(3):
        normalizer.update(x + i)
        want = expected(net, normalizer.normalize(x.astype(np.float64)))
        np.testing.assert_allclose(net(x).numpy(), want, atol=1e-5)
    net.normalizer = None
    np.testing.assert_allclose(net(x).numpy(), expected(net, x), atol=1e-6)


def test_a_normaliser_that_does_not_fit_is_refused(net, tmp_path):
    with pytest.raises(ShapeError, match="3 numbers"):
        net.save(tmp_path / "walk", normalizer=ObservationNormalizer(4))
    with pytest.raises(DTypeError):
        net.normalizer = {"mean": 0}
    with pytest.raises(DTypeError):
        net.save(tmp_path / "walk", robot_config={"name": "go2"})
    assert not (tmp_path / "walk").exists()


def test_a_normaliser_without_a_limit_folds_into_the_first_layer():
    net, x = MLP(3, 2, [4], seed=1), 5 * rows(6) + 2
    normalizer = ObservationNormalizer(3, clip=None)
    normalizer.update(x)
    weights = net.get_parameters()
    w, b = normalizer.fold(weights["layers.0.weight"], weights["layers.0.bias"])
    want = expected(net, normalizer.normalize(x))
    net.set_parameters(weights | {"layers.0.weight": w, "layers.0.bias": b})
    np.testing.assert_allclose(net(x).numpy(), want, atol=1e-5)
    with pytest.raises(ConfigError, match="without a limit"):
        ObservationNormalizer(3).fold(w, b)


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


def test_tinygrads_own_copies_serve_where_memory_cannot_be_written(net, monkeypatch):
    monkeypatch.setattr(engine, "_DIRECT", False)
    batches = [rows(2) for _ in range(4)]
    results = [net(x) for x in batches]
    for result, x in zip(results, batches, strict=True):
        np.testing.assert_allclose(result.numpy(), expected(net, x), atol=1e-6)


def test_a_wrapper_shares_everything_with_the_policy_inside(tmp_path):
    net = MLP(3, 2, [4], seed=1)
    jit, x = JitPolicy(JitPolicy(net)), rows(2)
    assert jit.policy is net
    jit.normalizer = ObservationNormalizer(3)
    jit.normalizer.update(rows(9))
    np.testing.assert_array_equal(jit(x).numpy(), net(x).numpy())
    jit.set_parameters({name: value * 0 for name, value in net.get_parameters().items()})
    assert not net(x).numpy().any()
    found = Policy.load(jit.save(tmp_path / "walk", training_info={"a": 1}))
    assert type(found) is MLP
    assert found.normalizer.to_dict() == net.normalizer.to_dict()
    assert len(jit.parameters()) == 4
    with pytest.raises(DTypeError, match="expected a Policy"):
        JitPolicy(len)
