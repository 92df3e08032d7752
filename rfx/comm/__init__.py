"""Messages between threads and programs. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.comm.channels import Receiver as Receiver
    from rfx.comm.channels import Sender as Sender
    from rfx.comm.channels import channel as channel
    from rfx.comm.discovery import Announcement as Announcement
    from rfx.comm.discovery import Discovery as Discovery
    from rfx.comm.discovery import NodeEvent as NodeEvent
    from rfx.comm.discovery import NodeInfo as NodeInfo
    from rfx.comm.envelope import TransportEnvelope as TransportEnvelope
    from rfx.comm.keys import KeyExpr as KeyExpr
    from rfx.comm.qos import QoS as QoS
    from rfx.comm.stream import Stream as Stream
    from rfx.comm.stream import ThinnedStream as ThinnedStream
    from rfx.comm.subscription import TransportSubscription as TransportSubscription
    from rfx.comm.topic import Topic as Topic
    from rfx.comm.transport import Transport as Transport
    from rfx.comm.zenoh import open_session as open_session
    from rfx.comm.zenoh_transport import ZenohTransport as ZenohTransport

# public name -> the module it lives in
_HOME = {
    "Announcement": "rfx.comm.discovery",
    "Discovery": "rfx.comm.discovery",
    "KeyExpr": "rfx.comm.keys",
    "NodeEvent": "rfx.comm.discovery",
    "NodeInfo": "rfx.comm.discovery",
    "QoS": "rfx.comm.qos",
    "Receiver": "rfx.comm.channels",
    "Sender": "rfx.comm.channels",
    "Stream": "rfx.comm.stream",
    "ThinnedStream": "rfx.comm.stream",
    "Topic": "rfx.comm.topic",
    "Transport": "rfx.comm.transport",
    "TransportEnvelope": "rfx.comm.envelope",
    "TransportSubscription": "rfx.comm.subscription",
    "ZenohTransport": "rfx.comm.zenoh_transport",
    "channel": "rfx.comm.channels",
    "open_session": "rfx.comm.zenoh",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.comm' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
