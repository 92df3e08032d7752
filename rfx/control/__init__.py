"""Control: paced loops, their timing statistics and real-time settings. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.control.capsule import CompiledTick as CompiledTick
    from rfx.control.clock import Clock as Clock
    from rfx.control.clock import ManualClock as ManualClock
    from rfx.control.clock import StopControlLoop as StopControlLoop
    from rfx.control.enum_machine import EnumStateMachine as EnumStateMachine
    from rfx.control.handle import ControlLoopHandle as ControlLoopHandle
    from rfx.control.histogram import Histogram as Histogram
    from rfx.control.loop import ControlLoop as ControlLoop
    from rfx.control.loop import run_control_loop as run_control_loop
    from rfx.control.pid import Pid as Pid
    from rfx.control.pid import PidArray as PidArray
    from rfx.control.pid_config import PidConfig as PidConfig
    from rfx.control.realtime import Right as Right
    from rfx.control.state_machine import FunctionState as FunctionState
    from rfx.control.state_machine import State as State
    from rfx.control.state_machine import StateMachine as StateMachine
    from rfx.control.state_machine import Transition as Transition
    from rfx.control.stats import ControlLoopStats as ControlLoopStats
    from rfx.control.ticks import BusyTick as BusyTick

# public name -> the module it lives in
_HOME = {
    "EnumStateMachine": "rfx.control.enum_machine",
    "FunctionState": "rfx.control.state_machine",
    "Pid": "rfx.control.pid",
    "PidArray": "rfx.control.pid",
    "PidConfig": "rfx.control.pid_config",
    "State": "rfx.control.state_machine",
    "StateMachine": "rfx.control.state_machine",
    "Transition": "rfx.control.state_machine",
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
