"""Sequences of different lengths side by side in rows of one length."""

from collections.abc import Iterable
from typing import Literal

from numpy.typing import ArrayLike

from rfx.llm.packed import PackedSequences
from rfx.llm.varlen import VarLenStore

def pack_sequences(
    sequences: Iterable[ArrayLike] | VarLenStore,
    max_length: int,
    *,
    strategy: Literal["bfd", "ffd", "wrapped"] = "bfd",
    pad: int | None = 0,
    overlong: Literal["raise", "truncate", "split"] | None = None,
) -> PackedSequences: ...
