"""Recorded data sets: transitions and pieces of trajectories with their returns-to-go."""

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.buffers.columns import observation_columns
from rfx.buffers.layout import fitted
from rfx.errors import ConfigError, InvalidValueError, ShapeError
from rfx.seeding import ChaCha8Rng, rng_from_seed

SMALLEST_STD = 1e-6


class OfflineDataset:
    """A fixed set of recorded transitions, episode after episode.

    Parameters
    ----------
    obs, actions, next_obs : array_like
        (N, ...), kept in the dtype they have; float64 observations become float32.
    rewards : array_like
        (N,).
    terminated, truncated : array_like of bool
        (N,). An episode ends with either; the last transition ends one in any case.
    normalize : bool
        Give observations with mean 0 and standard deviation 1, number by number, in all samples.
    gamma : float
        Discount of returns-to-go, 0 to 1.

    Attributes
    ----------
    columns : dict of str to ndarray
        What is stored, not normalised: views.
    starts : ndarray of int64
        Where each episode begins, and N at the end.
    returns_to_go : ndarray of float32, (N,)
        ``r_t + gamma r_{t+1} + ...`` to the end of the episode (not of a sampled piece of it).
    """

    def __init__(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_obs: ArrayLike,
        *,
        normalize: bool = False,
        gamma: float = 1.0,
    ) -> None:
        n = len(np.asarray(rewards))
        if n == 0:
            raise InvalidValueError("expected at least one transition, got none")
        seen = _observations(obs, "obs", n)
        self.columns: dict[str, NDArray[Any]] = {
            "obs": seen,
            "actions": _rows(actions, "actions", n),
            "rewards": fitted(np.asarray(rewards, np.float32), "rewards", (n,), np.dtype(np.float32)),
            "terminated": fitted(terminated, "terminated", (n,), np.dtype(np.bool_)),
            "truncated": fitted(truncated, "truncated", (n,), np.dtype(np.bool_)),
            "next_obs": _observations(next_obs, "next_obs", n),
        }
        if self.columns["next_obs"].shape != seen.shape:
            raise ShapeError(f"expected next_obs of shape {seen.shape}, got {self.columns['next_obs'].shape}")
        for name in ("obs", "rewards", "next_obs"):
            if self.columns[name].dtype.kind == "f":
                arrays.finite(self.columns[name], name)
        self.gamma = arrays.number(gamma, "gamma", minimum=0.0, maximum=1.0)
        ends = np.flatnonzero(self.columns["terminated"] | self.columns["truncated"]) + 1
        self.starts = np.unique(np.concatenate([[0], ends, [n]])).astype(np.int64)
        self.returns_to_go = self._returns_to_go()
        self.mean, self.std = np.zeros(seen.shape[1:], np.float32), np.ones(seen.shape[1:], np.float32)
        if normalize:
            self.mean = seen.mean(0, dtype=np.float64).astype(np.float32)
            self.std = np.maximum(seen.std(0, dtype=np.float64), SMALLEST_STD).astype(np.float32)
        self.normalize = bool(normalize)

    def _returns_to_go(self) -> NDArray[np.float32]:
        rewards = self.columns["rewards"].astype(np.float64)
        total = np.empty(len(rewards))
        last = np.zeros(len(rewards), bool)
        last[self.starts[1:] - 1] = True
        after = 0.0
        for t in range(len(rewards) - 1, -1, -1):
            after = rewards[t] + (0.0 if last[t] else self.gamma * after)
            total[t] = after
        return total.astype(np.float32)

    def __len__(self) -> int:
        return len(self.columns["rewards"])

    def n_episodes(self) -> int:
        """Count the episodes."""
        return len(self.starts) - 1

    def episode_returns(self) -> NDArray[np.float64]:
        """Return the sum of rewards of each episode, not discounted, (n_episodes,)."""
        return np.add.reduceat(self.columns["rewards"].astype(np.float64), self.starts[:-1])

    def stats(self) -> dict[str, float]:
        """Return counts, and mean, std (of the population), least and largest return of an episode, and mean length."""
        returns, lengths = self.episode_returns(), np.diff(self.starts)
        return {
            "n_transitions": len(self),
            "n_episodes": self.n_episodes(),
            "mean_return": float(returns.mean()),
            "std_return": float(returns.std()),
            "min_return": float(returns.min()),
            "max_return": float(returns.max()),
            "mean_episode_length": float(lengths.mean()),
        }

    def normalized(self, obs: NDArray[Any]) -> NDArray[Any]:
        """Return observations as samples give them, ``(obs - mean) / std`` where the set normalises; a copy then."""
        return (obs - self.mean) / self.std if self.normalize else obs

    def sample(self, batch_size: int, seed: int) -> dict[str, NDArray[Any]]:
        """Draw transitions uniformly, with replacement.

        Parameters
        ----------
        batch_size : int
            At least 0.
        seed : int
            0 to 2**64 - 1; the same draws as of rlox 1.2.0.

        Returns
        -------
        dict of str to ndarray
            ``obs``, ``actions``, ``rewards``, ``terminated``, ``truncated``, ``next_obs``, ``returns_to_go``, (B, ...),
            copies; ``indices``, int64.
        """
        index = rng_from_seed(seed).integers(len(self), size=arrays.integer(batch_size, "batch_size", minimum=0))
        batch = {name: column[index] for name, column in self.columns.items()}
        batch["obs"], batch["next_obs"] = self.normalized(batch["obs"]), self.normalized(batch["next_obs"])
        return {**batch, "returns_to_go": self.returns_to_go[index], "indices": index}

    def sample_trajectories(
        self, batch_size: int, seq_len: int, seed: int, *, over: str = "episodes", pad: str = "right"
    ) -> dict[str, NDArray[Any]]:
        """Draw pieces of trajectories, as decision transformers take them.

        Parameters
        ----------
        batch_size, seq_len : int
            B at least 0, T at least 1.
        seed : int
            0 to 2**64 - 1; over episodes the same draws as of rlox 1.2.0.
        over : {"episodes", "transitions"}
            Each episode has the same chance, or each transition to be the first.
        pad : {"right", "left"}
            Where zeros stand when an episode is shorter than T.

        Returns
        -------
        dict of str to ndarray
            All columns and ``returns_to_go``, (B, T, ...), copies; ``timesteps``, int64, the number of each step in its
            episode; ``mask``, bool, False where zeros stand for a step.
        """
        n, length = arrays.integer(batch_size, "batch_size", minimum=0), arrays.integer(seq_len, "seq_len", minimum=1)
        if pad not in ("right", "left") or over not in ("episodes", "transitions"):
            raise ConfigError(f"expected pad right or left and over episodes or transitions, got {pad!r} and {over!r}")
        rng = rng_from_seed(seed)
        pieces = [self._piece(rng, length, over) for _ in range(n)]
        index = np.zeros((n, length), np.int64)
        mask = np.zeros((n, length), bool)
        steps = np.zeros((n, length), np.int64)
        for i, (episode, first, count) in enumerate(pieces):
            place = slice(0, count) if pad == "right" else slice(length - count, length)
            index[i, place] = np.arange(first, first + count)
            steps[i, place] = index[i, place] - self.starts[episode]
            mask[i, place] = True
        batch = {name: column[index] for name, column in self.columns.items()}
        batch["obs"], batch["next_obs"] = self.normalized(batch["obs"]), self.normalized(batch["next_obs"])
        batch["returns_to_go"] = self.returns_to_go[index]
        for column in batch.values():
            column[~mask] = 0
        return {**batch, "timesteps": steps, "mask": mask}

    def _piece(self, rng: ChaCha8Rng, length: int, over: str) -> tuple[int, int, int]:
        """Draw (episode, first transition, number of transitions)."""
        if over == "transitions":
            first = int(rng.integers(len(self)))
            episode = int(np.searchsorted(self.starts, first, side="right")) - 1
        else:
            episode = int(rng.integers(self.n_episodes()))
            room = int(self.starts[episode + 1] - self.starts[episode]) - length
            first = int(self.starts[episode]) + int(rng.integers(max(room, 0) + 1))
        return episode, first, min(length, int(self.starts[episode + 1]) - first)

    @classmethod
    def from_episodes(cls, episodes: Iterable[Any], **options: Any) -> Self:
        """Make a data set of episodes with ``observations`` (T + 1, ...), ``actions``, ``rewards``, ``terminations`` and
        ``truncations`` (T, ...), as Minari gives them, or dicts of them. ``options`` are those of the class.
        """
        parts: list[tuple[NDArray[Any], ...]] = []
        for k, episode in enumerate(episodes):
            names = ("observations", "actions", "rewards", "terminations", "truncations")
            try:
                values = [episode[name] if isinstance(episode, dict) else getattr(episode, name) for name in names]
            except (KeyError, AttributeError) as error:
                raise ConfigError(f"expected {', '.join(names)} of episode {k}: {error}") from error
            obs, actions, *ends = (np.asarray(v) for v in values)
            if obs.dtype == object or actions.dtype == object:
                raise ConfigError(
                    f"expected observations and actions of episode {k} to be arrays, not of several parts"
                )
            if len(obs) != len(actions) + 1:
                raise ShapeError(
                    f"expected one observation more than actions in episode {k}, got {len(obs)}, {len(actions)}"
                )
            if len(actions):
                ends[1], ends[2] = ends[1].astype(bool), ends[2].astype(bool)
                ends[2][-1] |= not ends[1][-1]
                parts.append((obs[:-1], actions, *ends, obs[1:]))
        if not parts:
            raise InvalidValueError("expected at least one transition, got none")
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)), **options)

    @classmethod
    def from_minari(cls, dataset: Any, **options: Any) -> Self:
        """Make a data set of a Minari data set, or of the name of one that lies on this machine (extra ``data``)."""
        from rfx.buffers.readers import minari_episodes

        return cls.from_episodes(minari_episodes(dataset), **options)

    @classmethod
    def from_hdf5(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """Make a data set of a D4RL-style HDF5 file (extra ``data``).

        ``observations``, ``actions``, ``rewards``, ``terminals``, and if there ``timeouts`` and ``next_observations``. Without
        the latter, the next observation is that of the next row, and a row at whose end an episode was cut is left out, as
        what it led to is not known.
        """
        from rfx.buffers.readers import hdf5_columns

        return cls(*hdf5_columns(path), **options)

    def __repr__(self) -> str:
        obs = observation_columns("obs", self.columns["obs"].shape[1:], self.columns["obs"].dtype)[0].describe()
        return f"OfflineDataset(len={len(self)}, episodes={self.n_episodes()}, {obs}, normalize={self.normalize})"


def _rows(values: ArrayLike, name: str, n: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"expected {name} to be numbers, got {array.dtype}")
    if array.ndim == 0 or len(array) != n:
        raise ShapeError(f"expected {n} {name}, got shape {array.shape}")
    return array


def _observations(values: ArrayLike, name: str, n: int) -> NDArray[Any]:
    array = _rows(values, name, n)
    return array.astype(np.float32) if array.dtype == np.float64 else array
