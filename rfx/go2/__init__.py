"""The Unitree Go2: its messages, the link to it, and a simulated one."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.go2.backends.recorded import RecordedBackend as RecordedBackend
    from rfx.go2.client import Go2 as Go2
    from rfx.go2.config import Go2BackendHint as Go2BackendHint
    from rfx.go2.config import Go2Config as Go2Config
    from rfx.go2.domains import free_domain as free_domain
    from rfx.go2.envelope import SafetyEnvelope as SafetyEnvelope
    from rfx.go2.events import SafetyEvent as SafetyEvent
    from rfx.go2.events import Verdict as Verdict
    from rfx.go2.faults import Fault as Fault
    from rfx.go2.faults import Faults as Faults
    from rfx.go2.flight_check import check_log as check_log
    from rfx.go2.flight_log import FlightLog as FlightLog
    from rfx.go2.limits import SafetyLimits as SafetyLimits
    from rfx.go2.lockstep import RobotClock as RobotClock
    from rfx.go2.mcap_reader import McapReader as McapReader
    from rfx.go2.messages import LowCmd as LowCmd
    from rfx.go2.messages import LowState as LowState
    from rfx.go2.policy_run import PolicyRun as PolicyRun
    from rfx.go2.policy_runner import run_policy as run_policy
    from rfx.go2.posture import Phase as Phase
    from rfx.go2.posture import PosturePlan as PosturePlan
    from rfx.go2.replay import replay_commands as replay_commands
    from rfx.go2.rpc_client import RpcError as RpcError
    from rfx.go2.sender import Sender as Sender
    from rfx.go2.simulated import SimulatedGo2 as SimulatedGo2
    from rfx.go2.state import Go2State as Go2State

# public name -> the module it lives in
_HOME = {
    "FlightLog": "rfx.go2.flight_log",
    "Go2": "rfx.go2.client",
    "Fault": "rfx.go2.faults",
    "Faults": "rfx.go2.faults",
    "Go2BackendHint": "rfx.go2.config",
    "Go2Config": "rfx.go2.config",
    "free_domain": "rfx.go2.domains",
    "Go2State": "rfx.go2.state",
    "LowCmd": "rfx.go2.messages",
    "LowState": "rfx.go2.messages",
    "McapReader": "rfx.go2.mcap_reader",
    "Phase": "rfx.go2.posture",
    "PolicyRun": "rfx.go2.policy_run",
    "PosturePlan": "rfx.go2.posture",
    "RecordedBackend": "rfx.go2.backends.recorded",
    "RobotClock": "rfx.go2.lockstep",
    "RpcError": "rfx.go2.rpc_client",
    "SafetyEnvelope": "rfx.go2.envelope",
    "SafetyEvent": "rfx.go2.events",
    "SafetyLimits": "rfx.go2.limits",
    "Sender": "rfx.go2.sender",
    "SimulatedGo2": "rfx.go2.simulated",
    "Verdict": "rfx.go2.events",
    "check_log": "rfx.go2.flight_check",
    "replay_commands": "rfx.go2.replay",
    "run_policy": "rfx.go2.policy_runner",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.go2' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
