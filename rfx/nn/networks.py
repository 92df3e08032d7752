"""Stacks of linear layers for the policies: built, seeded, computed and described in one place."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError
from rfx.nn.engine import Tensor, from_numpy
from rfx.nn.layers import ACTIVATIONS
from rfx.seeding import ChaCha8Rng, rng_from_seed

_DRAWING = ContextVar("drawing", default=True)
LARGEST = 1 << 24


@contextmanager
def undrawn() -> Iterator[None]:
    """Build networks whose weights are not drawn, because they are given next."""
    token = _DRAWING.set(False)
    try:
        yield
    finally:
        _DRAWING.reset(token)


def check_activation(name: Any, what: str) -> str:
    """Return the name of an activation if it is one; ConfigError says which there are."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ConfigError(f"expected {what} to be one of {sorted(ACTIVATIONS)}, got {name!r:.80}")
    return name


def check_sizes(
    obs_dim: Any, act_dim: Any, hidden: Any, default: Sequence[int] = (256, 256)
) -> tuple[int, int, list[int]]:
    """Return the sizes of a network as plain numbers, each from 1 to 16 million."""
    if hidden is None:
        hidden = default
    if isinstance(hidden, (str, bytes)) or not isinstance(hidden, (Sequence, np.ndarray)):
        raise DTypeError(f"expected hidden as a list of layer sizes, got {type(hidden).__name__}")

    def size(value: Any, name: str) -> int:
        return arrays.integer(value, name, minimum=1, maximum=LARGEST)

    return size(obs_dim, "obs_dim"), size(act_dim, "act_dim"), [size(n, f"hidden[{i}]") for i, n in enumerate(hidden)]


def activate(x: Tensor, name: str | None) -> Tensor:
    """Return ``x`` behind the activation of that name; as it is for None."""
    return x if name is None else getattr(x, name)()


def run_stack(x: Tensor, layers: Sequence[Any], norms: Sequence[Any], activation: str) -> Tensor:
    """Return ``x`` behind linear layers, each followed by its layer norm, if there is one, and the activation."""
    for i, layer in enumerate(layers):
        x = layer(x)
        if norms:
            x = norms[i](x)
        x = activate(x, activation)
    return x


def describe_linear(name: str) -> dict[str, Any]:
    """Return the description of one linear layer with a bias."""
    return {"type": "linear", "weight": f"{name}.weight", "bias": f"{name}.bias"}


def describe_stack(count: int, prefix: str, norm: bool, activation: str) -> list[dict[str, Any]]:
    """Return the description of what :func:`run_stack` computes."""
    found: list[dict[str, Any]] = []
    for i in range(count):
        found.append(describe_linear(f"{prefix}.{i}"))
        if norm:
            name = f"norms.{i}"
            found.append({"type": "layer_norm", "weight": f"{name}.weight", "bias": f"{name}.bias", "eps": 1e-5})
        found.append({"type": activation})
    return found


class Draw:
    """The first weights of a network, uniform in ``+-bound``, from a seed; without one, tinygrad draws the seed.

    Drawn here they need no kernels of their own. tinygrad's own draws would: each that is not looked at makes the next
    one slower, because the generator's state is kept as a graph of them all.
    """

    def __init__(self, seed: int | None) -> None:
        self.rng: ChaCha8Rng | None = None
        if seed is not None:
            seed = arrays.integer(seed, "seed", minimum=0)
        if _DRAWING.get():
            if seed is None:
                high, low = (int(x) for x in Tensor.rand(2).numpy() * 2.0**24)
                seed = high << 24 | low
            self.rng = rng_from_seed(seed)

    def __call__(self, bound: float, *shape: int) -> Tensor:
        """Return a tensor of that shape."""
        if self.rng is None:
            return Tensor.empty(*shape)
        return from_numpy(np.asarray(self.rng.uniform(-bound, bound, size=shape), np.float32))


class Dense:
    """``x W^T + b`` with W (outputs, inputs) and b (outputs,)."""

    def __init__(self, inputs: int, outputs: int, draw: Draw) -> None:
        bound = 1.0 / math.sqrt(inputs)
        self.weight, self.bias = draw(bound, outputs, inputs), draw(bound, outputs)

    def __call__(self, x: Tensor) -> Tensor:
        return x.linear(self.weight.transpose(), self.bias)
