"""Policies to and from ONNX, checked with onnxruntime."""

import numpy as np
import pytest
from compiled_parts import recurrent, statistics
from test_mlp import ACTIVATIONS, random_network

from rfx.errors import CodecError, ConfigError
from rfx.nn.compiled import CompiledPolicy

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from rfx.nn.onnx_read import read_onnx  # noqa: E402
from rfx.nn.onnx_write import to_onnx  # noqa: E402

RNG = np.random.default_rng
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def run(data, obs):
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: obs})[0]


def compiled(data, **settings):
    layers, tensors, normalizer = read_onnx(data)
    return CompiledPolicy.from_layers(layers, tensors, normalizer=normalizer, **settings)


def model(nodes, constants, inputs=(("obs", 6),), outputs=("y",), opset=17):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, FLOAT, [1, n]) for name, n in inputs],
        [helper.make_tensor_value_info(name, FLOAT, ["m", "n"]) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return made.SerializeToString()


def both(data, n=6):
    obs = RNG(5).normal(size=(1, n)).astype(np.float32)
    return compiled(data)(obs), run(data, obs)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, ""])
def test_onnxruntime_computes_what_the_policy_computes_and_it_comes_back(activation, norm):
    layers, tensors = random_network(RNG(1), (11, 20, 9, 4), activation, norm)
    policy = CompiledPolicy.from_layers(layers, tensors, normalizer=statistics(11))
    obs = RNG(2).normal(size=(50, 11)).astype(np.float32)
    data = to_onnx(policy)
    np.testing.assert_allclose(run(data, obs), policy(obs), atol=1e-5)
    again = compiled(data)
    assert [layer["type"] for layer in again.layers] == [layer["type"] for layer in layers]
    np.testing.assert_allclose(again(obs), policy(obs), atol=1e-5)


def test_scaled_and_clipped_actions_are_in_the_file(tmp_path):
    layers, tensors = random_network(RNG(1), (6, 20, 4))
    policy = CompiledPolicy.from_layers(
        layers, tensors, action_clip=0.3, action_scale=[1, 2, 3, 4], action_offset=0.1, normalizer=statistics(6, None)
    )
    obs = RNG(2).normal(size=(50, 6)).astype(np.float32)
    data = to_onnx(policy, tmp_path / "policy.onnx")
    assert (tmp_path / "policy.onnx").read_bytes() == data
    np.testing.assert_allclose(run(data, obs), policy(obs), atol=1e-5)


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
def test_a_policy_with_history_takes_the_whole_stack_and_its_normaliser_is_repeated(order):
    layers, tensors = random_network(RNG(1), (12, 20, 4))
    policy = CompiledPolicy.from_layers(
        layers, tensors, history=2, history_order=order, history_terms=(2, 4), normalizer=statistics(6)
    )
    obs = RNG(2).normal(size=(50, 12)).astype(np.float32)
    np.testing.assert_allclose(run(to_onnx(policy), obs), policy(obs), atol=1e-5)


def test_a_recurrent_policy_is_refused():
    with pytest.raises(ConfigError, match="recurrent"):
        to_onnx(recurrent())


# -- what others write

W, B = RNG(3).normal(size=(4, 6)).astype(np.float32), RNG(4).normal(size=4).astype(np.float32)


def test_products_and_sums_are_layers():
    nodes = [helper.make_node("MatMul", ["obs", "w"], ["a"]), helper.make_node("Add", ["b", "a"], ["y"])]
    ours, theirs = both(model(nodes, {"w": W.T, "b": B}))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_with_factors_is_a_layer(transposed):
    nodes = [helper.make_node("Gemm", ["obs", "w", "b"], ["y"], transB=transposed, alpha=0.5, beta=2.0)]
    ours, theirs = both(model(nodes, {"w": W if transposed else W.T, "b": B}))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_normaliser_in_front_becomes_one_and_its_constants_are_computed():
    nodes = [
        helper.make_node("Sub", ["obs", "mean"], ["a"]),
        helper.make_node("Add", ["std", "eps"], ["divisor"]),
        helper.make_node("Div", ["a", "divisor"], ["n"]),
        helper.make_node("Clip", ["n", "low", "high"], ["c"]),
        helper.make_node("Gemm", ["c", "w", "b"], ["y"], transB=1),
    ]
    numbers = {"mean": RNG(0).normal(size=(1, 6)), "std": RNG(1).uniform(0.5, 2, (1, 6)), "eps": 0.01}
    data = model(nodes, {**numbers, "low": -1.0, "high": 1.0, "w": W, "b": B})
    ours, theirs = both(data)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    normalizer = read_onnx(data)[2]
    np.testing.assert_allclose(normalizer["mean"], numbers["mean"][0], rtol=1e-6)
    assert normalizer["clip"] == 1.0


def test_arithmetic_between_and_behind_layers_is_folded_in():
    nodes = [
        helper.make_node("Gemm", ["obs", "w", "b"], ["a"], transB=1),
        helper.make_node("Mul", ["two", "a"], ["m"]),
        helper.make_node("Tanh", ["m"], ["t"]),
        helper.make_node("Sub", ["one", "t"], ["s"]),
        helper.make_node("Div", ["s", "half"], ["y"]),
    ]
    ours, theirs = both(model(nodes, {"w": W, "b": B, "two": [[1, 2, 3, 4]], "one": 1.0, "half": [0.5] * 4}))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_other_outputs_and_shaping_are_passed_over():
    nodes = [
        helper.make_node("Flatten", ["obs"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["value"], transB=1),
        helper.make_node("Gemm", ["f", "w", "b"], ["a"], transB=1),
        helper.make_node("Identity", ["a"], ["y"]),
    ]
    data = model(nodes[:1] + nodes[2:], {"w": W, "b": B})
    ours, theirs = both(data)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "inputs", "word"),
    [
        ([helper.make_node("Softmax", ["obs"], ["y"])], (("obs", 6),), "Softmax"),
        ([helper.make_node("Elu", ["obs"], ["y"], alpha=0.5)], (("obs", 6),), "Elu"),
        ([helper.make_node("Add", ["obs", "h"], ["y"])], (("obs", 6), ("h", 6)), "one input"),
        (
            [helper.make_node("Tanh", ["obs"], ["a"]), helper.make_node("Add", ["a", "obs"], ["y"])],
            (("obs", 6),), "branch|chain",
        ),
        ([helper.make_node("Gemm", ["obs", "w"], ["a"], transB=1), helper.make_node("Clip", ["a", "l", "l"], ["y"])],
         (("obs", 6),), "Clip"),
        ([helper.make_node("Div", ["l", "obs"], ["y"])], (("obs", 6),), "division"),
    ],
)  # fmt: skip
def test_what_no_layers_describe_is_refused_by_name(nodes, inputs, word):
    with pytest.raises(ConfigError, match=word):
        read_onnx(model(nodes, {"w": W, "l": 1.0}, inputs))


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x08" + bytes(50)])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(CodecError):
        read_onnx(data)


def test_a_truncated_model_is_refused_or_read_as_what_is_left():
    layers, tensors = random_network(RNG(1), (6, 8, 4))
    data = to_onnx(CompiledPolicy.from_layers(layers, tensors))
    for end in range(0, len(data), 37):
        with pytest.raises((CodecError, ConfigError)):
            read_onnx(data[:end])
