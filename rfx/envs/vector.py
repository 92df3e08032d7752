"""One environment at a time."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rfx.envs.single import Single, Transition


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

    def render(self, mode: str = "text") -> str | NDArray[np.uint8] | None:
        """Return a line that says what is to be seen, or with "rgb_array" a picture."""
        ...


class CartPole(Single):
    """A pole on a cart: the dynamics of Gymnasium's CartPole-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given. The first state is drawn as rlox 1.2.0 draws it.
    gravity, masscart, masspole, length, force_mag, tau, max_episode_steps : float, int
        In place of 9.8 m/s^2, 1 kg, 0.1 kg, 0.5 m (half of the pole), 10 N, 0.02 s and 500.
    """

    env_id = "CartPole-v1"


class Pendulum(Single):
    """A pendulum to be swung up: the dynamics of Gymnasium's Pendulum-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given. The first state is drawn as rlox 1.2.0 draws it.
    g, mass, length, max_episode_steps : float, int
        In place of 10 m/s^2, 1 kg, 1 m and 200.
    """

    env_id = "Pendulum-v1"


class MountainCar(Single):
    """A car too weak for the hill: the dynamics of Gymnasium's MountainCar-v0, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    force, gravity, goal_velocity, max_episode_steps : float, int
        In place of 0.001, 0.0025, 0 and 200.
    """

    env_id = "MountainCar-v0"


class MountainCarContinuous(Single):
    """A car too weak for the hill, pushed by any force within [-1, 1]: Gymnasium's MountainCarContinuous-v0, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    power, gravity, goal_velocity, max_episode_steps : float, int
        In place of 0.0015, 0.0025, 0 and 999.
    """

    env_id = "MountainCarContinuous-v0"


class Acrobot(Single):
    """Two links to be swung up by the joint between them: the dynamics of Gymnasium's Acrobot-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    link_mass_1, link_mass_2, link_length_1, link_com_pos_1, link_com_pos_2, link_moi, dt, max_episode_steps : float, int
        In place of 1 kg, 1 kg, 1 m, 0.5 m, 0.5 m, 1 kg m^2, 0.2 s and 500.
    """

    env_id = "Acrobot-v1"
