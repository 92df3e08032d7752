"""A network as plain data: a list of layers that name their tensors, checked, and computed in numpy.

This is the slow and obvious reading of the ``layers`` of a policy file (docs/policy_files.md), the oracle of the
others. It needs numpy only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, ShapeError

Array = NDArray[Any]
State = list[tuple[Array, ...]]


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))`` without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * x))).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x).astype(x.dtype),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))).astype(x.dtype),
    "silu": lambda x: x * sigmoid(x),
    "sigmoid": sigmoid,
}

# type of a layer -> the keys it has to have, and those it may have
_TENSORS = {
    "linear": (("weight",), ("bias",)),
    "layer_norm": ((), ("weight", "bias")),
    "lstm": (("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")),
    "gru": (("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")),
}
_GATES = {"lstm": 4, "gru": 3}


def _tensor(layer: Mapping[str, Any], key: str, tensors: Mapping[str, Array], place: str) -> Array | None:
    name = layer.get(key)
    if name is None:
        return None
    if not isinstance(name, str) or name not in tensors:
        raise ConfigError(f"{place}: expected {key} to name a tensor, got {name!r}; there are {sorted(tensors)}")
    if tensors[name].dtype.kind != "f":
        raise ConfigError(f"{place}: expected tensor {name!r} to hold floats, got {tensors[name].dtype}")
    return tensors[name]


def _expect(array: Array | None, shape: tuple[int | None, ...], name: str) -> None:
    if array is not None and not (
        array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape, strict=True))
    ):
        raise ShapeError(f"expected {name} of shape {arrays.describe(shape)}, got {array.shape}")


def _check_layer(layer: Any, tensors: Mapping[str, Array], width: int | None, place: str) -> int | None:
    """Return the width after this layer; ``width`` is the one before it, None where no layer has told it yet."""
    if not isinstance(layer, Mapping) or not isinstance(layer.get("type"), str):
        raise ConfigError(f"{place}: expected a layer as an object with a type, got {layer!r:.80}")
    kind = layer["type"]
    if kind in ACTIVATIONS:
        required: tuple[str, ...] = ()
        optional: tuple[str, ...] = ()
    elif kind in _TENSORS:
        required, optional = _TENSORS[kind]
    else:
        known = sorted({*ACTIVATIONS, *_TENSORS})
        raise ConfigError(f"{place}: unknown type of layer {kind!r:.80}; known are {known}")
    extra = sorted(set(layer) - {"type", *required, *optional, *(("eps",) if kind == "layer_norm" else ())})
    if extra:
        raise ConfigError(f"{place}: unknown keys of a {kind}: {extra}")
    found = {key: _tensor(layer, key, tensors, place) for key in (*required, *optional)}
    for key in required:
        if found[key] is None:
            raise ConfigError(f"{place}: a {kind} needs {key}")
    if kind in ACTIVATIONS:
        return width
    if kind == "layer_norm":
        arrays.number(layer.get("eps", 1e-5), f"{place}: eps", above=0)
        for key in optional:
            if found[key] is not None and width is None:
                width = found[key].shape[-1] if found[key].ndim else 0  # type: ignore[union-attr]
            _expect(found[key], (width,), f"{place}: {key}")
        return width
    if kind == "linear":
        _expect(found["weight"], (None, width), f"{place}: weight")
        out: int = found["weight"].shape[0]  # type: ignore[union-attr]
        _expect(found["bias"], (out,), f"{place}: bias")
        return out
    _expect(found["weight_hh"], (None, None), f"{place}: weight_hh")
    hidden: int = found["weight_hh"].shape[1]  # type: ignore[union-attr]
    rows = _GATES[kind] * hidden
    _expect(found["weight_hh"], (rows, hidden), f"{place}: weight_hh")
    _expect(found["weight_ih"], (rows, width), f"{place}: weight_ih")
    for key in optional:
        _expect(found[key], (rows,), f"{place}: {key}")
    return hidden


def check_layers(layers: Any, tensors: Mapping[str, Array]) -> tuple[int, int]:
    """Return (obs_dim, act_dim) of a network whose layers fit each other and their tensors.

    Raises
    ------
    ConfigError
        Not a list of layers; an unknown type or key; a tensor that does not exist.
    ShapeError
        A tensor does not fit the layer before it.
    """
    if not isinstance(layers, Sequence) or isinstance(layers, (str, bytes)) or not layers:
        raise ConfigError(f"expected layers as a list of at least one layer, got {layers!r:.80}")
    width: int | None = None
    first: int | None = None
    for i, layer in enumerate(layers):
        after = _check_layer(layer, tensors, width, f"layers[{i}]")
        if first is None and after is not None:
            key = {"linear": "weight", "lstm": "weight_ih", "gru": "weight_ih"}.get(layer["type"])
            first = after if key is None else tensors[layer[key]].shape[1]
        width = after
    if first is None or width is None or not first or not width:
        raise ConfigError("expected layers that tell the number of observations and actions, both at least 1")
    return first, width


def initial_state(layers: Sequence[Mapping[str, Any]], tensors: Mapping[str, Array], batch: int) -> State:
    """Return the zeros that the recurrent layers start from: per LSTM (h, c), per GRU (h,), each (batch, hidden)."""
    state: State = []
    for layer in layers:
        if layer["type"] in _GATES:
            weight = tensors[layer["weight_hh"]]
            copies = 2 if layer["type"] == "lstm" else 1
            state.append(tuple(np.zeros((batch, weight.shape[1]), weight.dtype) for _ in range(copies)))
    return state


def _recurrent(layer: Mapping[str, Any], x: Array, state: tuple[Array, ...], tensors: Mapping[str, Array]) -> Any:
    def bias(key: str) -> Any:
        return 0 if layer.get(key) is None else tensors[layer[key]]

    h = state[0]
    into = x @ tensors[layer["weight_ih"]].T + bias("bias_ih")
    back = h @ tensors[layer["weight_hh"]].T + bias("bias_hh")
    if layer["type"] == "lstm":  # rows of the weights: input, forget, cell, output
        i, f, g, o = np.split(into + back, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    (ir, iz, ic), (br, bz, bc) = np.split(into, 3, axis=-1), np.split(back, 3, axis=-1)  # reset, update, candidate
    z = sigmoid(iz + bz)
    return ((1 - z) * np.tanh(ic + sigmoid(ir + br) * bc) + z * h,)


def run_layers(
    layers: Sequence[Mapping[str, Any]], tensors: Mapping[str, Array], obs: ArrayLike, state: State | None = None
) -> tuple[Array, State]:
    """Return the actions (B, act_dim) for observations (B, obs_dim), and the state after them.

    Parameters
    ----------
    layers, tensors
        As :func:`check_layers` accepts them.
    obs : array_like, shape (B, obs_dim)
        Normalised already, where the file has a normaliser.
    state : list, optional
        What the last call returned; zeros to start.

    Raises
    ------
    ShapeError
        Observations of another shape.
    """
    obs_dim, _ = check_layers(layers, tensors)
    x: Array = np.asarray(arrays.floats(obs, "obs", (None, obs_dim)))
    before = initial_state(layers, tensors, len(x)) if state is None else state
    after: State = []
    for layer in layers:
        kind = layer["type"]
        if kind in ACTIVATIONS:
            x = ACTIVATIONS[kind](x)
        elif kind == "linear":
            x = x @ tensors[layer["weight"]].T
            if layer.get("bias") is not None:
                x = x + tensors[layer["bias"]]
        elif kind == "layer_norm":
            centred = x - x.mean(axis=-1, keepdims=True)
            x = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.get("eps", 1e-5))
            if layer.get("weight") is not None:
                x = x * tensors[layer["weight"]]
            if layer.get("bias") is not None:
                x = x + tensors[layer["bias"]]
        else:
            after.append(_recurrent(layer, x, before[len(after)], tensors))
            x = after[-1][0]
    return x, after
