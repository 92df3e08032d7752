"""Faces of the batched Go2: many with the methods of VecEnv, and one alone."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.engine import DISABLED, SAME_STEP
from rfx.envs.vector import StepBatch, Transition
from rfx.errors import DTypeError, ShapeError
from rfx.sim.go2_env import LARGEST_SEED, Go2Batch
from rfx.sim.render import Camera


class Go2VecEnv:
    """Many simulated Go2 with the face of :class:`rfx.envs.VecEnv`: an episode that ends begins anew at once.

    Parameters
    ----------
    num_envs : int
    seed : int
        Environment i draws from ``derive_seed(seed, i)``.
    options
        Those of :class:`Go2Batch`.

    Attributes
    ----------
    batch : Go2Batch
    """

    def __init__(self, num_envs: int, seed: int = 0, **options: Any) -> None:
        self.batch = Go2Batch(num_envs, **options)
        self.num_envs = self.batch.num_envs
        self.observation_space, self.action_space = self.batch.observation_space, self.batch.action_space
        self.reset_all(seed)

    def reset_all(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin all episodes anew; with a seed the streams begin anew as well. Returns (n, obs_dim), a new array."""
        if seed is not None:
            self.batch.seed_from(seed)
        return self.batch.reset()

    def step_all(self, actions: ArrayLike, out: StepBatch | None = None) -> StepBatch:
        """Take one step of each, actions (n, 12); ``out`` of an earlier step is written over. A bad action moves nothing."""
        n, d = self.num_envs, self.batch.obs_dim
        if out is not None and not isinstance(out, StepBatch):
            raise DTypeError(f"expected out as a StepBatch, got {type(out).__name__}")
        made = out or StepBatch(
            np.empty((n, d), np.float32),
            np.empty(n),
            np.empty(n, np.bool_),
            np.empty(n, np.bool_),
            np.empty((n, d), np.float32),
        )
        self.batch.step(actions, made.obs, made.rewards, made.terminated, made.truncated, made.terminal_obs, SAME_STEP)
        return made

    def __repr__(self) -> str:
        return f"Go2VecEnv({self.num_envs}, layout={self.batch.task.policy.name!r})"


class Go2Env:
    """One simulated Go2; an :class:`rfx.envs.RLEnv`.

    Parameters
    ----------
    seed : int
    options
        ``task=`` and fields of it, as for :class:`Go2Batch`.
    """

    def __init__(self, seed: int = 0, **options: Any) -> None:
        self._envs = Go2Batch(1, **options)
        self.task, self.max_episode_steps = self._envs.task, self._envs.max_episode_steps
        self.observation_space, self.action_space = self._envs.observation_space, self._envs.action_space
        self._ended = False
        self.reset(seed)

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode, (obs_dim,); with a seed the stream of random numbers begins anew."""
        if seed is not None:
            self._envs.seed([arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)])
        return self._envs.reset()[0]

    def step(self, action: ArrayLike) -> Transition:
        """Take one step; ``info`` has the weighted terms of the reward. InvalidStateError after the end of an episode."""
        given = np.asarray(action)
        if given.shape != self.action_space.shape:
            raise ShapeError(f"expected an action of shape {self.action_space.shape}, got {given.shape}")
        obs, led_to = np.empty((1, self._envs.obs_dim), np.float32), np.empty((1, self._envs.obs_dim), np.float32)
        reward, flags = np.empty(1), np.empty((2, 1), np.bool_)
        self._envs.step(given[None], obs, reward, flags[0], flags[1], led_to, DISABLED)
        terms = {name: float(values[0]) for name, values in self._envs.reward_terms.items()}
        return Transition(obs[0], float(reward[0]), bool(flags[0, 0]), bool(flags[1, 0]), terms)

    def render(self, width: int = 480, height: int = 360, camera: str | Camera = "corner") -> NDArray[np.uint8]:
        """Draw the robot in software; (height, width, 3) uint8."""
        return self._envs.render(0, width, height, camera)

    def __repr__(self) -> str:
        return f"Go2Env(layout={self.task.policy.name!r})"
