"""Rotations, poses and filters.

Quaternions are scalar first (wxyz), poses act as ``p_world = T_world_body * p_body``, angles are in radians.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.math.quaternion import Quaternion as Quaternion
    from rfx.math.transform import Transform as Transform

# public name -> the module it lives in
_HOME = {
    "Quaternion": "rfx.math.quaternion",
    "Transform": "rfx.math.transform",
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
