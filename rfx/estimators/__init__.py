"""From rollouts to learning signals. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.estimators.advantages import compute_gae as compute_gae
    from rfx.estimators.advantages import gae as gae
    from rfx.estimators.autoreset import next_step_rows as next_step_rows
    from rfx.estimators.off_policy import compute_vtrace as compute_vtrace
    from rfx.estimators.off_policy import vtrace as vtrace

# public name -> the module it lives in
_HOME = {
    "compute_gae": "rfx.estimators.advantages",
    "compute_vtrace": "rfx.estimators.off_policy",
    "gae": "rfx.estimators.advantages",
    "next_step_rows": "rfx.estimators.autoreset",
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
