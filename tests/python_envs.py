"""Environments of a user, for tests; in a module, so that worker processes can make them."""

import os
import threading
import time

import numpy as np

from rfx.envs import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from rfx.envs.vector import Transition


class Walk:
    """A random walk that ends below -3 or above 3, or after ``limit`` steps; seeded, in our manner."""

    observation_space = Box(-np.inf, np.inf, (2,))
    action_space = Discrete(2)

    def __init__(self, limit=20):
        self.rng, self.limit, self.max_episode_steps = np.random.default_rng(0), limit, limit

    def reset(self, seed=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.at, self.steps = self.rng.normal(), 0
        return self._obs()

    def _obs(self):
        return np.array([self.at, self.steps], np.float32)

    def step(self, action):
        self.at += (1 if action else -1) * self.rng.random()
        self.steps += 1
        return Transition(self._obs(), -abs(self.at), bool(abs(self.at) > 3), self.steps >= self.limit, {"at": self.at})

    def render(self):
        return f"at {self.at:.2f}"

    def pid(self):
        return os.getpid()


class Moody(Walk):
    """Raises what it is told to, when it is told to."""

    def __init__(self, error=ValueError, when=3):
        super().__init__()
        self.error, self.when = error, when

    def step(self, action):
        if self.steps == self.when and self.error is not None:
            raise self.error("a bad day")
        return super().step(action)


class Count(Walk):
    """Only counts its steps."""

    def step(self, action):
        self.steps += 1
        return Transition(self._obs(), 0.0, False, False)


class Slow(Walk):
    def step(self, action):
        time.sleep(60.0)


class Secret(Walk):
    """Says what cannot be sent to another process."""

    def step(self, action):
        step = super().step(action)
        return step.obs, step.reward, step.terminated, step.truncated, {"lock": threading.Lock()}


class Odd(Walk):
    """Gives what is none of its spaces; ``what`` says where."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def step(self, action):
        step = super().step(action)
        return {
            "shape": Transition(np.zeros(3, np.float32), 0.0, False, False),
            "nan": Transition(np.array([np.nan, 0.0]), 0.0, False, False),
            "text": Transition(np.array(["a", "b"]), 0.0, False, False),
            "reward": Transition(step.obs, float("nan"), False, False),
            "flag": Transition(step.obs, 0.0, 1, False),
            "four": (step.obs, 0.0, False, {}),
        }[self.what]


class Named(Walk):
    """A Dict to see, a MultiDiscrete to do."""

    observation_space = Dict({
        "dials": MultiDiscrete((2, 3)),
        "gear": Discrete(3, start=1),
        "lamps": MultiBinary(2),
        "place": Box(-1, 1, (2, 2), np.float64),
    })  # fmt: skip
    action_space = MultiDiscrete((2, 4))

    def _obs(self):
        return {"place": np.full((2, 2), 0.5), "gear": 2, "lamps": np.array([1, 0]), "dials": np.array([1, 0])}

    def step(self, action):
        assert action.shape == (2,)
        return Transition(self._obs(), float(action.sum()), False, False)


class Unsendable(Exception):
    """Cannot be made again from what it tells."""

    def __init__(self, a, b):
        super().__init__(a)


def raises_unsendable(text):
    raise Unsendable(text, lambda: None)


def cannot_be_made():
    raise OSError("no such device")


def dies_when_made():
    os._exit(7)


def odd_spaces():
    env = Walk()
    env.action_space = Discrete(3)
    return env
