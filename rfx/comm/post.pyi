from collections.abc import Iterator, Mapping
from typing import Any

from rfx.comm.envelope import TransportEnvelope
from rfx.comm.mailbox import Mailbox
from rfx.comm.qos import QoS

class Outbox:
    key: str
    sent: int
    def __init__(self, key: str, put: Any, source: int, pool: Any = None, lock: Any = None) -> None: ...
    def send(self, numbers: Iterator[int], metadata: Mapping[str, Any] | None, payload: Any) -> TransportEnvelope: ...

class Sender:
    _outboxes: dict[Any, tuple[Outbox, Any]]
    def publish(
        self, key: str, payload: Any, metadata: Mapping[str, Any] | None = None, *, qos: QoS | str | None = None
    ) -> TransportEnvelope: ...

class Inbox:
    refused: int
    lost: int
    shared: int
    def __init__(self, mailbox: Mailbox, wait: float, zenoh: Any, once: bool = False, near: bool = True) -> None: ...
    def __call__(self, sample: Any) -> None: ...
    def hurry(self) -> None: ...
    def stop(self) -> None: ...
