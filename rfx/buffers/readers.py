"""The door to libraries that read recorded data sets: Minari and HDF5."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rfx.errors import CodecError, ConfigError, MissingDependencyError


def missing(name: str, error: ImportError) -> MissingDependencyError:
    """Return the error that says what to install."""
    return MissingDependencyError(f"{name} is needed to read this: `pip install 'rfx[data]'` ({error})")


def minari_episodes(dataset: Any) -> Iterable[Any]:
    """Return the episodes of a Minari data set, or of the name of one; ConfigError where there is none of that name."""
    if not isinstance(dataset, str):
        return dataset.iterate_episodes() if hasattr(dataset, "iterate_episodes") else dataset
    try:
        import minari
    except ImportError as error:
        raise missing("minari", error) from error
    try:
        return minari.load_dataset(dataset).iterate_episodes()
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"expected a Minari data set on this machine, {dataset!r} is none: {error}") from error


def hdf5_columns(path: str | os.PathLike[str]) -> tuple[Any, ...]:
    """Return obs, actions, rewards, terminated, truncated and next_obs of a D4RL-style file; CodecError for any other."""
    try:
        import h5py
    except ImportError as error:
        raise missing("h5py", error) from error
    if not Path(path).exists():
        raise FileNotFoundError(f"no such file: {path}")
    names = ("observations", "actions", "rewards", "terminals")
    try:
        with h5py.File(path, "r") as file:
            obs, actions, rewards, terminals = (np.asarray(file[name]) for name in names)
            timeouts = np.asarray(file["timeouts"]) if "timeouts" in file else np.zeros(len(rewards), bool)
            after = np.asarray(file["next_observations"]) if "next_observations" in file else None
    except (OSError, KeyError) as error:
        raise CodecError(f"expected HDF5 with {', '.join(names)}, {path} is none: {error}") from error
    lengths = {len(c) for c in (obs, actions, rewards, terminals, timeouts)}
    if len(lengths) > 1:
        raise CodecError(f"expected columns of one length, {path} has {sorted(lengths)}")
    terminated, truncated = terminals.reshape(-1).astype(bool), timeouts.reshape(-1).astype(bool)
    rewards = rewards.reshape(-1).astype(np.float32)
    if after is not None:
        return obs, actions, rewards, terminated, truncated, after
    # what a cut row led to is not known, nor what the last row did; of an end the next observation does not count
    after, known = np.roll(obs, -1, axis=0), terminated | ~truncated
    known[-1:] = terminated[-1:]
    truncated[:-1] |= ~known[1:] & ~terminated[:-1]
    after[terminated] = obs[terminated]
    return tuple(c[known] for c in (obs, actions, rewards, terminated, truncated, after))
