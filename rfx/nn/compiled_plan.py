"""From the layers of a policy to what the kernel works off: a list of steps and one block of padded float32 numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.nn.files import check_normalizer
from rfx.nn.layers import check_layers

LANES = 16  # MLP_LANES of rfx/kernels/mlp.pxd
WIDEST = 4096
KINDS = ("linear", "layer_norm", "affine", "lstm", "gru")  # in the order of StepKind
ACTIVATIONS = ("", "tanh", "relu", "elu", "silu", "sigmoid", "leaky_relu")  # in the order of Activation
_GATES = {"lstm": 4, "gru": 3}

Array = NDArray[Any]


def padded(n: int) -> int:
    """Return the next whole number of lanes."""
    return -(-n // LANES) * LANES


@dataclass
class Plan:
    """Steps as tuples (kind, activation, inputs, width, eps, offset into ``block``)."""

    input_dim: int
    act_dim: int = 0
    steps: list[tuple[int, int, int, int, float, int]] = field(default_factory=list)
    parts: list[Array] = field(default_factory=list)
    size: int = 0
    row_step: int = 0
    state_size: int = 0

    def add(self, kind: str, inputs: int, width: int, parts: Sequence[Array], eps: float = 0.0) -> None:
        """Append a step whose numbers are ``parts`` one behind the other."""
        self.steps.append((KINDS.index(kind), 0, inputs, width, eps, self.size))
        for part in parts:
            flat = np.ascontiguousarray(part, np.float32).ravel()
            self.parts.append(flat)
            self.size += flat.size
        gates = _GATES.get(kind, 1)
        self.row_step = max(self.row_step, gates * width, padded(inputs))
        self.state_size += width * (gates - 2) if kind in _GATES else 0
        if self.row_step > WIDEST:
            raise ConfigError(
                f"expected layers (with all gates) at most {WIDEST} wide, got {max(inputs, gates * width)}"
            )

    def activate(self, name: str, width: int) -> None:
        """Put an activation behind the last step."""
        if not self.steps or self.steps[-1][1]:
            self.add("affine", width, padded(width), _affine(width))
        last = self.steps[-1]
        self.steps[-1] = (last[0], ACTIVATIONS.index(name), *last[2:])

    def block(self) -> NDArray[np.float32]:
        """Return all numbers, aligned to cache lines."""
        room = np.zeros(self.size + LANES, np.float32)
        start = -(room.ctypes.data // 4) % LANES
        block = room[start : start + self.size]
        np.concatenate([np.zeros(0, np.float32), *self.parts], out=block)
        return block


def _padded_row(values: Array, fill: float = 0.0) -> Array:
    row = np.full(padded(len(values)), fill, np.float32)
    row[: len(values)] = values
    return row


def _affine(
    n: int,
    shift: ArrayLike = 0.0,
    divisor: ArrayLike = 1.0,
    factor: ArrayLike = 1.0,
    offset: ArrayLike = 0.0,
    low: ArrayLike = -np.inf,
    high: ArrayLike = np.inf,
) -> list[Array]:
    rows = [np.broadcast_to(np.asarray(v, np.float32), (n,)) for v in (shift, divisor, factor, offset, low, high)]
    return [_padded_row(row, 1.0 if i == 1 else 0.0) for i, row in enumerate(rows)]


def _transposed(weight: Array, inputs: int, gates: int = 1) -> Array:
    """Return (inputs, gates * width) of a weight (gates * outputs, columns): gates padded by themselves, inputs to fours."""
    outputs = len(weight) // gates
    whole = np.zeros((-(-inputs // 4) * 4, gates, padded(outputs)), np.float32)
    whole[: weight.shape[1], :, :outputs] = weight.reshape(gates, outputs, -1).transpose(2, 0, 1)
    return whole


def _gate_bias(bias: Array | None, outputs: int, gates: int) -> Array:
    rows = np.zeros((gates, padded(outputs)), np.float32)
    if bias is not None:
        rows[:, :outputs] = bias.reshape(gates, outputs)
    return rows


def numbers(tensors: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float32]]:
    """Return the tensors as float32, after checking that each is finite as such."""
    if not isinstance(tensors, Mapping):
        raise DTypeError(f"expected tensors as a mapping of names to arrays, got {type(tensors).__name__}")
    checked = {}
    for name, value in tensors.items():
        array = np.asarray(value)
        if array.dtype.kind != "f":
            raise DTypeError(f"expected tensor {name!r} to hold floats, got dtype {array.dtype}")
        with np.errstate(over="ignore"):  # what is too large for a float32 becomes infinite and is refused
            checked[name] = arrays.finite(np.array(array, np.float32, order="C"), f"tensor {name!r}")
    return checked


def normalizer_rows(normalizer: Any, gather: Array, obs_dim: int) -> list[Array] | None:
    """Return the affine step of a normaliser, a mapping as ``normalizer.json`` holds it.

    ``gather`` says which number of one observation each number of the network's input is.
    """
    if normalizer is None:
        return None
    checked = check_normalizer(
        {"count": 0.0, **normalizer} if isinstance(normalizer, Mapping) else normalizer, "normalizer"
    )
    mean = np.array(checked["mean"])
    divisor = np.sqrt(np.array(checked["var"]) + checked["epsilon"])
    if len(mean) not in (obs_dim, len(gather)):
        raise ConfigError(f"expected a normaliser of {obs_dim} numbers, got {len(mean)}")
    if len(mean) == obs_dim:
        mean, divisor = mean[gather], divisor[gather]
    if not (divisor.astype(np.float32) > 0).all():
        raise InvalidValueError("expected var + epsilon of the normaliser to be positive as a float32")
    limit = np.inf if checked["clip"] is None else checked["clip"]
    return _affine(len(gather), mean, divisor, low=-limit, high=limit)


def action_rows(scale: ArrayLike, offset: ArrayLike, clip: Any, act_dim: int) -> list[Array] | None:
    """Return the affine step ``clip(action) * scale + offset``, as two where there is a clip; None without any."""

    def row(value: ArrayLike, name: str) -> Array:
        checked = arrays.finite(arrays.floats(value, name), name)
        if checked.shape not in ((), (act_dim,)):
            raise ConfigError(f"expected {name} as one number or {act_dim}, got shape {checked.shape}")
        return np.broadcast_to(checked, (act_dim,))

    scales, offsets = row(scale, "action_scale"), row(offset, "action_offset")
    steps: list[Array] = []
    if clip is not None:
        pair = clip if isinstance(clip, (tuple, list)) else (-arrays.number(clip, "action_clip"), clip)
        if len(pair) != 2:
            raise ConfigError(f"expected action_clip as a number or a pair (low, high), got {len(pair)} of them")
        low, high = pair
        low, high = row(low, "action_clip"), row(high, "action_clip")
        if not (low < high).all():
            raise ConfigError("expected every lower end of action_clip to be below the upper one")
        steps += _affine(act_dim, low=low, high=high)
    if (scales != 1.0).any() or (offsets != 0.0).any():
        steps += _affine(act_dim, factor=scales, offset=offsets)
    return steps or None


def make_plan(
    layers: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Array],
    gather: Array,
    obs_dim: int,
    normalizer: Any = None,
    action_scale: ArrayLike = 1.0,
    action_offset: ArrayLike = 0.0,
    action_clip: Any = None,
) -> Plan:
    """Return the plan of a network; the arguments are those of :meth:`CompiledPolicy.from_layers`."""
    input_dim, act_dim = check_layers(layers, tensors)
    if input_dim != len(gather):
        raise ConfigError(
            f"the network takes {input_dim} numbers, the observations with their history are {len(gather)}"
        )
    plan = Plan(input_dim)
    rows = normalizer_rows(normalizer, gather, obs_dim)
    if rows is not None:
        plan.add("affine", input_dim, padded(input_dim), rows)
    width = input_dim
    for layer in layers:
        kind = layer["type"]
        held = {key: tensors[name] for key, name in layer.items() if key not in ("type", "eps") and name is not None}
        if kind in ACTIVATIONS:
            plan.activate(kind, width)
        elif kind == "linear":
            out = len(held["weight"])
            bias = _gate_bias(held.get("bias"), out, 1)
            plan.add(kind, width, padded(out), [_transposed(held["weight"], width), bias])
            width = out
        elif kind == "layer_norm":
            gain = _padded_row(held.get("weight", np.ones(width, np.float32)))
            bias = _padded_row(held.get("bias", np.zeros(width, np.float32)))
            plan.add(kind, width, padded(width), [gain, bias], float(layer.get("eps", 1e-5)))
        else:
            gates, hidden = _GATES[kind], held["weight_hh"].shape[1]
            parts = [
                _transposed(held["weight_ih"], width, gates), _gate_bias(held.get("bias_ih"), hidden, gates),
                _transposed(held["weight_hh"], padded(hidden), gates), _gate_bias(held.get("bias_hh"), hidden, gates),
            ]  # fmt: skip
            plan.add(kind, width, padded(hidden), parts)
            width = hidden
    rows = action_rows(action_scale, action_offset, action_clip, act_dim)
    for i in range(0, len(rows or ()), 6):
        plan.add("affine", act_dim, padded(act_dim), (rows or [])[i : i + 6])
    plan.act_dim = act_dim
    return plan


def gather_of(obs_dim: int, history: int, order: str, terms: Sequence[int] | None) -> tuple[Array, Array]:
    """Return (age, place) of each number of the input of a network that sees several observations.

    Frame by frame: all of one observation, then all of the next; with ``terms`` (their sizes) term by term: the whole
    history of the first term, then that of the second.
    """
    if order not in ("oldest_first", "newest_first"):
        raise ConfigError(f"expected history_order to be 'oldest_first' or 'newest_first', got {order!r}")
    sizes = [obs_dim] if terms is None else [arrays.integer(t, "history_terms", minimum=1) for t in terms]
    if sum(sizes) != obs_dim:
        raise ConfigError(
            f"expected history_terms to add up to {obs_dim}, the length of an observation, got {sum(sizes)}"
        )
    ages = range(history) if order == "newest_first" else range(history - 1, -1, -1)
    age: list[int] = []
    place: list[int] = []
    start = 0
    for size in sizes:
        for a in ages:
            age += [a] * size
            place += range(start, start + size)
        start += size
    return np.array(age, np.int32), np.array(place, np.int32)
