"""What steps many environments: the one interface under VecEnv, the Gymnasium vector environment and the workers."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAME_STEP, NEXT_STEP, DISABLED = 0, 1, 2


class Engine(Protocol):
    """Environments of one kind with flat observations, stepped together into arrays that the caller gives.

    Attributes
    ----------
    num_envs, obs_dim, max_episode_steps : int
    observation_space, action_space
        Of one environment, from ``rfx.envs.spaces``.
    """

    num_envs: int
    obs_dim: int
    max_episode_steps: int
    observation_space: Any
    action_space: Any

    def seed(self, seeds: ArrayLike, mask: NDArray[np.bool_] | None = None) -> None:
        """Give each environment, or those of ``mask``, a stream of random numbers from its seed, (num_envs,) of uint64."""
        ...

    def seed_from(self, master: int) -> None:
        """Give environment i the stream of ``derive_seed(master, i)``."""
        ...

    def reset(
        self, out: NDArray[np.float32] | None = None, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Begin episodes anew, all or where ``mask`` is true; the observations of all, (num_envs, obs_dim)."""
        ...

    def step(
        self,
        actions: ArrayLike,
        obs: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        terminal_obs: NDArray[np.float32],
        autoreset: int,
    ) -> None:
        """Take one step of all into the arrays given; an action that is not in the space is an error and moves nothing.

        ``terminal_obs`` gets what the step led to. ``obs`` is what to act on next, by ``autoreset``:

        - ``SAME_STEP``: where an episode ended, the first observation of the next one;
        - ``NEXT_STEP``: what the step led to; an environment whose episode ended in the step before does not move in this one but
          begins anew: its action is not looked at, its reward is 0, its flags are false;
        - ``DISABLED``: what the step led to; stepping an environment that has ended is InvalidStateError until ``reset``.
        """
        ...
