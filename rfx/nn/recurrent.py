"""Policies with a memory: LSTM and GRU, their state carried from call to call."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, ShapeError
from rfx.nn.engine import Tensor, dtypes, from_numpy
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

GATES = {"lstm": 4, "gru": 3}


class Cell:
    """The weights of one recurrent layer.

    Rows of the weights: input, forget, cell, output for an LSTM; reset, update, new for a GRU.
    """

    def __init__(self, width: int, size: int, kind: str, draw: Draw) -> None:
        rows, bound = GATES[kind] * size, size**-0.5
        self.weight_ih, self.weight_hh = draw(bound, rows, width), draw(bound, rows, size)
        self.bias_ih, self.bias_hh = draw(bound, rows), draw(bound, rows)

    def __call__(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the state behind inputs (B, width): (h, c) for an LSTM, (h,) for a GRU, each (B, size)."""
        into = x.linear(self.weight_ih.transpose(), self.bias_ih)
        back = state[0].linear(self.weight_hh.transpose(), self.bias_hh)
        if len(state) == 2:
            i, f, g, o = (into + back).chunk(4, dim=-1)
            c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c
        (ir, iz, new), (br, bz, old) = into.chunk(3, dim=-1), back.chunk(3, dim=-1)
        z = (iz + bz).sigmoid()
        return ((1 - z) * (new + (ir + br).sigmoid() * old).tanh() + z * state[0],)


@register_policy
class RecurrentPolicy(Policy):
    """Linear layers, one LSTM or GRU, and a linear layer to the actions.

    Parameters
    ----------
    obs_dim, act_dim : int
        Numbers in an observation and in an action.
    hidden : list of int, optional
        Sizes of the layers in front of the memory, none by default.
    cell : {"lstm", "gru"}
    size : int
        Numbers in the memory.
    activation : str
        Behind every layer in front of the memory; see :class:`rfx.nn.MLP`.
    output_activation : str or None
        Behind the last layer.
    seed : int, optional
        Of the first weights.

    Notes
    -----
    ``policy(obs)`` carries a state from call to call, one row per environment, that :meth:`reset` forgets. The state is
    not part of files, copies and weights.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        hidden: Sequence[int] | None = None,
        *,
        cell: str = "lstm",
        size: int = 64,
        activation: str = "tanh",
        output_activation: str | None = "tanh",
        seed: int | None = None,
    ) -> None:
        self.obs_dim, self.act_dim, self.hidden = check_sizes(obs_dim, act_dim, hidden, default=())
        if cell not in GATES:
            raise ConfigError(f"expected cell to be 'lstm' or 'gru', got {cell!r:.80}")
        self.cell, self.size = cell, arrays.integer(size, "size", minimum=1)
        self.activation = check_activation(activation, "activation")
        if output_activation is not None:
            check_activation(output_activation, "output_activation")
        self.output_activation = output_activation
        draw = Draw(seed)
        sizes = [self.obs_dim, *self.hidden]
        self.layers = [Dense(a, b, draw) for a, b in itertools.pairwise(sizes)]
        self.memory = Cell(sizes[-1], self.size, cell, draw)
        self.head = Dense(self.size, self.act_dim, draw)

    @property
    def state(self) -> tuple[Tensor, ...] | None:
        """What is carried to the next call: (h, c) or (h,), each (B, size); None at the start."""
        return self._rfx.state

    @state.setter
    def state(self, value: Sequence[Tensor] | None) -> None:
        if value is None:
            self._rfx.state = None
            return
        parts = tuple(value)
        good = [isinstance(x, Tensor) and len(x.shape) == 2 and x.shape[1] == self.size for x in parts]
        if len(parts) != (2 if self.cell == "lstm" else 1) or not all(good) or len({x.shape for x in parts}) > 1:
            raise ShapeError(
                f"expected the state of a {self.cell}, tensors of shape (B, {self.size}), got {value!r:.120}"
            )
        self._rfx.state = parts

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return zeros for that many environments: (h, c) or (h,), each (batch, size)."""
        rows = arrays.integer(batch, "batch", minimum=0)
        return tuple(Tensor.zeros(rows, self.size) for _ in range(2 if self.cell == "lstm" else 1))

    def reset(self, mask: Tensor | ArrayLike | None = None) -> None:
        """Forget the state of the environments that begin anew.

        Parameters
        ----------
        mask : (B,) bool, optional
            Which ones; all by default.

        Raises
        ------
        ShapeError, DTypeError
            Not one boolean per environment.
        """
        if mask is None or self.state is None:
            self.state = None
            return
        keep = kept_rows(mask, int(self.state[0].shape[0]))
        self.state = tuple((x * keep).realize() for x in self.state)

    def step(self, obs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return actions (B, act_dim) and the state behind them, as a lazy graph; the carried state stays."""
        after = self.memory(run_stack(obs, self.layers, (), self.activation), state)
        return activate(self.head(after[0]), self.output_activation), after

    def forward(self, obs: Tensor) -> Tensor:
        """Return the actions (B, act_dim) for first observations (B, obs_dim), as a lazy graph."""
        return self.step(obs, self.initial_state(int(obs.shape[0])))[0]

    def unroll(
        self, obs: Tensor | ArrayLike, state: tuple[Tensor, ...] | None = None, resets: Tensor | ArrayLike | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return actions (T, B, act_dim) for sequences, and the last state, as a graph for training through time.

        Parameters
        ----------
        obs : Tensor or array_like, shape (T, B, obs_dim)
        state : tuple of Tensor, optional
            Before the first step; zeros by default.
        resets : (T, B) bool, optional
            Where an episode begins: the state before that step is zero.

        Raises
        ------
        ShapeError
            Another shape.
        """
        x = self.tensor(obs)
        if len(x.shape) != 3 or not x.shape[0]:
            raise ShapeError(f"expected obs of shape (T, B, {self.obs_dim}), T at least 1, got {tuple(x.shape)}")
        steps, batch = int(x.shape[0]), int(x.shape[1])
        x = self.observe(x)
        now = self.initial_state(batch) if state is None else state
        keep = None if resets is None else kept_rows(resets, steps, batch)
        actions = []
        for t in range(steps):
            if keep is not None:
                now = tuple(part * keep[t] for part in now)
            action, now = self.step(x[t].contiguous(), now)
            # one set of kernels for all steps, instead of one growing kernel for each
            now = tuple(part.contiguous().contiguous_backward() for part in now)
            actions.append(action.contiguous().contiguous_backward())
        return actions[0].stack(*actions[1:]), now

    def __call__(self, obs: Tensor | ArrayLike, reset: Tensor | ArrayLike | None = None) -> Tensor:
        """Return actions (B, act_dim) for the next observations (B, obs_dim) and carry the state on.

        Parameters
        ----------
        obs : Tensor or array_like, shape (B, obs_dim)
        reset : (B,) bool, optional
            Environments whose episode begins with this observation.

        Raises
        ------
        ShapeError
            Another shape, or another number of environments than the state has: call :meth:`reset` first.
        """
        x = self.tensor(obs)
        if len(x.shape) != 2:
            raise ShapeError(f"expected obs of shape (B, {self.obs_dim}), got {tuple(x.shape)}")
        batch = int(x.shape[0])
        before = self.initial_state(batch) if self.state is None else self.state
        if before[0].shape[0] != batch:
            raise ShapeError(
                f"expected obs of {before[0].shape[0]} environments, got {batch}: reset() forgets the state"
            )
        keep = kept_rows(np.zeros(batch, bool) if reset is None else reset, batch)
        action, *after = self._compiled("_advance", x, keep, *before)
        self.state = tuple(after)
        return action

    def _advance(self, obs: Tensor, keep: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        action, after = self.step(self.observe(obs), tuple(part * keep for part in state))
        return (action, *after)

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments that build this network again."""
        found = super().config_dict()
        found.pop("seed", None)  # the weights are in the file
        return found | {"hidden": self.hidden} if "hidden" in found else found

    def describe(self) -> list[dict[str, Any]] | None:
        """Return the layers as plain data."""
        memory = {key: f"memory.{key}" for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        found = describe_stack(len(self.hidden), "layers", False, self.activation)
        found += [{"type": self.cell} | memory, describe_linear("head")]
        return found if self.output_activation is None else [*found, {"type": self.output_activation}]


def kept_rows(mask: Tensor | ArrayLike, *shape: int) -> Tensor:
    """Return 0 where a mask of booleans of that shape is true and 1 elsewhere, with one axis more."""
    values = mask if isinstance(mask, Tensor) else np.asarray(mask)
    if values.dtype not in (dtypes.bool, np.bool_):
        raise DTypeError(f"expected a mask of booleans, got dtype {values.dtype}")
    if tuple(values.shape) != shape:
        raise ShapeError(f"expected a mask of shape {arrays.describe(shape)}, got {tuple(values.shape)}")
    if isinstance(values, Tensor):
        return values.logical_not().cast(dtypes.float32).unsqueeze(-1)
    return from_numpy((~values).astype(np.float32)[..., None])
