"""The paced control loop: absolute deadlines, measured lateness, Python or compiled ticks."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from rfx.control.capsule import CompiledTick
from rfx.control.clock import Clock
from rfx.control.handle import ControlLoopHandle
from rfx.control.stats import ControlLoopStats

class ControlLoop:
    def __init__(
        self,
        rate_hz: float,
        callback: Callable[[int, float], Any] | CompiledTick | object,
        *,
        name: str | None = None,
        max_iterations: int | None = None,
        late_policy: Literal["skip", "catch_up"] = "skip",
        clock: Clock | None = None,
        spin_s: float = ...,
        priority: int | None = None,
        lock_memory: bool = False,
        affinity: int | Iterable[int] | None = None,
    ) -> None: ...
    @property
    def rate_hz(self) -> float: ...
    @property
    def name(self) -> str: ...
    @property
    def late_policy(self) -> str: ...
    def run(self) -> ControlLoopStats: ...
    def spawn(self) -> ControlLoopHandle: ...
    def stop(self) -> None: ...
    def is_running(self) -> bool: ...
    def stats(self) -> ControlLoopStats: ...

def run_control_loop(
    rate_hz: float,
    callback: Callable[[int, float], Any] | CompiledTick | object,
    name: str | None = None,
    max_iterations: int | None = None,
    *,
    late_policy: Literal["skip", "catch_up"] = "skip",
    clock: Clock | None = None,
    spin_s: float = ...,
    priority: int | None = None,
    lock_memory: bool = False,
    affinity: int | Iterable[int] | None = None,
) -> ControlLoopStats: ...
