from collections.abc import Iterator, Mapping
from typing import Any

class TransportEnvelope:
    key: str
    sequence: int
    timestamp_ns: int
    metadata: Mapping[str, Any] | None
    payload: Any
    def __init__(
        self, key: str, sequence: int, timestamp_ns: int, metadata: Mapping[str, Any] | None, payload: Any
    ) -> None: ...

def seal(key: str, numbers: Iterator[int], metadata: Mapping[str, Any] | None, payload: Any) -> TransportEnvelope: ...
