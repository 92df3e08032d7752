"""One environment of a user behind one interface, whether it is written in our manner or in Gymnasium's."""

from typing import Any

import numpy as np

from rfx.envs.flat import our_space
from rfx.errors import ConfigError, DTypeError


class Adapter:
    """An environment with ``reset(seed)`` and ``step(action)``.

    ``step`` gives a ``Transition`` (or what has its fields) or Gymnasium's five values, ``reset`` an observation or Gymnasium's
    pair of observation and info.
    """

    def __init__(self, env: Any) -> None:
        for name in ("reset", "step", "observation_space", "action_space"):
            if not hasattr(env, name):
                raise ConfigError(f"expected an environment with reset, step and two spaces, {env!r} has no {name}")
        self.env = env
        kind = type(env).__name__
        self.observation_space = our_space(env.observation_space, f"the observation_space of {kind}")
        self.action_space = our_space(env.action_space, f"the action_space of {kind}")

    @property
    def max_episode_steps(self) -> int:
        """What the environment says of itself, 0 if it says nothing."""
        told = getattr(self.env, "max_episode_steps", None)
        if told is None:
            told = getattr(getattr(self.env, "spec", None), "max_episode_steps", None)
        return int(told) if told else 0

    def reset(self, seed: int | None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; returns the observation and the info."""
        given = self.env.reset(seed=seed) if not options else self.env.reset(seed=seed, options=options)
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
            return given
        return given, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step; returns observation, reward, terminated, truncated and info."""
        given = self.env.step(action)
        if isinstance(given, tuple) and len(given) == 5:
            obs, reward, terminated, truncated, info = given
        elif hasattr(given, "terminated") and hasattr(given, "truncated"):
            obs, reward, terminated, truncated = given.obs, given.reward, given.terminated, given.truncated
            info = getattr(given, "info", None)
        else:
            raise DTypeError(f"expected step() to return a Transition or 5 values, got {type(given).__name__}")
        return obs, float(reward), _flag(terminated, "terminated"), _flag(truncated, "truncated"), dict(info or {})

    def attribute(self, name: str) -> Any:
        """Return an attribute of the environment, or of the one inside of its wrappers."""
        if hasattr(self.env, "get_wrapper_attr"):
            return self.env.get_wrapper_attr(name)
        return getattr(self.env, name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Set an attribute of the environment, or of the one inside of its wrappers that has it."""
        if hasattr(self.env, "set_wrapper_attr"):
            self.env.set_wrapper_attr(name, value)
        else:
            setattr(self.env, name, value)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of the environment, or return its attribute of this name if it is not to be called."""
        found = self.attribute(name)
        return found(*args, **kwargs) if callable(found) else found

    def close(self) -> None:
        """Close the environment if it can be closed."""
        if hasattr(self.env, "close"):
            self.env.close()

    def __repr__(self) -> str:
        return f"Adapter({self.env!r})"


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"expected {name} to be a bool, got {type(value).__name__} {value!r}")
    return bool(value)
