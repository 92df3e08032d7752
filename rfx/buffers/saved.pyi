"""What all buffers that can be saved have in common."""

import os
from typing import Any, Self

class Saved:
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

def rebuilt(kind: type[Any], config: dict[str, Any], state: dict[str, Any]) -> Any: ...
