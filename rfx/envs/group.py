"""Environments of Python stepped in turn through slots: all of them in this process, or a share in a worker's."""

import math
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rfx.envs.adapter import Adapter
from rfx.envs.engine import NEXT_STEP, SAME_STEP
from rfx.envs.flat import flat_space, writer_of
from rfx.envs.slots import ENDED, FAILED, RUNNING, Slots
from rfx.errors import ConfigError, EnvError, InvalidValueError

Maker = Callable[[], Any]


class Failure(NamedTuple):
    """What went wrong in one environment; ``trace`` is the traceback as text where it was in another process."""

    env: int
    error: BaseException | None
    trace: str = ""


def raise_failures(failures: Sequence[Failure]) -> None:
    """Raise EnvError for the failures of one call, if there are any; its cause is the first exception."""
    if not failures:
        return
    first = failures[0]
    text = f"environment {first.env} failed: {type(first.error).__name__}: {first.error}"
    if len(failures) > 1:
        text += f" (also environments {', '.join(str(f.env) for f in failures[1:])})"
    if first.trace:
        text += f"\n\nIn the worker:\n{first.trace}"
    error = EnvError(text)
    error.environments = tuple(f.env for f in failures)
    raise error from first.error


class Group:
    """Environments from ``makers``; number 0 here is number ``first`` to the caller."""

    def __init__(self, makers: Sequence[Maker], first: int = 0) -> None:
        self.first, self.adapters = first, list[Adapter]()
        try:
            for k, make in enumerate(makers):
                try:
                    self.adapters.append(Adapter(make()))
                except ConfigError:
                    raise
                except Exception as error:
                    raise_failures([Failure(first + k, error)])
            head = self.adapters[0]
            self.observation_space, self.action_space = flat_space(head.observation_space), head.action_space
            self.write = writer_of(head.observation_space)
            self.max_episode_steps = head.max_episode_steps
            for k, other in enumerate(self.adapters):
                spaces = (other.observation_space, other.action_space)
                if spaces != (head.observation_space, head.action_space):
                    raise ConfigError(f"expected environments of the same spaces, {first + k} differs from {first}")
        except BaseException:
            self.close()
            raise
        self._say_nothing()

    def _say_nothing(self) -> None:
        # new lists: those of the last call are the caller's
        self.infos: list[dict[str, Any]] = [{} for _ in self.adapters]
        self.final_infos: list[dict[str, Any]] = [{} for _ in self.adapters]

    def reset(self, slots: Slots, options: dict[str, Any] | None = None) -> list[Failure]:
        """Begin episodes anew where the mask is set, from new seeds where there are some."""
        self._say_nothing()
        failures = []
        for i in range(slots.n):
            if not slots.mask[i]:
                continue
            try:
                self._begin(slots, i, options)
            except Exception as error:
                failures.append(self._failed(slots, i, error))
        return failures

    def step(self, slots: Slots, autoreset: int) -> list[Failure]:
        """Take one step of all; what raises is noted, the others take their step all the same."""
        n, led_to, phases = slots.n, slots.terminal_obs, slots.phase.tolist()
        rewards, terminated, truncated = [0.0] * n, [False] * n, [False] * n
        actions = list(slots.actions.copy())  # an environment may keep its action
        self._say_nothing()
        failures, anew = [], []
        for i, adapter in enumerate(self.adapters):
            if phases[i] == ENDED:
                anew.append(i)
                continue
            try:
                obs, reward, over, cut, info = adapter.step(actions[i])
                self.write(obs, led_to[i])
                if not math.isfinite(reward):
                    raise InvalidValueError(f"expected the reward to be finite, got {reward}")
            except Exception as error:
                failures.append(self._failed(slots, i, error))
                continue
            self.infos[i], rewards[i], terminated[i], truncated[i] = info, reward, over, cut
            if over or cut:
                slots.phase[i] = ENDED
                if autoreset == SAME_STEP:
                    anew.append(i)
        slots.rewards[:], slots.terminated[:], slots.truncated[:] = rewards, terminated, truncated
        for i in np.flatnonzero(np.isnan(led_to).any(axis=1)).tolist():
            led_to[i] = 0.0
            if slots.phase[i] != FAILED:
                failures.append(self._failed(slots, i, InvalidValueError("expected an observation without NaN")))
        slots.obs[:] = led_to
        for i in anew:
            if slots.phase[i] == ENDED:
                self._go_on(slots, i, autoreset, failures)
        return failures

    def _go_on(self, slots: Slots, i: int, autoreset: int, failures: list[Failure]) -> None:
        """Begin the next episode of an environment whose last one ended in this step, or in the one before."""
        self.final_infos[i] = self.infos[i]
        try:
            self._begin(slots, i, None)
        except Exception as error:
            failures.append(self._failed(slots, i, error))
        if autoreset == NEXT_STEP:
            self.final_infos[i] = {}
            slots.terminal_obs[i] = slots.obs[i]

    def _begin(self, slots: Slots, i: int, options: dict[str, Any] | None) -> None:
        seed = int(slots.seeds[i]) if slots.seeded[i] else None
        obs, self.infos[i] = self.adapters[i].reset(seed, options)
        self.write(obs, slots.obs[i])
        if np.isnan(slots.obs[i]).any():
            slots.obs[i] = 0.0
            raise InvalidValueError("expected an observation without NaN")
        slots.seeded[i], slots.phase[i] = False, RUNNING

    def _failed(self, slots: Slots, i: int, error: Exception) -> Failure:
        slots.phase[i] = FAILED
        slots.rewards[i], slots.terminated[i], slots.truncated[i] = 0.0, False, False
        return Failure(self.first + i, error)

    def call(self, what: str, local: Sequence[int], args: tuple[Any, ...]) -> tuple[list[Any], list[Failure]]:
        """Do one thing with each of some environments: ``attribute``, ``set_attribute`` or ``call``."""
        results: list[Any] = []
        for k, i in enumerate(local):
            try:
                here = (args[0], args[1][k]) if what == "set_attribute" else args
                results.append(getattr(self.adapters[i], what)(*here))
            except Exception as error:
                return results, [Failure(self.first + i, error)]
        return results, []

    def close(self) -> None:
        """Close all environments; one that cannot be closed does not keep the others."""
        adapters, self.adapters = self.adapters, []
        for adapter in adapters:
            try:
                adapter.close()
            except Exception:
                traceback.print_exc()

    def __repr__(self) -> str:
        return f"Group({len(self.adapters)} environments from {self.first} on)"
