"""A compiled tick to measure and test with, and to copy: a struct, a function on it, and ``make_tick``."""

from rfx.control.capsule import CompiledTick

class BusyTick:
    def __init__(self, busy_s: float = 0.0, stop_after: int | None = None) -> None: ...
    @property
    def tick(self) -> CompiledTick: ...
    @property
    def count(self) -> int: ...
