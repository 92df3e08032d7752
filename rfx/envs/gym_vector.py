"""Our engines as a vector environment of Gymnasium, with its three ways to begin episodes anew."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.engines import engine_of
from rfx.envs.frames import MODES as RENDER_MODES
from rfx.envs.frames import checked_mode, rendered, takes_mode
from rfx.envs.registration import gymnasium_installed, register
from rfx.envs.spaces import to_gymnasium
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError

gymnasium_installed()

import gymnasium  # noqa: E402
from gymnasium.vector import AutoresetMode, VectorEnv  # noqa: E402
from gymnasium.vector.utils import batch_space  # noqa: E402

LARGEST_SEED = 2**64 - 1
MODES = {AutoresetMode.SAME_STEP: SAME_STEP, AutoresetMode.NEXT_STEP: NEXT_STEP, AutoresetMode.DISABLED: DISABLED}


def autoreset_mode_of(mode: Any) -> AutoresetMode:
    """Return the mode that is meant by itself, its value ("NextStep") or its name ("NEXT_STEP"); ConfigError for others."""
    for known in AutoresetMode:
        if mode in (known, known.value, known.name):
            return known
    raise ConfigError(f"expected autoreset_mode to be one of {[m.value for m in AutoresetMode]}, got {mode!r}")


class RfxVectorEnv(VectorEnv):
    """Many environments of one kind as ``gymnasium.vector.VectorEnv``.

    What it returns is what ``gymnasium.vector.SyncVectorEnv`` over the single environments returns, infos included, with
    one difference: observations are flat rows of float32, whatever the environment's space is.

    Parameters
    ----------
    env_or_id : str, callable, sequence of callables, or Engine
        See :func:`rfx.envs.engine_of`.
    num_envs : int
    autoreset_mode : AutoresetMode or str
        NEXT_STEP by default, as in Gymnasium.
    seed : int, optional
        What the first ``reset()`` without a seed begins from; entropy of the system if not given. Environment i draws from
        ``seed + i``, as Gymnasium does it, so runs with neighbouring seeds share environments: ``rfx.envs.VecEnv`` and lists
        of seeds do not.
    workers : int
        How many processes environments of Python run in; 0 steps them in turn.
    copy : bool
        False returns the same array of observations from each call, written over by the next.
    render_mode : str, optional
        "rgb_array" or "ansi", for :meth:`render`; handed on to makers of environments that take it.
    options
        Keywords for the environment.
    """

    def __init__(
        self,
        env_or_id: Any,
        num_envs: int = 1,
        *,
        autoreset_mode: Any = AutoresetMode.NEXT_STEP,
        seed: int | None = None,
        workers: int = 0,
        copy: bool = True,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.autoreset_mode = autoreset_mode_of(autoreset_mode)
        self._seed = None if seed is None else arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        self.render_mode, self._made_with_mode = checked_mode(render_mode), takes_mode(env_or_id)
        self._env_id = env_or_id if isinstance(env_or_id, str) else None
        if self._made_with_mode and render_mode is not None:
            options["render_mode"] = render_mode
        self.engine = engine_of(env_or_id, num_envs, workers, options)
        self.copy, self.num_envs = copy, self.engine.num_envs
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": list(RENDER_MODES), "render_fps": 50}
        self.single_observation_space = to_gymnasium(self.engine.observation_space)
        self.single_action_space = to_gymnasium(self.engine.action_space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        shape = (self.num_envs, self.engine.obs_dim)
        self._obs, self._led_to = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._begun = False

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes anew.

        Parameters
        ----------
        seed : int or sequence of int or None, optional
            An int s seeds environment i with s + i; None leaves a stream where it is.
        options : dict, optional
            ``reset_mask``, (num_envs,) of bool: which to reset. Others are handed on to environments of Python, and refused
            by compiled ones.

        Returns
        -------
        observations : ndarray of float32, (num_envs, obs_dim)
        infos : dict

        Raises
        ------
        ConfigError
            An option that compiled environments have not.
        ShapeError, InvalidValueError, DTypeError
            Seeds or a mask that do not fit; nothing has changed then.
        """
        further = dict(options or {})
        mask = self._mask(further.pop("reset_mask", None)) if "reset_mask" in further else None
        if mask is not None and not self._begun:
            raise InvalidStateError("expected a reset() of all environments before one with a mask")
        takes_options = hasattr(self.engine, "infos")
        if further and not takes_options:
            raise ConfigError(f"expected no option but reset_mask for compiled environments, got {list(further)}")
        self._reseed(seed, mask)
        obs = self._new_obs()
        if takes_options:
            self.engine.reset(obs, mask, further)
        else:
            self.engine.reset(obs, mask)
        self._begun = True
        infos: dict[str, Any] = {}
        for i, info in enumerate(getattr(self.engine, "infos", ())):
            if mask is None or mask[i]:
                infos = self._add_info(infos, info, i)
        return obs, infos

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise DTypeError(f"expected options['reset_mask'] to be a numpy array of bool, got {mask!r}")
        if mask.shape != (self.num_envs,):
            raise ShapeError(f"expected options['reset_mask'] of shape ({self.num_envs},), got {mask.shape}")
        if not mask.any():
            raise InvalidValueError("expected options['reset_mask'] to name at least one environment, got none")
        return mask

    def _reseed(self, seed: Any, mask: NDArray[np.bool_] | None) -> None:
        n = self.num_envs
        if seed is None and not self._begun:
            seed = self.np_random.integers(2**63, size=n).tolist() if self._seed is None else self._seed
        if seed is None:
            return
        if isinstance(seed, (int, np.integer)):
            first = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED - n)
            super().reset(seed=first)
            seeds: list[Any] = [first + i for i in range(n)]
        else:
            seeds = list(seed)
        if len(seeds) != n:
            raise ShapeError(f"expected {n} seeds, got {len(seeds)}")
        chosen = np.array([s is not None for s in seeds]) & (np.True_ if mask is None else mask)
        whole = [0 if s is None else arrays.integer(s, "seed", minimum=0, maximum=LARGEST_SEED) for s in seeds]
        if chosen.all():
            self.engine.seed(np.array(whole, np.uint64))
        elif chosen.any():
            self.engine.seed(np.array(whole, np.uint64), chosen)

    def step(self, actions: ArrayLike) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step of each environment.

        Returns
        -------
        observations : ndarray of float32, (num_envs, obs_dim)
        rewards : ndarray of float64, (num_envs,)
        terminations, truncations : ndarray of bool, (num_envs,)
        infos : dict
            With SAME_STEP, ``final_obs`` and ``final_info`` and their masks where an episode ended.

        Raises
        ------
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space; no environment has moved.
        InvalidStateError
            Nothing was reset yet; or, with DISABLED, an environment that has ended was not.
        EnvError
            An environment of Python raised, or its worker has gone.
        """
        if not self._begun:
            raise InvalidStateError("expected reset() first")
        n, engine = self.num_envs, self.engine
        rewards, terminated, truncated = np.empty(n), np.empty(n, np.bool_), np.empty(n, np.bool_)
        obs = self._new_obs()
        engine.step(actions, obs, rewards, terminated, truncated, self._led_to, MODES[self.autoreset_mode])
        if hasattr(engine, "infos"):
            infos = self._infos_of(terminated | truncated)
        elif self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos = self._ends(terminated | truncated)
        else:
            infos = {}
        return obs, rewards, terminated, truncated, infos

    def _new_obs(self) -> NDArray[np.float32]:
        return np.empty_like(self._obs) if self.copy else self._obs

    def _ends(self, done: NDArray[np.bool_]) -> dict[str, Any]:
        """What compiled environments, which say nothing, tell of episodes that ended."""
        ended = done.nonzero()[0]
        if not len(ended):
            return {}
        final = np.empty(self.num_envs, object)  # of None
        for i, row in zip(ended.tolist(), self._led_to[ended], strict=True):
            final[i] = row
        return {"final_obs": final, "_final_obs": done, "final_info": {}, "_final_info": done.copy()}

    def _infos_of(self, done: NDArray[np.bool_]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        same = self.autoreset_mode is AutoresetMode.SAME_STEP
        for i, info in enumerate(self.engine.infos):
            if same and done[i]:
                ended = {"final_obs": self._led_to[i].copy(), "final_info": self.engine.final_infos[i]}
                infos = self._add_info(infos, ended, i)
            infos = self._add_info(infos, info, i)
        return infos

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of each environment of Python, or read an attribute; compiled ones are one object, whose it is."""
        if hasattr(self.engine, "call"):
            return tuple(self.engine.call(name, *args, **kwargs))
        found = getattr(self.engine, name)
        value = found(*args, **kwargs) if callable(found) else found
        return (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Read an attribute of each environment."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each environment of Python, to one value or to a list of them."""
        if not hasattr(self.engine, "set_attr"):
            raise AttributeError(f"compiled environments have no attribute {name!r} that could be set")
        each = list(values) if isinstance(values, (list, tuple)) else [values] * self.num_envs
        self.engine.set_attr(name, each)

    def restart_workers(self) -> NDArray[np.bool_]:
        """Start worker processes that have gone again; which environments are new, for ``reset_mask``."""
        if not hasattr(self.engine, "restart_workers"):
            raise InvalidStateError(f"expected environments in worker processes, {self.engine!r} has none")
        return self.engine.restart_workers()

    def render(self) -> tuple[Any, ...] | None:
        """Return what each environment shows: pictures, (height, width, 3) of uint8, or lines of text by ``render_mode``.

        None without ``render_mode``. Compiled environments have pictures only; ConfigError for "ansi".
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() was called without a render_mode, give one when the environment is made")
            return None
        return tuple(rendered(self.engine, self._env_id, self.render_mode, self._made_with_mode))

    def close_extras(self, **kwargs: Any) -> None:
        """End the environments of Python and their processes."""
        if hasattr(self.engine, "close"):
            self.engine.close()


def make_registered(num_envs: int, env_id: str, **kwargs: Any) -> RfxVectorEnv:
    """What ``gymnasium.make_vec`` calls for our ids."""
    return RfxVectorEnv(env_id, num_envs, **kwargs)


register()
