"""Policies: calls, shapes, weights and normalisers."""

import copy
import pickle

import numpy as np
import pytest
import tinygrad_here  # noqa: F401
from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import Linear
from tinygrad.nn.optim import SGD
from tinygrad.nn.state import get_parameters

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.estimators import average_weight_vectors, polyak_update
from rfx.nn import (
    MLP,
    JitPolicy,
    ObservationNormalizer,
    Policy,
    calls,
    engine,
)
from rfx.nn.layers import ACTIVATIONS, run_layers

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
    again = Policy.load(found.save(tmp_path / "again"))
    np.testing.assert_allclose(again.normalizer.var, normalizer.var, rtol=1e-14)
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


def test_tinygrads_own_copies_serve_where_memory_cannot_be_written(net, monkeypatch):
    monkeypatch.setattr(engine, "_direct", lambda: False)
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
    np.testing.assert_allclose(found.normalizer.var, net.normalizer.var, rtol=1e-14)
    np.testing.assert_array_equal(found.normalizer.mean, net.normalizer.mean)
    assert len(jit.parameters()) == 4
    with pytest.raises(DTypeError, match="expected a Policy"):
        JitPolicy(len)


def test_another_limit_shows_at_once():
    net, x = MLP(3, 2, [], seed=1), 9 * rows(4)
    for clip in (5.0, 0.5, None):
        net.normalizer = ObservationNormalizer(3, clip=clip)
        for _ in range(3):
            found = net(x).numpy()
        np.testing.assert_allclose(found, expected(net, net.normalizer.normalize(x.astype(np.float64))), atol=1e-5)
