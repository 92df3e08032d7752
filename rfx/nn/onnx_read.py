"""From an ONNX file to the layers of a policy file: chains of linear layers, activations and normalisation."""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import CodecError, ConfigError, MissingDependencyError

Array = NDArray[Any]
Network = tuple[list[dict[str, Any]], dict[str, Array], dict[str, Any] | None]

_ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid"}
_NOTHING = {"Identity", "Dropout", "Cast"}
_SHAPING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}


def onnx_module() -> Any:
    """Return the package ``onnx``; MissingDependencyError without it."""
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingDependencyError(f"ONNX files need the package onnx: pip install onnx ({error})") from error


class _Chain:
    """What has been read of a network: layers, and an affine map ``x * scale + shift`` that no layer holds yet."""

    def __init__(self, width: int | None) -> None:
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, Array] = {}
        self.normalizer: dict[str, Any] | None = None
        self.width = width
        self.pending: tuple[Array, Array] | None = None

    def affine(self, scale: Array | float, shift: Array | float) -> None:
        """x becomes x * scale + shift; a linear layer right before takes it in."""
        last = self.layers[-1] if self.layers else None
        if last is not None and last["type"] == "linear":
            weight, bias = self.tensors[last["weight"]], self.tensors[last["bias"]]
            self.tensors[last["weight"]] = weight * np.broadcast_to(scale, bias.shape)[:, None]
            self.tensors[last["bias"]] = bias * scale + shift
            return
        before = (np.ones(1), np.zeros(1)) if self.pending is None else self.pending
        self.pending = (before[0] * scale, before[1] * scale + shift)

    def linear(self, weight: Array, bias: Array) -> None:
        """Append a layer, weight (out, in), with what comes before it folded in."""
        if self.pending is not None and self.layers:
            scale, shift = (np.broadcast_to(row, weight.shape[1:]) for row in self.pending)
            weight, bias, self.pending = weight * scale, bias + weight @ shift, None
        elif self.pending is not None:
            self._normalise(self.pending, weight.shape[1], None)
        name = f"layers.{sum(layer['type'] == 'linear' for layer in self.layers)}"
        self.tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
        self.layers.append({"type": "linear", "weight": f"{name}.weight", "bias": f"{name}.bias"})
        self.width = len(weight)

    def _normalise(self, affine: tuple[Array, Array], width: int, clip: float | None) -> None:
        """What comes before the first layer is a normaliser."""
        scale, shift = (np.broadcast_to(row, (width,)) for row in affine)
        if not (scale > 0).all():
            raise ConfigError("expected a normaliser that divides by positive numbers")
        var = 1.0 / scale**2
        epsilon = min(1e-8, 0.5 * float(var.min()))
        mean = -shift / scale
        self.normalizer = {
            "mean": mean.tolist(), "var": (var - epsilon).tolist(), "epsilon": epsilon, "clip": clip, "count": 0.0,
        }  # fmt: skip
        self.pending = None

    def clip(self, low: float, high: float) -> None:
        """A clip behind a normaliser is part of it; anywhere else nothing describes it."""
        if self.layers or self.normalizer is not None or self.width is None or low != -high:
            raise ConfigError(f"a Clip to [{low:g}, {high:g}] that is not the end of a normaliser cannot be described")
        self._normalise(self.pending or (np.ones(1), np.zeros(1)), self.width, float(high))

    def settle(self) -> None:
        """Make a layer of an affine map that is left over."""
        if self.pending is not None:
            if self.width is None:
                raise ConfigError("expected a network that tells its widths")
            scale, shift = (np.broadcast_to(row, (self.width,)) for row in self.pending)
            self.pending = None
            self.linear(np.diag(scale), np.array(shift))

    def activate(self, name: str) -> None:
        """Append a layer without numbers."""
        self.settle()
        self.layers.append({"type": name})


def _attributes(onnx: Any, node: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _opened(onnx: Any, source: str | os.PathLike[str] | bytes) -> Any:
    what = "data" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # the parser has errors of its own, of several libraries
        raise CodecError(f"{what} is no ONNX model: {str(error).splitlines()[0] if str(error) else error!r}") from None
    if any(t.external_data for t in model.graph.initializer):
        raise CodecError(f"{what} keeps its weights in other files; save it as one file")
    return model


def read_onnx(source: str | os.PathLike[str] | bytes) -> Network:
    """Return (layers, tensors, normalizer) of an ONNX model, as a policy file holds them.

    Parameters
    ----------
    source : path or bytes

    Raises
    ------
    MissingDependencyError
        No package ``onnx``.
    CodecError
        Not an ONNX model, or one that keeps weights in other files.
    ConfigError
        Not a chain from one input: several inputs, branches, or an operator that no layer stands for; the message names it.
    """
    onnx = onnx_module()
    graph = _opened(onnx, source).graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ConfigError(f"expected a network with one input, got {[value.name for value in inputs]}")
    sizes = inputs[0].type.tensor_type.shape.dim
    chain = _Chain(sizes[-1].dim_value or None if len(sizes) else None)
    now, gate = inputs[0].name, None  # the value that the chain has come to, and its sigmoid if a product may follow
    for node in graph.node:
        attributes, names = _attributes(onnx, node), [n for n in node.input if n]
        if all(name in constants for name in names):
            _fold(onnx, node, names, constants)
        elif gate is not None and node.op_type == "Mul" and set(names) == {now, gate}:
            chain.activate("silu")
            now, gate = node.output[0], None
        elif node.op_type == "Sigmoid" and names == [now] and _feeds_product(graph, now, node.output[0]):
            gate = node.output[0]
        elif now in names and all(name == now or name in constants for name in names):
            given = [None if name == now else constants[name] for name in node.input if name]
            _step(chain, node.op_type, attributes, given)
            now = node.output[0]
        elif not set(names) & {now, gate}:
            continue  # feeds another output
        else:
            raise ConfigError(f"expected a chain of layers, got a branch at {node.op_type} {node.name!r}")
        if now == graph.output[0].name:
            break
    if now != graph.output[0].name:
        raise ConfigError(f"expected a chain of layers from {inputs[0].name!r} to {graph.output[0].name!r}")
    chain.settle()
    tensors = {name: np.array(value, np.float32) for name, value in chain.tensors.items()}
    return chain.layers, tensors, chain.normalizer


def _feeds_product(graph: Any, now: str, sigmoid: str) -> bool:
    return any(n.op_type == "Mul" and set(n.input) == {now, sigmoid} for n in graph.node)


def _fold(onnx: Any, node: Any, names: list[str], constants: dict[str, Array]) -> None:
    """Compute a node whose inputs are all constants."""
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(node)
    results = evaluator.run(None, {name: constants[name] for name in names})
    constants |= dict(zip(node.output, results, strict=False))


def _step(chain: _Chain, kind: str, attributes: dict[str, Any], given: list[Array | None]) -> None:
    """Add one node of the chain; ``given`` are its inputs, None for what comes along the chain."""
    others = [np.asarray(x, np.float64) for x in given if x is not None]
    first = given[0] is None
    if kind == "Gemm" and first and not attributes.get("transA"):
        weight = others[0] if attributes.get("transB") else others[0].T
        bias = others[1] if len(others) > 1 else np.zeros(len(weight))
        scaled = np.broadcast_to(bias * attributes.get("beta", 1.0), (len(weight),))
        chain.linear(weight * attributes.get("alpha", 1.0), np.array(scaled))
    elif kind == "MatMul" and first and others[0].ndim == 2:
        chain.linear(others[0].T, np.zeros(others[0].shape[1]))
    elif (
        kind in ("Add", "Sub", "Mul", "Div")
        and len(others) == 1
        and others[0].size in (1, max(others[0].shape, default=1))
    ):
        _arithmetic(chain, kind, others[0].reshape(-1), first)
    elif kind == "Clip":
        low, high = (x.item() if x.size == 1 else np.nan for x in (*others, np.array([]), np.array([]))[:2])
        chain.clip(attributes.get("min", low), attributes.get("max", high))
    elif kind in _ACTIVATIONS:
        chain.activate(_ACTIVATIONS[kind])
    elif kind == "Elu" and attributes.get("alpha", 1.0) == 1.0:
        chain.activate("elu")
    elif kind == "LeakyRelu" and abs(attributes.get("alpha", 0.01) - 0.01) < 1e-7:
        chain.activate("leaky_relu")
    elif kind == "LayerNormalization" and first and attributes.get("axis", -1) in (-1, 1):
        chain.settle()
        name = f"norms.{sum(layer['type'] == 'layer_norm' for layer in chain.layers)}"
        layer: dict[str, Any] = {"type": "layer_norm", "eps": attributes.get("epsilon", 1e-5)}
        for key, value in zip(("weight", "bias"), others, strict=False):
            chain.tensors[f"{name}.{key}"] = layer[key] = value
            layer[key] = f"{name}.{key}"
        chain.layers.append(layer)
    elif kind not in _NOTHING and not (kind in _SHAPING and first):
        numbers = {k: v for k, v in attributes.items() if isinstance(v, (int, float))}
        raise ConfigError(f"expected operators of a feed-forward policy, got {kind} {numbers or ''}".rstrip())


def _arithmetic(chain: _Chain, kind: str, value: Array, first: bool) -> None:
    number = value if value.size > 1 else value[0]
    if kind == "Add":
        chain.affine(1.0, number)
    elif kind == "Mul":
        chain.affine(number, 0.0)
    elif kind == "Sub":
        chain.affine(*((1.0, -number) if first else (-1.0, number)))
    elif first and np.all(number != 0):
        chain.affine(1.0 / number, 0.0)
    else:
        raise ConfigError("expected a division by constants other than 0")
