"""Environments of Python stepped in turn through slots: all of them in this process, or a share in a worker's."""

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
        self.infos: list[dict[str, Any]] = [{} for _ in makers]
        self.final_infos: list[dict[str, Any]] = [{} for _ in makers]

    def reset(self, slots: Slots, options: dict[str, Any] | None = None) -> list[Failure]:
        """Begin episodes anew where the mask is set, from new seeds where there are some."""
        failures = []
        for i in range(slots.n):
            self.infos[i], self.final_infos[i] = {}, {}
            if not slots.mask[i]:
                continue
            try:
                self._begin(slots, i, options)
            except Exception as error:
                failures.append(self._failed(slots, i, error))
        return failures

    def step(self, slots: Slots, autoreset: int) -> list[Failure]:
        """Take one step of all; what raises is noted, the others take their step all the same."""
        failures = []
        for i in range(slots.n):
            self.infos[i], self.final_infos[i] = {}, {}
            try:
                self._step(slots, i, autoreset)
            except Exception as error:
                failures.append(self._failed(slots, i, error))
        return failures

    def _step(self, slots: Slots, i: int, autoreset: int) -> None:
        slots.rewards[i], slots.terminated[i], slots.truncated[i] = 0.0, False, False
        if slots.phase[i] == ENDED and autoreset == NEXT_STEP:
            self._begin(slots, i, None)
            slots.terminal_obs[i] = slots.obs[i]
            return
        action = slots.actions[i]
        action = action.copy() if isinstance(action, np.ndarray) else action
        obs, reward, terminated, truncated, self.infos[i] = self.adapters[i].step(action)
        if not np.isfinite(reward):
            raise InvalidValueError(f"expected the reward to be finite, got {reward}")
        self._write(obs, slots, i)
        slots.terminal_obs[i] = slots.obs[i]
        slots.rewards[i], slots.terminated[i], slots.truncated[i] = reward, terminated, truncated
        if not (terminated or truncated):
            return
        slots.phase[i] = ENDED
        if autoreset == SAME_STEP:
            self.final_infos[i] = self.infos[i]
            self._begin(slots, i, None)

    def _begin(self, slots: Slots, i: int, options: dict[str, Any] | None) -> None:
        seed = int(slots.seeds[i]) if slots.seeded[i] else None
        obs, self.infos[i] = self.adapters[i].reset(seed, options)
        self._write(obs, slots, i)
        slots.seeded[i], slots.phase[i] = False, RUNNING

    def _write(self, obs: Any, slots: Slots, i: int) -> None:
        self.write(obs, slots.obs[i])
        if np.isnan(slots.obs[i]).any():
            slots.obs[i] = 0.0
            raise InvalidValueError("expected an observation without NaN")

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
