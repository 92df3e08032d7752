"""Multi-layer perceptrons, and the one sized for the Go2."""

import itertools
from collections.abc import Sequence
from typing import Any

from rfx.nn.engine import LayerNorm, Tensor
from rfx.nn.networks import (
    Dense,
    Draw,
    activate,
    check_activation,
    check_sizes,
    describe_linear,
    describe_stack,
    run_stack,
)
from rfx.nn.policy import Policy, register_policy


@register_policy
class MLP(Policy):
    """Linear layers with an activation behind each: enough for most locomotion.

    Parameters
    ----------
    obs_dim, act_dim : int
        Numbers in an observation and in an action.
    hidden : list of int, optional
        Sizes of the hidden layers, [256, 256] by default; [] for a single linear layer.
    activation : {"tanh", "relu", "leaky_relu", "elu", "silu", "sigmoid"}
        Behind every hidden layer.
    output_activation : str or None
        Behind the last layer; "tanh" keeps actions within (-1, 1), None leaves them as they are.
    layer_norm : bool
        Whether each hidden layer is normalised before its activation.
    seed : int, optional
        Of the first weights; without one tinygrad draws it (``Tensor.manual_seed``).

    Raises
    ------
    ConfigError, DTypeError, InvalidValueError
        An unknown activation, a size that is no integer of at least 1.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        hidden: Sequence[int] | None = None,
        *,
        activation: str = "tanh",
        output_activation: str | None = "tanh",
        layer_norm: bool = False,
        seed: int | None = None,
    ) -> None:
        self.obs_dim, self.act_dim, self.hidden = check_sizes(obs_dim, act_dim, hidden)
        self.activation = check_activation(activation, "activation")
        if output_activation is not None:
            check_activation(output_activation, "output_activation")
        self.output_activation = output_activation
        draw = Draw(seed)
        sizes = [self.obs_dim, *self.hidden, self.act_dim]
        self.layers = [Dense(a, b, draw) for a, b in itertools.pairwise(sizes)]
        self.norms = [LayerNorm(n) for n in self.hidden] if layer_norm else []

    def forward(self, obs: Tensor) -> Tensor:
        """Return actions (..., act_dim) for observations (..., obs_dim)."""
        x = run_stack(obs, self.layers[:-1], self.norms, self.activation)
        return activate(self.layers[-1](x), self.output_activation)

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments that build this network again."""
        found = super().config_dict()
        if "seed" in found:
            found.pop("seed")  # the weights are in the file
        return found | {"hidden": self.hidden} if "hidden" in found else found

    def describe(self) -> list[dict[str, Any]] | None:
        """Return the layers as plain data."""
        found = describe_stack(len(self.hidden), "layers", bool(self.norms), self.activation)
        found.append(describe_linear(f"layers.{len(self.hidden)}"))
        return found if self.output_activation is None else [*found, {"type": self.output_activation}]


def go2_mlp(hidden: Sequence[int] | None = None, **options: Any) -> MLP:
    """Return an :class:`MLP` for the Go2: 48 observations, 12 joint positions.

    Parameters
    ----------
    hidden : list of int, optional
        Sizes of the hidden layers, [256, 256] by default.
    **options
        As for :class:`MLP`.

    Notes
    -----
    At least three different observations of the Go2 have 48 numbers: which one a policy was trained on belongs into the
    ``contract`` of its file.
    """
    return MLP(48, 12, hidden, **options)
