"""Messages between threads and programs. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.comm.calls import ServiceError as ServiceError
    from rfx.comm.calls import ServiceGoneError as ServiceGoneError
    from rfx.comm.channels import Receiver as Receiver
    from rfx.comm.channels import Sender as Sender
    from rfx.comm.channels import channel as channel
    from rfx.comm.discovery import Announcement as Announcement
    from rfx.comm.discovery import Discovery as Discovery
    from rfx.comm.discovery import NodeEvent as NodeEvent
    from rfx.comm.discovery import NodeInfo as NodeInfo
    from rfx.comm.envelope import TransportEnvelope as TransportEnvelope
    from rfx.comm.keys import KeyExpr as KeyExpr
    from rfx.comm.node import RobotNode as RobotNode
    from rfx.comm.node_messages import NodeState as NodeState
    from rfx.comm.node_robot import Effect as Effect
    from rfx.comm.node_robot import NodeRobot as NodeRobot
    from rfx.comm.parameter import Parameter as Parameter
    from rfx.comm.parameter_client import ParameterClient as ParameterClient
    from rfx.comm.parameters import ParameterChange as ParameterChange
    from rfx.comm.parameters import ParameterServer as ParameterServer
    from rfx.comm.qos import QoS as QoS
    from rfx.comm.robot_client import RobotClient as RobotClient
    from rfx.comm.robot_client import list_nodes as list_nodes
    from rfx.comm.service import Service as Service
    from rfx.comm.service_client import PendingCall as PendingCall
    from rfx.comm.service_client import ServiceClient as ServiceClient
    from rfx.comm.service_client import call as call
    from rfx.comm.stream import Stream as Stream
    from rfx.comm.stream import ThinnedStream as ThinnedStream
    from rfx.comm.subscription import TransportSubscription as TransportSubscription
    from rfx.comm.topic import Topic as Topic
    from rfx.comm.transport import Transport as Transport
    from rfx.comm.values import pack_value as pack_value
    from rfx.comm.values import unpack_value as unpack_value
    from rfx.comm.zenoh import open_session as open_session
    from rfx.comm.zenoh_transport import ZenohTransport as ZenohTransport

# public name -> the module it lives in
_HOME = {
    "Announcement": "rfx.comm.discovery",
    "Discovery": "rfx.comm.discovery",
    "Effect": "rfx.comm.node_robot",
    "KeyExpr": "rfx.comm.keys",
    "NodeEvent": "rfx.comm.discovery",
    "NodeInfo": "rfx.comm.discovery",
    "NodeRobot": "rfx.comm.node_robot",
    "NodeState": "rfx.comm.node_messages",
    "Parameter": "rfx.comm.parameter",
    "ParameterChange": "rfx.comm.parameters",
    "ParameterClient": "rfx.comm.parameter_client",
    "ParameterServer": "rfx.comm.parameters",
    "PendingCall": "rfx.comm.service_client",
    "QoS": "rfx.comm.qos",
    "Receiver": "rfx.comm.channels",
    "RobotClient": "rfx.comm.robot_client",
    "RobotNode": "rfx.comm.node",
    "Sender": "rfx.comm.channels",
    "Service": "rfx.comm.service",
    "ServiceClient": "rfx.comm.service_client",
    "ServiceError": "rfx.comm.calls",
    "ServiceGoneError": "rfx.comm.calls",
    "Stream": "rfx.comm.stream",
    "ThinnedStream": "rfx.comm.stream",
    "Topic": "rfx.comm.topic",
    "Transport": "rfx.comm.transport",
    "TransportEnvelope": "rfx.comm.envelope",
    "TransportSubscription": "rfx.comm.subscription",
    "ZenohTransport": "rfx.comm.zenoh_transport",
    "call": "rfx.comm.service_client",
    "channel": "rfx.comm.channels",
    "list_nodes": "rfx.comm.robot_client",
    "open_session": "rfx.comm.zenoh",
    "pack_value": "rfx.comm.values",
    "unpack_value": "rfx.comm.values",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.comm' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
