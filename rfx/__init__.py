"""rfx: from a trained robot policy to a Unitree Go2 that walks, and the data plane behind it.

The names below load on first use, so that ``import rfx`` is quick and needs no optional library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rfx._version import __version__

if TYPE_CHECKING:
    from rfx.errors import RfxError as RfxError

# public name -> the room it lives in
_HOME = {
    "RfxError": "rfx.errors",
}
_ROOMS = ("arrays", "control", "errors", "go2", "kernels", "math", "robots", "sim")

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"rfx.{name}")
    else:
        raise AttributeError(f"module 'rfx' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_ROOMS})
