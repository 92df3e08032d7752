"""Faces of the batched Go2: many with the methods of VecEnv, and one alone."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.engine import DISABLED
from rfx.envs.stepping import VecEnv
from rfx.envs.vector import Transition
from rfx.errors import ConfigError, ShapeError
from rfx.sim.go2_env import LARGEST_SEED, Go2Batch
from rfx.sim.render import Camera


class Go2VecEnv(VecEnv):
    """Many simulated Go2, ``VecEnv("Go2-v0", num_envs)`` by its own name: an episode that ends begins anew at once.

    Parameters
    ----------
    num_envs : int
    seed : int
        Environment i draws from ``derive_seed(seed, i)``.
    options
        Those of :class:`Go2Batch`.
    """

    def __init__(self, num_envs: int, seed: int = 0, **options: Any) -> None:
        super().__init__(Go2Batch(num_envs, **options), seed=seed)

    @property
    def batch(self) -> Go2Batch:
        """The engine."""
        return self.engine

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

    env_id = "Go2-v0"

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

    def render(
        self, mode: str = "text", width: int = 480, height: int = 360, camera: str | Camera = "corner"
    ) -> str | NDArray[np.uint8]:
        """Return what is to be seen in one line, or with "rgb_array" a picture drawn in software, (height, width, 3) uint8."""
        if mode == "rgb_array":
            return self._envs.render(0, width, height, camera)
        if mode != "text":
            raise ConfigError(f"expected mode 'text' or 'rgb_array', got {mode!r}")
        _, data = self._envs.mujoco(0)
        asked = " ".join(f"{v:+.2f}" for v in self._envs.commands[0])
        x, y, z = data.qpos[:3]
        return f"Go2-v0 | t={data.time:.2f} s, trunk at {x:.2f} {y:.2f} {z:.2f} m, asked for {asked}"

    def __repr__(self) -> str:
        return f"Go2Env(layout={self.task.policy.name!r})"
