"""One environment at a time."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.envs.batched import batch_of
from rfx.envs.engine import DISABLED
from rfx.envs.scenes import SCENES
from rfx.errors import ConfigError, ShapeError


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

    def render(self, mode: str = "text") -> str | NDArray[np.uint8] | None:
        """Return a line that says what is to be seen, or with "rgb_array" a picture."""
        ...


class _Single:
    """One environment of a kind that is stepped in batches."""

    env_id = ""

    def __init__(self, seed: int | None = None, **options: Any) -> None:
        self._batch = batch_of(self.env_id, 1, **options)
        self.observation_space, self.action_space = self._batch.observation_space, self._batch.action_space
        self._arrays = (
            np.empty((1, self._batch.obs_dim), np.float32),
            np.empty(1),
            np.empty(1, np.bool_),
            np.empty(1, np.bool_),
            np.empty((1, self._batch.obs_dim), np.float32),
        )
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

    @property
    def physics(self) -> dict[str, NDArray[np.float64]]:
        """The numbers of the physics as they are now, by name, (1,) float64 each."""
        return self._batch.physics

    def render(self, mode: str = "text") -> str | NDArray[np.uint8]:
        """Return what is to be seen: step and state in one line, or an RGB picture.

        Parameters
        ----------
        mode : str
            "text", or "rgb_array" for (height, width, 3) of uint8.

        Raises
        ------
        ConfigError
            Another mode.
        """
        state = self._batch.states[0]
        if mode == "text":
            return f"{self.env_id} | step={self._batch.episode_steps[0]} state={' '.join(f'{x:.4f}' for x in state)}"
        if mode != "rgb_array":
            raise ConfigError(f"expected mode to be 'text' or 'rgb_array', got {mode!r}")
        return SCENES[self.env_id](state, {name: float(value[0]) for name, value in self.physics.items()})

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


class MountainCar(_Single):
    """A car too weak for the hill: the dynamics of Gymnasium's MountainCar-v0, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    force, gravity, goal_velocity, max_episode_steps : float, int
        In place of 0.001, 0.0025, 0 and 200.
    """

    env_id = "MountainCar-v0"


class MountainCarContinuous(_Single):
    """A car too weak for the hill, pushed by any force within [-1, 1]: Gymnasium's MountainCarContinuous-v0, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    power, gravity, goal_velocity, max_episode_steps : float, int
        In place of 0.0015, 0.0025, 0 and 999.
    """

    env_id = "MountainCarContinuous-v0"


class Acrobot(_Single):
    """Two links to be swung up by the joint between them: the dynamics of Gymnasium's Acrobot-v1, to the last bit.

    Parameters
    ----------
    seed : int, optional
        0 if not given.
    link_mass_1, link_mass_2, link_length_1, link_com_pos_1, link_com_pos_2, link_moi, dt, max_episode_steps : float, int
        In place of 1 kg, 1 kg, 1 m, 0.5 m, 0.5 m, 1 kg m^2, 0.2 s and 500.
    """

    env_id = "Acrobot-v1"
