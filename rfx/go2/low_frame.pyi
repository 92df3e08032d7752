"""LowState and LowCmd for compiled code."""

from typing import Any

from numpy.typing import ArrayLike

REFUSALS: tuple[str, ...]

class LowFrame:
    def read(self, data: bytes) -> dict[str, Any]: ...
    def write(self, command: ArrayLike, reserve: int = 0) -> bytes: ...
