"""Arithmetic and bookkeeping for language models that learn by reinforcement. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.llm.advantages import compute_group_advantages as compute_group_advantages
    from rfx.llm.advantages import group_advantages as group_advantages

# public name -> the module it lives in
_HOME = {
    "compute_group_advantages": "rfx.llm.advantages",
    "group_advantages": "rfx.llm.advantages",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.llm' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
