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
    from rfx.llm.policy_loss import TokenLoss as TokenLoss
    from rfx.llm.policy_loss import importance_ratios as importance_ratios
    from rfx.llm.policy_loss import ppo_clip_loss as ppo_clip_loss
    from rfx.llm.preference import CompletionLoss as CompletionLoss
    from rfx.llm.preference import DPOPair as DPOPair
    from rfx.llm.preference import PreferenceLoss as PreferenceLoss
    from rfx.llm.preference import collate_pairs as collate_pairs
    from rfx.llm.preference import dpo_loss as dpo_loss
    from rfx.llm.preference import ipo_loss as ipo_loss
    from rfx.llm.preference import kto_loss as kto_loss
    from rfx.llm.reduction import reduce_tokens as reduce_tokens
    from rfx.llm.varlen import VarLenStore as VarLenStore

# public name -> the module it lives in
_HOME = {
    "CompletionLoss": "rfx.llm.preference",
    "DPOPair": "rfx.llm.preference",
    "PackedSequences": "rfx.llm.packed",
    "PreferenceLoss": "rfx.llm.preference",
    "TokenLoss": "rfx.llm.policy_loss",
    "VarLenStore": "rfx.llm.varlen",
    "categorical_kl": "rfx.llm.divergence",
    "collate_pairs": "rfx.llm.preference",
    "compute_group_advantages": "rfx.llm.advantages",
    "compute_token_kl": "rfx.llm.divergence",
    "dpo_loss": "rfx.llm.preference",
    "group_advantages": "rfx.llm.advantages",
    "importance_ratios": "rfx.llm.policy_loss",
    "ipo_loss": "rfx.llm.preference",
    "kto_loss": "rfx.llm.preference",
    "pack_sequences": "rfx.llm.packing",
    "ppo_clip_loss": "rfx.llm.policy_loss",
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
