"""The engine interface over environments of Python; here those that are stepped in turn in this process."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.flat import ActionRows
from rfx.envs.group import Failure, Group, Maker, raise_failures
from rfx.envs.masks import mask_of
from rfx.envs.slots import ENDED, FAILED, FRESH, Slots
from rfx.errors import ConfigError, DTypeError, InvalidStateError, ShapeError
from rfx.seeding import derive_seed

LARGEST_SEED = 2**64 - 1


class SlotEngine:
    """What engines over environments of Python have in common: checks before, and copies out of the slots after.

    Attributes
    ----------
    infos : list of dict
        What each environment said with its observation in the last call.
    final_infos : list of dict
        With SAME_STEP, what it said with the last step of the episode that ended in this call.
    """

    num_envs: int
    obs_dim: int
    max_episode_steps: int
    observation_space: Any
    action_space: Any
    infos: list[dict[str, Any]]
    final_infos: list[dict[str, Any]]

    def _hold(self, group: Any, slots: Slots, rows: ActionRows) -> None:
        """Take on the spaces of the first group, and the slots."""
        self.num_envs, self.obs_dim = slots.n, slots.form[1]
        self.observation_space, self.action_space = group.observation_space, group.action_space
        self.max_episode_steps = group.max_episode_steps
        self._slots: Slots | None = slots
        self._rows = rows
        self._lock = threading.RLock()
        self.infos = [{} for _ in range(slots.n)]
        self.final_infos = [{} for _ in range(slots.n)]
        slots.phase[:] = FRESH

    def _run_reset(self, options: dict[str, Any] | None) -> list[Failure]:
        raise InvalidStateError("expected an engine that can be run")

    def _run_step(self, autoreset: int) -> list[Failure]:
        raise InvalidStateError("expected an engine that can be run")

    def _run_call(self, what: str, indices: Sequence[int], args: tuple[Any, ...]) -> list[Any]:
        raise InvalidStateError("expected an engine that can be run")

    def _open(self) -> Slots:
        """Return the slots once nobody else writes to them."""
        if self._slots is None:
            raise InvalidStateError("expected an open engine, this one is closed")
        return self._slots

    def seed(self, seeds: ArrayLike, mask: NDArray[np.bool_] | None = None) -> None:
        """Have each environment, or those of ``mask``, draw from its seed when it begins anew: (num_envs,) of uint64.

        A Python environment gets its seed by ``reset(seed=...)``.
        """
        given = np.asarray(seeds)
        if given.shape != (self.num_envs,):
            raise ShapeError(f"expected {self.num_envs} seeds, got shape {given.shape}")
        whole = [arrays.integer(s, "seed", minimum=0, maximum=LARGEST_SEED) for s in given.tolist()]
        with self._lock:
            slots = self._open()
            chosen = mask_of(mask, self.num_envs)
            slots.seeds[chosen] = np.array(whole, np.uint64)[chosen]
            slots.seeded[chosen] = True

    def seed_from(self, master: int) -> None:
        """Have environment i draw from ``derive_seed(master, i)`` when it begins anew."""
        word = arrays.integer(master, "seed", minimum=0, maximum=LARGEST_SEED)
        self.seed(np.array([derive_seed(word, i) for i in range(self.num_envs)], np.uint64))

    def reset(
        self,
        out: NDArray[np.float32] | None = None,
        mask: NDArray[np.bool_] | None = None,
        options: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Begin episodes anew, all or where ``mask`` is true; the observations of all, (num_envs, obs_dim).

        Parameters
        ----------
        out : ndarray of float32, optional
        mask : ndarray of bool, optional
        options : dict, optional
            For environments of Gymnasium: handed on to their ``reset``.

        Raises
        ------
        EnvError
            An environment raised; it must be reset again before it can go on. The others have begun anew.
        """
        obs = arrays.out_array(out, (self.num_envs, self.obs_dim), np.float32)
        with self._lock:
            slots = self._open()
            slots.mask[:] = mask_of(mask, self.num_envs)
            failures = self._run_reset(options)
            obs[:] = slots.obs
            raise_failures(failures)
        return obs

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
        """Take one step of all into the arrays given, as :class:`rfx.envs.engine.Engine` says.

        Raises
        ------
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space, or an array does not fit; nothing has moved.
        InvalidStateError
            An environment has ended, has failed or was never reset, or the engine is closed; nothing has moved.
        EnvError
            An environment raised or lost its process. The others have taken their step, and the arrays have their results;
            ``environments`` says which must be reset.
        """
        if autoreset not in (SAME_STEP, NEXT_STEP, DISABLED):
            raise ConfigError(f"expected autoreset to be SAME_STEP, NEXT_STEP or DISABLED, got {autoreset!r}")
        n, shape = self.num_envs, (self.num_envs, self.obs_dim)
        outs: tuple[NDArray[Any], ...] = (obs, rewards, terminated, truncated, terminal_obs)
        shapes, dtypes = (shape, (n,), (n,), (n,), shape), (np.float32, np.float64, np.bool_, np.bool_, np.float32)
        names = ("obs", "rewards", "terminated", "truncated", "terminal_obs")
        for array, want, dtype, name in zip(outs, shapes, dtypes, names, strict=True):
            if array is None:
                raise DTypeError(f"expected {name} to be a numpy array, got None")
            arrays.out_array(array, want, dtype, name=name)
        with self._lock:
            slots = self._open()
            self._check_phases(slots, autoreset)
            slots.actions[:] = self._rows.checked(actions, n, slots.phase == ENDED)
            failures = self._run_step(autoreset)
            for array, name in zip(outs, names, strict=True):
                np.copyto(array, getattr(slots, name))
            raise_failures(failures)

    def _check_phases(self, slots: Slots, autoreset: int) -> None:
        least = FAILED if autoreset == NEXT_STEP else ENDED
        waiting = np.flatnonzero(slots.phase >= least)
        if not len(waiting):
            return
        i = int(waiting[0])
        why = {ENDED: "its episode has ended", FAILED: "it has failed", FRESH: "it was never reset"}[slots.phase[i]]
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        raise InvalidStateError(f"expected reset() of environment {i}{more} first: {why}")

    def _indices(self, indices: Any) -> list[int]:
        chosen = range(self.num_envs) if indices is None else [indices] if np.ndim(indices) == 0 else indices
        return [arrays.integer(i, "index", minimum=0, maximum=self.num_envs - 1) for i in chosen]

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of all environments, or of some."""
        with self._lock:
            self._open()
            return self._run_call("attribute", self._indices(indices), (name,))

    def set_attr(self, name: str, values: Sequence[Any], indices: Any = None) -> None:
        """Set an attribute of all environments, or of some, each to its value."""
        chosen = self._indices(indices)
        if len(values) != len(chosen):
            raise ShapeError(f"expected {len(chosen)} values, got {len(values)}")
        with self._lock:
            self._open()
            self._run_call("set_attribute", chosen, (name, list(values)))

    def call(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of all environments, or of some; what it returned."""
        with self._lock:
            self._open()
            return self._run_call("call", self._indices(indices), (name, args, kwargs))

    def __enter__(self) -> "SlotEngine":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all environments; done twice it does nothing."""
        self._slots = None


class PythonEngine(SlotEngine):
    """Environments of Python, stepped in turn in this process.

    Parameters
    ----------
    makers : sequence of callable
        One for each environment: called without arguments it returns an environment with ``reset(seed)`` and ``step(action)``
        in our manner or in Gymnasium's, with spaces of ``rfx.envs`` or of Gymnasium, the same for all.

    Raises
    ------
    ConfigError
        What a maker returned is no environment, its spaces are of no kind that we have, or they differ.
    EnvError
        A maker raised.
    """

    def __init__(self, makers: Sequence[Maker]) -> None:
        self._group = Group(makers)
        try:
            rows = ActionRows(self._group.action_space)
        except ConfigError:
            self._group.close()
            raise
        width = self._group.observation_space.low.size
        self._hold(self._group, Slots((len(makers), width, rows.shape, rows.dtype.str)), rows)

    @property
    def envs(self) -> list[Any]:
        """The environments themselves."""
        return [adapter.env for adapter in self._group.adapters]

    def _run_reset(self, options: dict[str, Any] | None) -> list[Failure]:
        failures = self._group.reset(self._open(), options)
        self.infos, self.final_infos = self._group.infos, self._group.final_infos
        return failures

    def _run_step(self, autoreset: int) -> list[Failure]:
        failures = self._group.step(self._open(), autoreset)
        self.infos, self.final_infos = self._group.infos, self._group.final_infos
        return failures

    def _run_call(self, what: str, indices: Sequence[int], args: tuple[Any, ...]) -> list[Any]:
        results: list[Any] = []
        for k, i in enumerate(indices):  # an exception of get_attr and call is the environment's own
            here = (args[0], args[1][k]) if what == "set_attribute" else args
            results.append(getattr(self._group.adapters[i], what)(*here))
        return results

    def close(self) -> None:
        """Close all environments; done twice it does nothing."""
        with self._lock:
            self._group.close()
            self._slots = None

    def __repr__(self) -> str:
        return f"PythonEngine(num_envs={self.num_envs})"
