"""From rollouts to learning signals. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.estimators.advantages import compute_gae as compute_gae
    from rfx.estimators.advantages import gae as gae
    from rfx.estimators.autoreset import next_step_rows as next_step_rows
    from rfx.estimators.off_policy import compute_vtrace as compute_vtrace
    from rfx.estimators.off_policy import vtrace as vtrace
    from rfx.estimators.returns import discounted_returns as discounted_returns
    from rfx.estimators.returns import n_step_returns as n_step_returns
    from rfx.estimators.returns import retrace as retrace
    from rfx.estimators.returns import td_lambda as td_lambda
    from rfx.estimators.returns import upgo as upgo

# public name -> the module it lives in
_HOME = {
    "compute_gae": "rfx.estimators.advantages",
    "compute_vtrace": "rfx.estimators.off_policy",
    "discounted_returns": "rfx.estimators.returns",
    "gae": "rfx.estimators.advantages",
    "n_step_returns": "rfx.estimators.returns",
    "next_step_rows": "rfx.estimators.autoreset",
    "retrace": "rfx.estimators.returns",
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
