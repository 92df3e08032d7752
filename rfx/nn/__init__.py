"""Policies in tinygrad, and their files. Names load on first use; the files need numpy only."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.nn.files import PolicyFiles as PolicyFiles
    from rfx.nn.files import read_policy_directory as read_policy_directory
    from rfx.nn.files import write_policy_directory as write_policy_directory

# public name -> the module it lives in
_HOME = {
    "PolicyFiles": "rfx.nn.files",
    "read_policy_directory": "rfx.nn.files",
    "write_policy_directory": "rfx.nn.files",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.nn' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
