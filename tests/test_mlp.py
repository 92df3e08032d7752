"""rfx.kernels.mlp through rfx.nn.compiled, against numpy in float64 and, where it is installed, onnxruntime."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.nn.compiled import CompiledPolicy
from rfx.nn.layers import run_layers

ACTIVATIONS = ("tanh", "relu", "elu", "silu", "sigmoid", "leaky_relu")


def random_network(rng, widths, activation="tanh", norm=False, bias=True):
    layers, tensors = [], {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors[f"w{i}"] = (rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)
        layer = {"type": "linear", "weight": f"w{i}"}
        if bias:
            tensors[f"b{i}"] = rng.normal(scale=0.3, size=outputs).astype(np.float32)
            layer["bias"] = f"b{i}"
        layers.append(layer)
        if norm:
            tensors[f"g{i}"] = rng.uniform(0.5, 1.5, size=outputs).astype(np.float32)
            tensors[f"h{i}"] = rng.normal(scale=0.1, size=outputs).astype(np.float32)
            layers.append({"type": "layer_norm", "weight": f"g{i}", "bias": f"h{i}", "eps": 1e-5})
        if activation:
            layers.append({"type": activation})
    return layers, tensors


def oracle(layers, tensors, obs, state=None):
    """The layers in numpy, in float64."""
    doubles = {name: value.astype(np.float64) for name, value in tensors.items()}
    return run_layers(layers, doubles, np.asarray(obs, np.float64), state)


def alone(name, n):
    """A network of n numbers that is nothing but one activation."""
    return [{"type": "linear", "weight": "w"}, {"type": name}], {"w": np.eye(n, dtype=np.float32)}


def activation_of(name, x):
    return CompiledPolicy.from_layers(*alone(name, len(x)))(x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_within_a_few_units_of_its_last_place(name):
    x = np.concatenate([np.linspace(-12, 12, 1201), np.geomspace(1e-30, 80, 500), -np.geomspace(1e-30, 80, 500)])
    x = x.astype(np.float32)
    exact = oracle(*alone(name, len(x)), [x])[0][0]
    if name == "silu":  # the oracle's own sigmoid loses all of its digits far below 0
        exact = x.astype(np.float64) / (1.0 + np.exp(-x.astype(np.float64)))
    if name == "sigmoid":
        exact = 1.0 / (1.0 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(activation_of(name, x), exact, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_huge_numbers_is_finite_where_it_should_be(name):
    x = np.array([-3e38, -1e4, -90.0, 0.0, 90.0, 1e4, 3e38], np.float32)
    y = activation_of(name, x)
    assert np.isfinite(y).all()
    limits = {"tanh": (-1, 1), "sigmoid": (0, 1), "elu": (-1, 3e38), "silu": (0, 3e38), "relu": (0, 3e38)}
    low, high = limits.get(name, (-3e36, 3e38))
    np.testing.assert_allclose([y[0], y[-1]], [low, high], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", [*ACTIVATIONS, ""])
def test_a_network_agrees_with_numpy_in_float64(name, norm):
    rng = np.random.default_rng(len(name))
    layers, tensors = random_network(rng, (48, 70, 33, 12), name, norm)
    obs = rng.normal(size=(200, 48)).astype(np.float32)
    np.testing.assert_allclose(
        CompiledPolicy.from_layers(layers, tensors)(obs), oracle(layers, tensors, obs)[0], atol=5e-6
    )


def test_twenty_thousand_observations_agree_with_numpy_to_a_hundred_thousandth():
    rng = np.random.default_rng(5)
    layers, tensors = random_network(rng, (48, 256, 256, 12))
    obs = rng.normal(size=(20_000, 48)).astype(np.float32)
    ours = CompiledPolicy.from_layers(layers, tensors)(obs)
    assert np.abs(ours - oracle(layers, tensors, obs)[0]).max() < 1e-5


@settings(deadline=None, max_examples=40)
@given(
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    name=st.sampled_from([*ACTIVATIONS, ""]),
    rows=st.integers(1, 9),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_widths_agree_with_numpy_and_a_row_alone_gives_the_bytes_it_gives_in_a_batch(
    widths, name, rows, bias, seed
):
    rng = np.random.default_rng(seed)
    layers, tensors = random_network(rng, widths, name, bias=bias)
    policy = CompiledPolicy.from_layers(layers, tensors)
    obs = rng.normal(size=(rows, widths[0])).astype(np.float32)
    batch = policy(obs)
    np.testing.assert_allclose(batch, oracle(layers, tensors, obs)[0], atol=1e-5)
    assert np.array_equal(batch, [policy(row) for row in obs])


def test_wide_layers_are_taken_row_by_row_with_the_same_result():
    rng = np.random.default_rng(0)
    layers, tensors = random_network(rng, (10, 3000, 4))
    obs = rng.normal(size=(6, 10)).astype(np.float32)
    np.testing.assert_allclose(
        CompiledPolicy.from_layers(layers, tensors)(obs), oracle(layers, tensors, obs)[0], atol=1e-5
    )


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_recurrent_layer_agrees_with_numpy_step_by_step(kind, bias):
    rng = np.random.default_rng(2)
    hidden, gates = 21, {"lstm": 4, "gru": 3}[kind]
    shapes = {"weight_ih": (gates * hidden, 9), "weight_hh": (gates * hidden, hidden)}
    if bias:
        shapes |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
    tensors = {name: rng.normal(scale=0.4, size=shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["out"] = rng.normal(scale=0.2, size=(4, hidden)).astype(np.float32)
    layers = [{"type": kind, **{name: name for name in shapes}}, {"type": "linear", "weight": "out"}, {"type": "tanh"}]
    policy = CompiledPolicy.from_layers(layers, tensors)
    state = None
    for _ in range(50):
        obs = rng.normal(size=9).astype(np.float32)
        wanted, state = oracle(layers, tensors, [obs], state)
        np.testing.assert_allclose(policy(obs), wanted[0], atol=2e-6)


def test_two_recurrent_layers_keep_their_states_apart():
    rng = np.random.default_rng(4)
    tensors = {
        "a": rng.normal(scale=0.4, size=(4 * 5, 3)), "b": rng.normal(scale=0.4, size=(4 * 5, 5)),
        "c": rng.normal(scale=0.4, size=(3 * 18, 5)), "d": rng.normal(scale=0.4, size=(3 * 18, 18)),
    }  # fmt: skip
    layers = [
        {"type": "lstm", "weight_ih": "a", "weight_hh": "b"},
        {"type": "gru", "weight_ih": "c", "weight_hh": "d"},
    ]
    policy, state = CompiledPolicy.from_layers(layers, tensors), None
    for _ in range(10):
        obs = rng.normal(size=3).astype(np.float32)
        wanted, state = oracle(layers, tensors, [obs], state)
        np.testing.assert_allclose(policy(obs), wanted[0], atol=2e-6)


def test_a_network_agrees_with_onnxruntime():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    bench = pytest.importorskip("bench_policy")
    layers, tensors = bench.network()
    obs = np.random.default_rng(3).normal(size=(1000, 48)).astype(np.float32)
    np.testing.assert_allclose(
        CompiledPolicy.from_layers(layers, tensors)(obs), bench.onnx_policy(tensors, 1)(obs), atol=3e-6
    )
