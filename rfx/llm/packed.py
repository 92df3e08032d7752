"""Sequences side by side in rows, and the way back to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx.arrays import integer
from rfx.errors import ShapeError
from rfx.llm.tokens import sequence_of


@dataclass(frozen=True, eq=False, repr=False)
class PackedSequences:
    """What :func:`rfx.llm.pack_sequences` makes: R rows of L tokens that hold S segments of N sequences.

    A segment is a sequence, or a piece of one that was split. Without padding (``pad=None``) all arrays of tokens are
    vectors, one row behind the other. ``packed[r]`` is row r as a dict of views; ``len(packed)`` is R. ``input_ids``,
    ``attention_mask`` and ``position_ids`` lie in one piece of memory, which stays as long as one of them does.

    Attributes
    ----------
    input_ids : ndarray, shape (R, L) or (T,)
        Of the dtype of the sequences.
    attention_mask : ndarray, the same shape, uint8
        1 for tokens, 0 for padding.
    position_ids : ndarray, the same shape, int32
        From 0 in each segment. Padding goes on counting from the segment before it, so that it never looks like the
        beginning of a sequence.
    segment_ids : ndarray, the same shape, int32
        Which segment of its row, from 1; 0 for padding. Made when it is first asked for.
    sequence_starts : ndarray, shape (S,), int32
        The column where each segment begins in its row.
    row_splits : ndarray, shape (R + 1,), int64
        Row r holds the segments row_splits[r] .. row_splits[r + 1] - 1.
    cu_seqlens : ndarray, shape (S + 1,), int32
        Sums of the lengths of the segments, as attention kernels for lists of sequences want it: for tokens without
        padding.
    cu_seqlens_padded : ndarray, shape (S + 1,), int32
        Where segments begin in ``input_ids.ravel()``, and its length; padding belongs to the segment before it.
    max_seqlen : int
        Length of the longest segment.
    lengths, sources, source_starts : ndarray, shape (S,), int64
        Length of each segment, the sequence it comes from, and where in that it begins.
    source_lengths : ndarray, shape (N,), int64
        Lengths of the sequences as they were given.
    max_length : int
        L.
    """

    input_ids: NDArray[Any]
    attention_mask: NDArray[np.uint8]
    position_ids: NDArray[np.int32]
    sequence_starts: NDArray[np.int32]
    row_splits: NDArray[np.int64]
    cu_seqlens: NDArray[np.int32]
    cu_seqlens_padded: NDArray[np.int32]
    max_seqlen: int
    lengths: NDArray[np.int64]
    sources: NDArray[np.int64]
    source_starts: NDArray[np.int64]
    source_lengths: NDArray[np.int64]
    max_length: int

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __getitem__(self, row: int) -> dict[str, NDArray[Any]]:
        """Return row ``row``: views of its tokens and of what belongs to its segments."""
        n = len(self)
        r = integer(row, "row")
        r += n if r < 0 else 0
        if not 0 <= r < n:
            raise IndexError(f"expected a row below {n}, got {row}")
        first, last = int(self.row_splits[r]), int(self.row_splits[r + 1])
        at: Any = r
        if self.input_ids.ndim == 1:
            at = slice(int(self.cu_seqlens[first]), int(self.cu_seqlens[last]))
        names = ("input_ids", "attention_mask", "position_ids", "segment_ids")
        segments = ("sequence_starts", "lengths", "sources", "source_starts")
        return {k: getattr(self, k)[at] for k in names} | {k: getattr(self, k)[first:last] for k in segments}

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for r in range(len(self)):
            yield self[r]

    @cached_property
    def segment_ids(self) -> NDArray[np.int32]:
        first = np.repeat(self.row_splits[:-1], np.diff(self.row_splits))
        numbers = np.zeros((len(self.lengths), 2), np.int32)
        numbers[:, 0] = np.arange(1, len(self.lengths) + 1) - first
        widths = np.stack((self.lengths, np.diff(self.cu_seqlens_padded) - self.lengths), axis=1)
        return np.repeat(numbers.ravel(), widths.ravel()).reshape(self.input_ids.shape)

    @property
    def fill(self) -> float:
        """Share of ``input_ids`` that is tokens; 1.0 where there is nothing."""
        return float(self.lengths.sum() / self.input_ids.size) if self.input_ids.size else 1.0

    def unpack(self, values: ArrayLike | None = None) -> list[NDArray[Any]]:
        """Return values of tokens in the order of the sequences that were packed.

        Parameters
        ----------
        values : array_like, shape (R, L, ...) or (T, ...), optional
            One for each token, padding included; ``input_ids`` by default.

        Returns
        -------
        list of N ndarrays
            Copies; pieces of a split sequence are joined, of a truncated one there is the part that was kept.
        """
        given = self.input_ids if values is None else np.asarray(values)
        shape = self.input_ids.shape
        if given.shape[: len(shape)] != shape:
            raise ShapeError(f"expected values of shape ({', '.join(map(str, shape))}, ...), got {given.shape}")
        flat = (
            given.reshape(-1, *given.shape[len(shape) :])
            if given.size
            else given.reshape(0, *given.shape[len(shape) :])
        )
        kept = np.zeros(len(self.source_lengths), np.int64)
        np.add.at(kept, self.sources, self.lengths)
        parts: list[Any] = [np.empty((k, *flat.shape[1:]), flat.dtype) for k in kept]
        begins = self.cu_seqlens_padded[:-1].tolist()
        pieces = zip(self.sources.tolist(), self.source_starts.tolist(), self.lengths.tolist(), begins, strict=True)
        for source, start, n, begin in pieces:
            parts[source][start : start + n] = flat[begin : begin + n]
        return parts

    def arrange(self, values: Sequence[ArrayLike], fill: Any = 0) -> NDArray[Any]:
        """Lay out one more vector for each sequence (log-probabilities, advantages, labels) as the tokens lie.

        Parameters
        ----------
        values : sequence of N array_likes
            Each as long as its sequence was.
        fill : number
            For padding.

        Returns
        -------
        ndarray, the shape of ``input_ids``
            Of the dtype that holds all of them.

        Raises
        ------
        ShapeError, DTypeError
            Not N vectors, or one of another length; not numbers.
        """
        arrays = [sequence_of(v, f"values[{i}]") for i, v in enumerate(values)]
        if len(arrays) != len(self.source_lengths):
            raise ShapeError(f"expected {len(self.source_lengths)} vectors, got {len(arrays)}")
        for i, (array, n) in enumerate(zip(arrays, self.source_lengths.tolist(), strict=True)):
            if len(array) != n:
                raise ShapeError(f"expected values[{i}] of length {n}, got {len(array)}")
        dtype = np.result_type(*{a.dtype for a in arrays}) if arrays else np.dtype(np.float64)
        out = np.full(self.input_ids.size, fill, dtype)
        begins = self.cu_seqlens_padded[:-1].tolist()
        pieces = zip(self.sources.tolist(), self.source_starts.tolist(), self.lengths.tolist(), begins, strict=True)
        for source, start, n, begin in pieces:
            out[begin : begin + n] = arrays[source][start : start + n]
        return out.reshape(self.input_ids.shape)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_ids.shape))
        return (
            f"PackedSequences(rows={len(self)}, max_length={self.max_length}, segments={len(self.lengths)}, "
            f"sequences={len(self.source_lengths)}, input_ids={shape} {self.input_ids.dtype}, fill={self.fill:.3f})"
        )
