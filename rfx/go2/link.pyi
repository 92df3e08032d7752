"""Links of C functions to a robot, native or by way of Python."""

from collections.abc import Callable

class Link:
    kind: str
    reason: str
    def take(self, timeout_s: float = 0.0) -> bytes | None: ...
    def write(self, data: bytes) -> None: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...
    def check(self) -> None: ...
    def fail(self, what: str) -> None: ...

class PythonLink(Link):
    error: BaseException | None
    def __init__(
        self,
        take: Callable[[float], bytes | None],
        write: Callable[[bytes], object],
        *,
        reason: str = "",
        wake: Callable[[], object] | None = None,
    ) -> None: ...
