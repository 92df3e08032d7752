"""Running statistics, reward shaping, weight updates, priorities and image augmentation. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.estimators.normalizers import RunningObservationNormalizer as RunningObservationNormalizer
    from rfx.estimators.normalizers import RunningRewardNormalizer as RunningRewardNormalizer
    from rfx.estimators.running_stats import EmaRunningStats as EmaRunningStats
    from rfx.estimators.running_stats import RunningStats as RunningStats
    from rfx.estimators.running_stats_vec import RunningStatsVec as RunningStatsVec

# public name -> the module it lives in
_HOME = {
    "RunningStats": "rfx.estimators.running_stats",
    "RunningStatsVec": "rfx.estimators.running_stats_vec",
    "EmaRunningStats": "rfx.estimators.running_stats",
    "RunningObservationNormalizer": "rfx.estimators.normalizers",
    "RunningRewardNormalizer": "rfx.estimators.normalizers",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.estimators' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
