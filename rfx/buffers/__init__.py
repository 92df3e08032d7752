"""Buffers of transitions. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.buffers.columns import Column as Column
    from rfx.buffers.concurrent import ConcurrentReplayBuffer as ConcurrentReplayBuffer
    from rfx.buffers.episodes import EpisodeTracker as EpisodeTracker
    from rfx.buffers.frames import FrameStackReplayBuffer as FrameStackReplayBuffer
    from rfx.buffers.her import HERBuffer as HERBuffer
    from rfx.buffers.mapped import MmapReplayBuffer as MmapReplayBuffer
    from rfx.buffers.mixed import MixedSampler as MixedSampler
    from rfx.buffers.mixed import sample_mixed as sample_mixed
    from rfx.buffers.offline import OfflineDataset as OfflineDataset
    from rfx.buffers.prioritized import PrioritizedReplayBuffer as PrioritizedReplayBuffer
    from rfx.buffers.replay import ReplayBuffer as ReplayBuffer
    from rfx.buffers.sequence import SequenceReplayBuffer as SequenceReplayBuffer
    from rfx.buffers.table import ExperienceTable as ExperienceTable

# public name -> the module it lives in
_HOME = {
    "Column": "rfx.buffers.columns",
    "ConcurrentReplayBuffer": "rfx.buffers.concurrent",
    "EpisodeTracker": "rfx.buffers.episodes",
    "ExperienceTable": "rfx.buffers.table",
    "FrameStackReplayBuffer": "rfx.buffers.frames",
    "HERBuffer": "rfx.buffers.her",
    "MixedSampler": "rfx.buffers.mixed",
    "MmapReplayBuffer": "rfx.buffers.mapped",
    "OfflineDataset": "rfx.buffers.offline",
    "PrioritizedReplayBuffer": "rfx.buffers.prioritized",
    "ReplayBuffer": "rfx.buffers.replay",
    "sample_mixed": "rfx.buffers.mixed",
    "SequenceReplayBuffer": "rfx.buffers.sequence",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.buffers' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
