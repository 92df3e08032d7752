"""Our engines as a ``VecEnv`` of stable-baselines3."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.envs.engine import SAME_STEP
from rfx.envs.engines import engine_of
from rfx.envs.frames import checked_mode, rendered, takes_mode
from rfx.envs.spaces import to_gymnasium
from rfx.errors import InvalidStateError, MissingDependencyError

try:
    from stable_baselines3.common.vec_env import VecEnv as Sb3Base  # type: ignore[import-not-found]
except ImportError as missing:
    raise MissingDependencyError(
        f"stable-baselines3 is needed for this: `pip install stable-baselines3` ({missing})"
    ) from missing

LARGEST_SEED = 2**64 - 1


class Sb3VecEnv(Sb3Base):
    """Many environments of one kind for the algorithms of stable-baselines3.

    Where an episode ended, ``infos[i]`` has ``terminal_observation`` and ``TimeLimit.truncated`` (cut, and not over by
    itself), and the observation is the first of the next episode. Rewards are float32, as stable-baselines3 has them.

    Parameters
    ----------
    env_or_id : str, callable, sequence of callables, or Engine
        See :func:`rfx.envs.engine_of`.
    num_envs : int
    seed : int
        Environment i draws from ``derive_seed(seed, i)`` until :meth:`seed` says something else.
    workers : int
        How many processes environments of Python run in; 0 steps them in turn.
    render_mode : str, optional
        "rgb_array" for :meth:`render`; handed on to makers of environments that take it.
    options
        Keywords for the environment.
    """

    def __init__(
        self,
        env_or_id: Any,
        num_envs: int,
        seed: int = 0,
        workers: int = 0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self._mode, self._made_with_mode = checked_mode(render_mode), takes_mode(env_or_id)
        self._env_id = env_or_id if isinstance(env_or_id, str) else None
        if self._made_with_mode and render_mode is not None:
            options["render_mode"] = render_mode
        self.engine = engine_of(env_or_id, num_envs, workers, options)
        self.engine.seed_from(seed)
        n, d = self.engine.num_envs, self.engine.obs_dim
        self._out = (np.empty((n, d), np.float32), np.empty(n), np.empty(n, np.bool_), np.empty(n, np.bool_))
        self._led_to = np.empty((n, d), np.float32)
        self._actions: Any = None
        super().__init__(n, to_gymnasium(self.engine.observation_space), to_gymnasium(self.engine.action_space))

    def reset(self) -> NDArray[np.float32]:
        """Begin all episodes anew, from the seeds of :meth:`seed` if there are new ones; (num_envs, obs_dim) of float32."""
        if any(self._options):
            raise InvalidStateError("expected no options for reset(): the engine interface has none")
        if all(s is not None for s in self._seeds):
            self.engine.seed(np.array(self._seeds, np.uint64))
        self._reset_seeds()
        obs = self.engine.reset()
        self.reset_infos = [dict(info) for info in getattr(self.engine, "infos", [{}] * self.num_envs)]
        return obs

    def step_async(self, actions: Any) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take the step: observations, rewards, whether episodes ended, infos.

        Raises
        ------
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space; no environment has moved.
        """
        if self._actions is None:
            raise InvalidStateError("expected step_async() first")
        actions, self._actions = self._actions, None
        obs, rewards, terminated, truncated = self._out
        engine, n = self.engine, self.num_envs
        engine.step(actions, obs, rewards, terminated, truncated, self._led_to, SAME_STEP)
        done = terminated | truncated
        told = getattr(engine, "infos", None)
        infos: list[dict[str, Any]] = [{} for _ in range(n)] if told is None else [dict(info) for info in told]
        for info in infos:
            info["TimeLimit.truncated"] = False
        for i in np.flatnonzero(done).tolist():
            if told is not None:
                self.reset_infos[i], infos[i] = dict(told[i]), dict(engine.final_infos[i])
            infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
            infos[i]["terminal_observation"] = self._led_to[i].copy()
        return obs.copy(), rewards.astype(np.float32), done, infos

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Have environment i draw from ``seed + i`` from the next reset on, as stable-baselines3 does it."""
        if seed is not None:
            arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED - self.num_envs)
        return list(super().seed(seed))

    def close(self) -> None:
        """End the environments of Python and their processes."""
        if hasattr(self.engine, "close"):
            self.engine.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Read an attribute of environments; compiled ones are one object, whose it is for all of them."""
        if attr_name == "render_mode":
            return [self._mode for _ in self._get_indices(indices)]
        if hasattr(self.engine, "get_attr"):
            return self.engine.get_attr(attr_name, self._some(indices))
        return [getattr(self.engine, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of environments of Python to one value."""
        if not hasattr(self.engine, "set_attr"):
            raise AttributeError(f"compiled environments have no attribute {attr_name!r} that could be set")
        chosen = list(self._get_indices(indices))
        self.engine.set_attr(attr_name, [value] * len(chosen), chosen)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of environments of Python."""
        if not hasattr(self.engine, "call"):
            raise AttributeError(f"compiled environments have no method {method_name!r} of their own")
        return self.engine.call(method_name, *method_args, indices=self._some(indices), **method_kwargs)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Whether environments are wrapped so: none is, wrappers of this adapter are around all of them."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> list[NDArray[np.uint8] | None]:
        """Return a picture of each environment, (height, width, 3) of uint8; None without ``render_mode="rgb_array"``."""
        if self.render_mode != "rgb_array":
            return [None] * self.num_envs
        return rendered(self.engine, self._env_id, "rgb_array", self._made_with_mode)

    def _some(self, indices: Any) -> list[int]:
        chosen: Iterable[int] = self._get_indices(indices)
        return [int(i) for i in chosen]

    def __repr__(self) -> str:
        return f"Sb3VecEnv({self.engine!r})"
