"""A link that calls CycloneDDS' C library itself."""

import ctypes

from rfx.go2.backends.cyclone import RawReader, RawWriter
from rfx.go2.link import Link

FUNCTIONS: tuple[str, ...]
INFO_SIZE: int

class NativeLink(Link):
    def __init__(self, reader: RawReader, writer: RawWriter, library: ctypes.CDLL, keep: object = None) -> None: ...
    def wake(self) -> None: ...
    def fail(self, what: str) -> None: ...
    def close(self) -> None: ...
