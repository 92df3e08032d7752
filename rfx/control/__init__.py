"""Control: paced loops, their timing statistics and real-time settings. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.control.capsule import CompiledTick as CompiledTick
    from rfx.control.clock import Clock as Clock
    from rfx.control.clock import ManualClock as ManualClock
    from rfx.control.clock import StopControlLoop as StopControlLoop
    from rfx.control.handle import ControlLoopHandle as ControlLoopHandle
    from rfx.control.histogram import Histogram as Histogram
    from rfx.control.loop import ControlLoop as ControlLoop
    from rfx.control.loop import run_control_loop as run_control_loop
    from rfx.control.realtime import Right as Right
    from rfx.control.stats import ControlLoopStats as ControlLoopStats
    from rfx.control.ticks import BusyTick as BusyTick

# public name -> the module it lives in
_HOME = {
    "BusyTick": "rfx.control.ticks",
    "Clock": "rfx.control.clock",
    "CompiledTick": "rfx.control.capsule",
    "ControlLoop": "rfx.control.loop",
    "ControlLoopHandle": "rfx.control.handle",
    "ControlLoopStats": "rfx.control.stats",
    "Histogram": "rfx.control.histogram",
    "ManualClock": "rfx.control.clock",
    "Right": "rfx.control.realtime",
    "StopControlLoop": "rfx.control.clock",
    "run_control_loop": "rfx.control.loop",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.control' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
