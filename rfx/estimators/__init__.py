"""From rollouts to learning signals: advantages, returns, statistics, shaping, weights, images. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.estimators.advantages import compute_gae as compute_gae
    from rfx.estimators.advantages import gae as gae
    from rfx.estimators.augmentation import color_jitter as color_jitter
    from rfx.estimators.augmentation import random_crop as random_crop
    from rfx.estimators.augmentation import random_cutout as random_cutout
    from rfx.estimators.augmentation import random_shift as random_shift
    from rfx.estimators.augmentation import random_shift_batch as random_shift_batch
    from rfx.estimators.autoreset import next_step_rows as next_step_rows
    from rfx.estimators.ema_stats_vec import EmaRunningStatsVec as EmaRunningStatsVec
    from rfx.estimators.image_augmentation import Chain as Chain
    from rfx.estimators.image_augmentation import ColorJitter as ColorJitter
    from rfx.estimators.image_augmentation import Cutout as Cutout
    from rfx.estimators.image_augmentation import ImageAugmentation as ImageAugmentation
    from rfx.estimators.image_augmentation import RandomCrop as RandomCrop
    from rfx.estimators.image_augmentation import RandomShift as RandomShift
    from rfx.estimators.normalizers import RunningObservationNormalizer as RunningObservationNormalizer
    from rfx.estimators.normalizers import RunningRewardNormalizer as RunningRewardNormalizer
    from rfx.estimators.off_policy import compute_vtrace as compute_vtrace
    from rfx.estimators.off_policy import vtrace as vtrace
    from rfx.estimators.priorities import compute_lap_priorities as compute_lap_priorities
    from rfx.estimators.priorities import compute_priorities as compute_priorities
    from rfx.estimators.priorities import compute_priorities_simd as compute_priorities_simd
    from rfx.estimators.priorities import compute_td_priorities as compute_td_priorities
    from rfx.estimators.returns import discounted_returns as discounted_returns
    from rfx.estimators.returns import n_step_returns as n_step_returns
    from rfx.estimators.returns import retrace as retrace
    from rfx.estimators.returns import td_lambda as td_lambda
    from rfx.estimators.returns import upgo as upgo
    from rfx.estimators.running_stats import EmaRunningStats as EmaRunningStats
    from rfx.estimators.running_stats import RunningStats as RunningStats
    from rfx.estimators.running_stats_vec import RunningStatsVec as RunningStatsVec
    from rfx.estimators.shaping import compute_goal_distance_potentials as compute_goal_distance_potentials
    from rfx.estimators.shaping import pbrs_simd as pbrs_simd
    from rfx.estimators.shaping import shape_rewards_pbrs as shape_rewards_pbrs
    from rfx.estimators.weights import average_weight_vectors as average_weight_vectors
    from rfx.estimators.weights import average_weights_simd as average_weights_simd
    from rfx.estimators.weights import polyak_update as polyak_update
    from rfx.estimators.weights import polyak_update_simd as polyak_update_simd
    from rfx.estimators.weights import reptile_update as reptile_update
    from rfx.estimators.weights import reptile_update_simd as reptile_update_simd

# public name -> the module it lives in
_HOME = {
    "average_weight_vectors": "rfx.estimators.weights",
    "average_weights_simd": "rfx.estimators.weights",
    "Chain": "rfx.estimators.image_augmentation",
    "color_jitter": "rfx.estimators.augmentation",
    "ColorJitter": "rfx.estimators.image_augmentation",
    "compute_gae": "rfx.estimators.advantages",
    "compute_goal_distance_potentials": "rfx.estimators.shaping",
    "compute_lap_priorities": "rfx.estimators.priorities",
    "compute_priorities": "rfx.estimators.priorities",
    "compute_priorities_simd": "rfx.estimators.priorities",
    "compute_td_priorities": "rfx.estimators.priorities",
    "compute_vtrace": "rfx.estimators.off_policy",
    "Cutout": "rfx.estimators.image_augmentation",
    "discounted_returns": "rfx.estimators.returns",
    "EmaRunningStats": "rfx.estimators.running_stats",
    "EmaRunningStatsVec": "rfx.estimators.ema_stats_vec",
    "gae": "rfx.estimators.advantages",
    "ImageAugmentation": "rfx.estimators.image_augmentation",
    "n_step_returns": "rfx.estimators.returns",
    "next_step_rows": "rfx.estimators.autoreset",
    "pbrs_simd": "rfx.estimators.shaping",
    "polyak_update": "rfx.estimators.weights",
    "polyak_update_simd": "rfx.estimators.weights",
    "random_crop": "rfx.estimators.augmentation",
    "random_cutout": "rfx.estimators.augmentation",
    "random_shift": "rfx.estimators.augmentation",
    "random_shift_batch": "rfx.estimators.augmentation",
    "RandomCrop": "rfx.estimators.image_augmentation",
    "RandomShift": "rfx.estimators.image_augmentation",
    "reptile_update": "rfx.estimators.weights",
    "reptile_update_simd": "rfx.estimators.weights",
    "retrace": "rfx.estimators.returns",
    "RunningObservationNormalizer": "rfx.estimators.normalizers",
    "RunningRewardNormalizer": "rfx.estimators.normalizers",
    "RunningStats": "rfx.estimators.running_stats",
    "RunningStatsVec": "rfx.estimators.running_stats_vec",
    "shape_rewards_pbrs": "rfx.estimators.shaping",
    "td_lambda": "rfx.estimators.returns",
    "upgo": "rfx.estimators.returns",
    "vtrace": "rfx.estimators.off_policy",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.estimators' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
