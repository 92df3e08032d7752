"""Actor and critic on one backbone, for PPO."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays
from rfx.errors import ShapeError
from rfx.nn.distributions import (
    gaussian_entropy,
    gaussian_log_prob,
    squash,
    squashed_entropy,
    squashed_log_prob,
)
from rfx.nn.engine import LayerNorm, Tensor, from_numpy
from rfx.nn.networks import Dense, Draw, check_activation, check_sizes, describe_linear, describe_stack, run_stack
from rfx.nn.policy import Policy, register_policy
from rfx.seeding import rng_from_seed

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


@register_policy
class ActorCritic(Policy):
    """A Gaussian policy and a value function that share their hidden layers.

    Parameters
    ----------
    obs_dim, act_dim : int
        Numbers in an observation and in an action.
    hidden : list of int, optional
        Sizes of the shared layers, [256, 256] by default.
    activation : str
        Behind every shared layer; see :class:`rfx.nn.MLP`.
    layer_norm : bool
        Whether each shared layer is normalised before its activation.
    squash : bool
        True: actions are ``tanh`` of a normal, within (-1, 1). False: actions are normal.
    log_std_init : float
        Where the free logarithm of the standard deviation starts.
    state_dependent_std : bool
        Whether a head of its own gives the logarithm of the standard deviation, within (-5, 2), instead.
    seed : int, optional
        Of the first weights.

    Notes
    -----
    ``policy(obs)`` is the action without noise. Log-probabilities are those of the action that is returned, squashing
    included.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        hidden: Sequence[int] | None = None,
        *,
        activation: str = "tanh",
        layer_norm: bool = False,
        squash: bool = True,
        log_std_init: float = 0.0,
        state_dependent_std: bool = False,
        seed: int | None = None,
    ) -> None:
        self.obs_dim, self.act_dim, self.hidden = check_sizes(obs_dim, act_dim, hidden)
        self.activation = check_activation(activation, "activation")
        self.squash, self.state_dependent_std = bool(squash), bool(state_dependent_std)
        draw = Draw(seed)
        sizes = [self.obs_dim, *self.hidden]
        self.backbone = [Dense(a, b, draw) for a, b in itertools.pairwise(sizes)]
        self.norms = [LayerNorm(n) for n in self.hidden] if layer_norm else []
        self.actor_head, self.critic_head = Dense(sizes[-1], self.act_dim, draw), Dense(sizes[-1], 1, draw)
        start = arrays.number(log_std_init, "log_std_init", minimum=LOG_STD_MIN, maximum=LOG_STD_MAX)
        self.log_std: Tensor | None = None
        self.log_std_head: Dense | None = None
        if self.state_dependent_std:
            self.log_std_head = Dense(sizes[-1], self.act_dim, draw)
        else:
            self.log_std = from_numpy(np.full(self.act_dim, start, np.float32))

    def _heads(self, obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean before squashing (B, A), log_std (B, A) or (A,), and the value (B, 1)."""
        x = run_stack(obs, self.backbone, self.norms, self.activation)
        if self.log_std_head is not None:
            half = 0.5 * (LOG_STD_MAX - LOG_STD_MIN)
            log_std = (self.log_std_head(x).tanh() + 1.0) * half + LOG_STD_MIN
        else:
            assert self.log_std is not None
            log_std = self.log_std
        return self.actor_head(x), log_std, self.critic_head(x)

    def forward(self, obs: Tensor) -> Tensor:
        """Return the actions without noise (B, act_dim)."""
        mean = self.actor_head(run_stack(obs, self.backbone, self.norms, self.activation))
        return mean.tanh() if self.squash else mean

    def forward_actor_critic(self, obs: Tensor | ArrayLike) -> tuple[Tensor, Tensor]:
        """Return (action without noise (B, act_dim), value (B, 1)) as a graph that gradients flow through."""
        mean, _, value = self._heads(self.observe(self.tensor(obs)))
        return mean.tanh() if self.squash else mean, value

    def get_action_and_value(
        self, obs: Tensor | ArrayLike, action: Tensor | ArrayLike | None = None, *, seed: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (action (B, act_dim), log_prob (B,), entropy (), value (B,)).

        Parameters
        ----------
        obs : Tensor or array_like, shape (B, obs_dim)
        action : Tensor or array_like, shape (B, act_dim), optional
            Actions taken earlier, for the update: the results are a graph that gradients flow through. Without them
            actions are drawn, and no gradient flows through the draw; outside of training this is compiled.
        seed : int, optional
            Of the draw: the same seed, the same noise. Without one, tinygrad draws (``Tensor.manual_seed``).

        Returns
        -------
        action : Tensor
        log_prob : Tensor
            Logarithm of the density of ``action`` (nats).
        entropy : Tensor
            Mean over the batch (nats).
        value : Tensor

        Raises
        ------
        ShapeError
            Observations or actions of another shape.
        InvalidStateError
            A seed or an array inside a TinyJit, where it would become a constant.
        """
        x = self.tensor(obs)
        if len(x.shape) != 2:
            raise ShapeError(f"expected obs of shape (B, {self.obs_dim}), got {tuple(x.shape)}")
        shape = (int(x.shape[0]), self.act_dim)
        if action is not None:
            taken = (
                action
                if isinstance(action, Tensor)
                else Tensor(np.asarray(arrays.floats(action, "action"), np.float32))
            )
            if tuple(taken.shape) != shape:
                raise ShapeError(f"expected action of shape {shape}, got {tuple(taken.shape)}")
            return self._judge(x, taken)
        noise = Tensor.randn(*shape, device=x.device) if seed is None else from_numpy(standard_normal(shape, seed))
        found = self._compiled("_draw", x, noise)
        return found[0], found[1], found[2], found[3]

    def _judge(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, log_std, value = self._heads(self.observe(obs))
        return (action, *self._density(mean, log_std, action), value.squeeze(-1))

    def _density(self, mean: Tensor, log_std: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        if self.squash:
            return squashed_log_prob(mean, log_std, action), squashed_entropy(mean, log_std).mean()
        return gaussian_log_prob(mean, log_std, action), gaussian_entropy(log_std).mean()

    def _draw(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        mean, log_std, value = self._heads(self.observe(obs))
        drawn = (mean + log_std.exp() * noise).detach()
        action = squash(drawn) if self.squash else drawn
        return (action, *self._density(mean, log_std, action), value.squeeze(-1))

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments that build this network again."""
        found = super().config_dict()
        found.pop("seed", None)  # the weights are in the file
        return found | {"hidden": self.hidden} if "hidden" in found else found

    def describe(self) -> list[dict[str, Any]] | None:
        """Return the layers from observation to the action without noise, as plain data."""
        found = describe_stack(len(self.hidden), "backbone", bool(self.norms), self.activation)
        found.append(describe_linear("actor_head"))
        return [*found, {"type": "tanh"}] if self.squash else found


def standard_normal(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return normal numbers of a seed, by the method of Box and Muller on ChaCha8."""
    rng = rng_from_seed(arrays.integer(seed, "seed", minimum=0))
    count = math.prod(shape)
    u = np.asarray(rng.uniform(0.0, 1.0, size=2 * count)).reshape(2, count)
    values = np.sqrt(-2.0 * np.log1p(-u[0])) * np.cos(2.0 * math.pi * u[1])
    return values.reshape(shape).astype(np.float32)


def go2_actor_critic(hidden: Sequence[int] | None = None, **options: Any) -> ActorCritic:
    """Return an :class:`ActorCritic` for the Go2: 48 observations, 12 joint positions; see :func:`rfx.nn.go2_mlp`."""
    return ActorCritic(48, 12, hidden, **options)
