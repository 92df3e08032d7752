"""Compiled ticks: C functions that a control loop calls without the GIL."""

from typing import Any

class CompiledTick:
    @staticmethod
    def from_capsule(capsule: object) -> CompiledTick: ...
    @staticmethod
    def from_ctypes(function: Any, state: Any = None) -> CompiledTick: ...
    def __call__(self, iteration: int, now_ns: int) -> int: ...
