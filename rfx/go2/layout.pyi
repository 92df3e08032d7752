"""Where the fields of a message lie in its C struct, and how that struct becomes CDR."""

from typing import Any, NamedTuple

KINDS: dict[str, tuple[int, int | None, int | None]]

class Place(NamedTuple):
    name: str
    kind: Any
    count: int  # type: ignore[assignment]
    offset: int
    stride: int

class Layout:
    fields: dict[str, Place]
    size: int
    align: int
    cdr_size: int
    has_bool: bool
    def __init__(self, specification: dict[str, tuple[Any, int]]) -> None: ...
