"""Environments for use: one, or many at once."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.batched import batch_of
from rfx.envs.engine import DISABLED, SAME_STEP
from rfx.envs.engines import engine_of
from rfx.errors import ShapeError


@dataclass(frozen=True)
class Transition:
    """What one step gave."""

    obs: NDArray[np.float32]
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, float] | None = None


class RLEnv(Protocol):
    """One environment."""

    observation_space: Any
    action_space: Any

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode; with a seed, from its first random number on, else going on in the stream."""
        ...

    def step(self, action: Any) -> Transition:
        """Take one step; InvalidStateError after the end of an episode."""
        ...

    def render(self) -> str | None:
        """Return a line that says what is to be seen."""
        ...


class _Single:
    """One environment of a kind that is stepped in batches."""

    env_id = ""

    def __init__(self, seed: int | None = None, **options: Any) -> None:
        self._batch = batch_of(self.env_id, 1, **options)
        self.observation_space, self.action_space = self._batch.observation_space, self._batch.action_space
        self._arrays = _outputs(1, self._batch.obs_dim)
        self.reset(0 if seed is None else seed)

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode; with a seed the stream of random numbers begins anew, without it goes on."""
        if seed is not None:
            self._batch.seed([arrays.integer(seed, "seed", minimum=0, maximum=2**64 - 1)])
        return self._batch.reset()[0]

    def step(self, action: Any) -> Transition:
        """Take one step.

        Raises
        ------
        InvalidStateError
            The episode has ended: call reset first.
        InvalidValueError, DTypeError, ShapeError
            The action is not in the space; nothing has changed then.
        """
        given = np.asarray(action)
        if given.size != 1:
            raise ShapeError(f"expected one number as the action, got shape {given.shape}")
        obs, rewards, terminated, truncated, led_to = self._arrays
        self._batch.step(given.reshape(1), obs, rewards, terminated, truncated, led_to, DISABLED)
        return Transition(led_to[0].copy(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]))

    def render(self) -> str:
        """Return the step and the state in one line."""
        numbers = " ".join(f"{x:.4f}" for x in self._batch.states[0])
        return f"{self.env_id} | step={self._batch.episode_steps[0]} state={numbers}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(steps={self._batch.episode_steps[0]})"


class CartPole(_Single):
    """A pole on a cart: the dynamics of Gymnasium's CartPole-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given. The first state is drawn as rlox 1.2.0 draws it.
    gravity, masscart, masspole, length, force_mag, tau, max_episode_steps : float, int
        In place of 9.8 m/s^2, 1 kg, 0.1 kg, 0.5 m (half of the pole), 10 N, 0.02 s and 500.
    """

    env_id = "CartPole-v1"


class Pendulum(_Single):
    """A pendulum to be swung up: the dynamics of Gymnasium's Pendulum-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given. The first state is drawn as rlox 1.2.0 draws it.
    g, mass, length, max_episode_steps : float, int
        In place of 10 m/s^2, 1 kg, 1 m and 200.
    """

    env_id = "Pendulum-v1"


@dataclass(frozen=True)
class StepBatch:
    """What one step of n environments gave.

    Attributes
    ----------
    obs : ndarray of float32, (n, obs_dim)
        To act on next: where an episode ended, the first of the next one.
    rewards : ndarray of float64, (n,)
    terminated, truncated : ndarray of bool, (n,)
    terminal_obs : ndarray of float32, (n, obs_dim)
        What the step led to, before any reset: ``next_obs`` for a replay buffer, the true final one where an episode ended.
    """

    obs: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    terminal_obs: NDArray[np.float32]


class VecEnv:
    """Many environments of one kind, stepped in one call without the GIL; an episode that ends begins anew at once.

    Parameters
    ----------
    env_or_id : str, callable, sequence of callables, or Engine
        "CartPole-v1" or "Pendulum-v1"; or an environment of your own, see :func:`rfx.envs.engine_of`.
    num_envs : int
        At least 1.
    seed : int
        Environment i draws from ``derive_seed(seed, i)``.
    workers : int
        How many processes environments of Python run in; 0 steps them in turn in this one.
    options
        Those of the environment.
    """

    def __init__(self, env_or_id: Any, num_envs: int, seed: int = 0, workers: int = 0, **options: Any) -> None:
        self._batch = engine_of(env_or_id, num_envs, workers, options)
        self.env_id = env_or_id if isinstance(env_or_id, str) else getattr(env_or_id, "__name__", repr(self._batch))
        self.num_envs = self._batch.num_envs
        self.observation_space, self.action_space = self._batch.observation_space, self._batch.action_space
        self.reset_all(seed)

    def reset_all(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin all episodes anew; with a seed the streams begin anew as well. Returns (n, obs_dim), a new array."""
        if seed is not None:
            self._batch.seed_from(seed)
        return self._batch.reset()

    def step_all(self, actions: ArrayLike, out: StepBatch | None = None) -> StepBatch:
        """Take one step of each environment.

        Parameters
        ----------
        actions : array_like
            (n,) integers, or (n, k) numbers, float32 or what becomes it.
        out : StepBatch, optional
            Of an earlier step: its arrays are written over.

        Returns
        -------
        StepBatch

        Raises
        ------
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space; no environment has taken a step then.
        """
        n, d = self.num_envs, self._batch.obs_dim
        if out is None:
            made = _outputs(n, d)
        else:
            shapes = ((n, d), (n,), (n,), (n,), (n, d))
            dtypes = (np.float32, np.float64, np.bool_, np.bool_, np.float32)
            given = (out.obs, out.rewards, out.terminated, out.truncated, out.terminal_obs)
            made = tuple(arrays.out_array(a, s, t) for a, s, t in zip(given, shapes, dtypes, strict=True))
        obs, rewards, terminated, truncated, led_to = made
        self._batch.step(actions, obs, rewards, terminated, truncated, led_to, SAME_STEP)
        return out if out is not None else StepBatch(obs, rewards, terminated, truncated, led_to)

    @property
    def engine(self) -> Any:
        """What steps the environments: an :class:`rfx.envs.engine.Engine`."""
        return self._batch

    def close(self) -> None:
        """Close environments of Python and end their processes; compiled ones need it not."""
        if hasattr(self._batch, "close"):
            self._batch.close()

    def __enter__(self) -> "VecEnv":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"VecEnv({self.env_id!r}, num_envs={self.num_envs})"


def _outputs(n: int, d: int) -> tuple[NDArray[Any], ...]:
    return (
        np.empty((n, d), np.float32),
        np.empty(n),
        np.empty(n, np.bool_),
        np.empty(n, np.bool_),
        np.empty((n, d), np.float32),
    )
