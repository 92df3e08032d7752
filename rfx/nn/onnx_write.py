"""From a compiled policy to an ONNX file: the same network, normaliser and action scaling included."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from rfx._version import __version__
from rfx.errors import ConfigError, DTypeError
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.compiled_plan import action_rows, gather_of
from rfx.nn.files import check_normalizer
from rfx.nn.onnx_read import onnx_module

OPSET = 17  # the first with LayerNormalization
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu", "sigmoid": "Sigmoid", "leaky_relu": "LeakyRelu"}


class _Graph:
    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.now = "obs"

    def constant(self, value: Any) -> str:
        """Keep numbers and return their name."""
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(value, np.float32, order="C"), name))
        return name

    def node(self, kind: str, *values: Any, **attributes: Any) -> None:
        """Append a node on what the chain has come to and on constants."""
        names = [value if isinstance(value, str) else self.constant(value) for value in values]
        out = f"x{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, [self.now, *names], [out], **attributes))
        self.now = out


def to_onnx(policy: Any, path: str | os.PathLike[str] | None = None) -> bytes:
    """Return a policy as an ONNX model, and write it to a file if one is named.

    Parameters
    ----------
    policy : CompiledPolicy or Policy
        Without recurrent layers. With a history the input is the whole stack, (n, input_dim).
    path : path, optional

    Returns
    -------
    bytes
        Input ``obs`` (n, input_dim), output ``actions`` (n, act_dim), float32, opset 17.

    Raises
    ------
    MissingDependencyError
        No package ``onnx``.
    ConfigError
        A recurrent policy, or one that cannot be compiled.
    """
    onnx = onnx_module()
    compiled = policy if isinstance(policy, CompiledPolicy) else CompiledPolicy.from_policy(policy)
    if compiled.recurrent:
        raise ConfigError("expected a policy without recurrent layers: those cannot be written as ONNX here")
    graph, tensors, settings = _Graph(onnx), compiled.tensors, compiled.settings
    if settings["normalizer"] is not None:
        _normaliser(graph, compiled, settings)
    for layer in compiled.layers:
        kind = layer["type"]
        if kind == "linear":
            weight = tensors[layer["weight"]]
            bias = np.zeros(len(weight)) if layer.get("bias") is None else tensors[layer["bias"]]
            graph.node("Gemm", weight, bias, transB=1)
        elif kind == "layer_norm":
            width = tensors[layer["weight"]].size if layer.get("weight") is not None else _width(graph)
            gain = np.ones(width) if layer.get("weight") is None else tensors[layer["weight"]]
            bias = np.zeros(width) if layer.get("bias") is None else tensors[layer["bias"]]
            graph.node("LayerNormalization", gain, bias, epsilon=float(layer.get("eps", 1e-5)))
        elif kind == "silu":
            before = graph.now
            graph.node("Sigmoid")
            graph.node("Mul", before)
        else:
            graph.node(_ACTIVATIONS[kind])
    rows = action_rows(
        settings["action_scale"], settings["action_offset"], settings["action_clip"], compiled.act_dim
    ) or []  # fmt: skip
    for i in range(0, len(rows), 6):
        _, _, factor, offset, low, high = (row[: compiled.act_dim] for row in rows[i : i + 6])
        if np.isfinite([low, high]).any():
            graph.node("Max", low)
            graph.node("Min", high)
        else:
            graph.node("Mul", factor)
            graph.node("Add", offset)
    data: bytes = _model(onnx, graph, compiled).SerializeToString()
    if path is not None:
        Path(path).write_bytes(data)
    return data


def _width(graph: _Graph) -> int:
    """How wide the chain is: as wide as the bias of the last Gemm."""
    for node in reversed(graph.nodes):
        if node.op_type == "Gemm":
            (bias,) = [c for c in graph.constants if c.name == node.input[2]]
            return int(bias.dims[0])
    raise DTypeError("expected a layer norm behind a linear layer, or one with a weight")


def _normaliser(graph: _Graph, policy: CompiledPolicy, settings: dict[str, Any]) -> None:
    statistics = check_normalizer({"count": 0.0, **settings["normalizer"]})
    mean, divisor = np.array(statistics["mean"]), np.sqrt(np.array(statistics["var"]) + statistics["epsilon"])
    if len(mean) != policy.input_dim:
        stack = (settings["history"], settings["history_order"], settings["history_terms"])
        _, place = gather_of(policy.obs_dim, *stack)
        mean, divisor = mean[place], divisor[place]
    graph.node("Sub", mean)
    graph.node("Div", divisor)
    if statistics["clip"] is not None:
        graph.node("Clip", np.float32(-statistics["clip"]), np.float32(statistics["clip"]))


def _model(onnx: Any, graph: _Graph, policy: CompiledPolicy) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph.nodes.append(helper.make_node("Identity", [graph.now], ["actions"]))
    whole = helper.make_graph(
        graph.nodes,
        "policy",
        [helper.make_tensor_value_info("obs", kind, ["n", policy.input_dim])],
        [helper.make_tensor_value_info("actions", kind, ["n", policy.act_dim])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        whole, opset_imports=opset, ir_version=8, producer_name="rfx", producer_version=__version__
    )
    onnx.checker.check_model(model)
    return model
