"""Samples out of several buffers at once."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError

GOLDEN = 0x9E3779B97F4A7C15
LARGEST_SEED = 2**64 - 1


class MixedSampler:
    """Draws each batch from several buffers, by fixed shares: online and offline data, or tasks.

    Parameters
    ----------
    buffers : sequence
        Anything with ``sample(batch_size, seed)`` that gives a dict of arrays.
    shares : sequence of float
        One for each, at least 0, not all 0; their sum counts as 1. How many rows come from each is decided by the sums of
        the shares, rounded up, so that batches of one size are always divided alike.

    Notes
    -----
    A batch has the columns that all buffers have; they must agree in dtype and shape. Nothing is stored here.
    """

    def __init__(self, buffers: Sequence[Any], shares: Sequence[float]) -> None:
        if not buffers or len(buffers) != len(shares):
            raise ConfigError(f"expected a share for each of at least one buffer, got {len(buffers)} and {len(shares)}")
        given = [arrays.number(s, "shares", minimum=0.0) for s in shares]
        if sum(given) <= 0.0:
            raise InvalidValueError("expected a share above 0")
        self.buffers = tuple(buffers)
        self.shares = tuple(s / sum(given) for s in given)

    def counts(self, batch_size: int) -> list[int]:
        """Return how many rows of a batch come from each buffer."""
        n = arrays.integer(batch_size, "batch_size", minimum=0)
        ends = [min(math.ceil(n * sum(self.shares[: k + 1]) * (1 - 1e-12)), n) for k in range(len(self.shares))]
        ends[-1] = n
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def sample(self, batch_size: int, seed: int) -> dict[str, Any]:
        """Draw a batch; the rows of the first buffer come first.

        Parameters
        ----------
        batch_size : int
            At least 0.
        seed : int
            0 to 2**64 - 1; buffer k draws with ``seed + k * 0x9E3779B97F4A7C15`` modulo 2**64, as rlox 1.2.0 does for two.

        Returns
        -------
        dict of str to ndarray
            The common columns, and ``source``, (B,) int64: the number of the buffer that each row is from.

        Raises
        ------
        ConfigError
            The buffers have no column in common, or one of another dtype or shape.
        """
        first = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        counts = self.counts(batch_size)
        parts = [
            buffer.sample(n, (first + k * GOLDEN) & LARGEST_SEED)
            for k, (buffer, n) in enumerate(zip(self.buffers, counts, strict=True))
            if n or batch_size == 0
        ]
        batch = joined(parts)
        batch["source"] = np.repeat(np.arange(len(counts)), counts)
        return batch

    def __repr__(self) -> str:
        of = ", ".join(f"{share:g} of {buffer!r}" for share, buffer in zip(self.shares, self.buffers, strict=True))
        return f"MixedSampler({of})"


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Put batches after each other, column by column; dicts within them as well."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    if not names:
        raise ConfigError("expected buffers with a column in common")
    batch: dict[str, Any] = {}
    for name in names:
        columns = [part[name] for part in parts]
        if all(isinstance(c, dict) for c in columns):
            batch[name] = joined(columns)
            continue
        kinds = {None if isinstance(c, dict) else (c.dtype, c.shape[1:]) for c in columns}
        if len(kinds) > 1:
            raise ConfigError(f"expected {name} to be alike in all buffers, got {sorted(map(str, kinds))}")
        batch[name] = np.concatenate(columns)
    return batch


def sample_mixed(buffer_a: Any, buffer_b: Any, ratio: float, batch_size: int, seed: int) -> dict[str, Any]:
    """Draw ``ratio`` of a batch (rounded up) from one buffer and the rest from another; see :class:`MixedSampler`."""
    share = arrays.number(ratio, "ratio", minimum=0.0, maximum=1.0)
    return MixedSampler([buffer_a, buffer_b], [share, 1.0 - share]).sample(batch_size, seed)
