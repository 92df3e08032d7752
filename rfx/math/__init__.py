"""Rotations, poses and filters.

Quaternions are scalar first (wxyz), poses act as ``p_world = T_world_body * p_body``, angles are in radians.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.math.angles import angle_diff as angle_diff
    from rfx.math.angles import lerp as lerp
    from rfx.math.angles import normalize_angle as normalize_angle
    from rfx.math.batch import quat_from_euler as quat_from_euler
    from rfx.math.batch import quat_from_matrix as quat_from_matrix
    from rfx.math.batch import quat_inverse as quat_inverse
    from rfx.math.batch import quat_multiply as quat_multiply
    from rfx.math.batch import quat_normalize as quat_normalize
    from rfx.math.batch import quat_rotate as quat_rotate
    from rfx.math.batch import quat_slerp as quat_slerp
    from rfx.math.batch import quat_to_euler as quat_to_euler
    from rfx.math.batch import quat_to_matrix as quat_to_matrix
    from rfx.math.filters import ButterworthFilter as ButterworthFilter
    from rfx.math.filters import DerivativeFilter as DerivativeFilter
    from rfx.math.filters import LowPassFilter as LowPassFilter
    from rfx.math.filters import MovingAverageFilter as MovingAverageFilter
    from rfx.math.pose_batch import pose_compose as pose_compose
    from rfx.math.pose_batch import pose_inverse as pose_inverse
    from rfx.math.pose_batch import pose_transform_points as pose_transform_points
    from rfx.math.quaternion import Quaternion as Quaternion
    from rfx.math.transform import Transform as Transform
    from rfx.math.vector_filter import Vector3Filter as Vector3Filter

# public name -> the module it lives in
_HOME = {
    "ButterworthFilter": "rfx.math.filters",
    "DerivativeFilter": "rfx.math.filters",
    "LowPassFilter": "rfx.math.filters",
    "MovingAverageFilter": "rfx.math.filters",
    "Vector3Filter": "rfx.math.vector_filter",
    "angle_diff": "rfx.math.angles",
    "lerp": "rfx.math.angles",
    "normalize_angle": "rfx.math.angles",
    "Quaternion": "rfx.math.quaternion",
    "Transform": "rfx.math.transform",
    "quat_from_euler": "rfx.math.batch",
    "quat_from_matrix": "rfx.math.batch",
    "quat_inverse": "rfx.math.batch",
    "quat_multiply": "rfx.math.batch",
    "quat_normalize": "rfx.math.batch",
    "quat_rotate": "rfx.math.batch",
    "quat_slerp": "rfx.math.batch",
    "quat_to_euler": "rfx.math.batch",
    "quat_to_matrix": "rfx.math.batch",
    "pose_compose": "rfx.math.pose_batch",
    "pose_inverse": "rfx.math.pose_batch",
    "pose_transform_points": "rfx.math.pose_batch",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.math' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
