"""Arithmetic and bookkeeping for language models that learn by reinforcement. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.llm.advantages import compute_group_advantages as compute_group_advantages
    from rfx.llm.advantages import group_advantages as group_advantages
    from rfx.llm.divergence import categorical_kl as categorical_kl
    from rfx.llm.divergence import compute_token_kl as compute_token_kl
    from rfx.llm.divergence import token_kl as token_kl
    from rfx.llm.packed import PackedSequences as PackedSequences
    from rfx.llm.packing import pack_sequences as pack_sequences
    from rfx.llm.reduction import reduce_tokens as reduce_tokens
    from rfx.llm.varlen import VarLenStore as VarLenStore

# public name -> the module it lives in
_HOME = {
    "PackedSequences": "rfx.llm.packed",
    "VarLenStore": "rfx.llm.varlen",
    "categorical_kl": "rfx.llm.divergence",
    "compute_group_advantages": "rfx.llm.advantages",
    "compute_token_kl": "rfx.llm.divergence",
    "group_advantages": "rfx.llm.advantages",
    "pack_sequences": "rfx.llm.packing",
    "reduce_tokens": "rfx.llm.reduction",
    "token_kl": "rfx.llm.divergence",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.llm' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
