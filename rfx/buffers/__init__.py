"""Buffers of transitions. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.buffers.columns import Column as Column
    from rfx.buffers.concurrent import ConcurrentReplayBuffer as ConcurrentReplayBuffer
    from rfx.buffers.prioritized import PrioritizedReplayBuffer as PrioritizedReplayBuffer
    from rfx.buffers.replay import ReplayBuffer as ReplayBuffer

# public name -> the module it lives in
_HOME = {
    "Column": "rfx.buffers.columns",
    "ConcurrentReplayBuffer": "rfx.buffers.concurrent",
    "PrioritizedReplayBuffer": "rfx.buffers.prioritized",
    "ReplayBuffer": "rfx.buffers.replay",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.buffers' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
