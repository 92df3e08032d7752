"""Skills: functions that an agent may call, checked before they run. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.skills.agent import Agent as Agent
    from rfx.skills.agent import MockAgent as MockAgent
    from rfx.skills.agent_config import AgentConfig as AgentConfig
    from rfx.skills.agent_config import AgentResult as AgentResult
    from rfx.skills.annotations import Bound as Bound
    from rfx.skills.annotations import Length as Length
    from rfx.skills.audit import AuditEntry as AuditEntry
    from rfx.skills.audit import AuditLog as AuditLog
    from rfx.skills.caller import Caller as Caller
    from rfx.skills.caller import current_caller as current_caller
    from rfx.skills.caller import report_progress as report_progress
    from rfx.skills.cancel import CancelToken as CancelToken
    from rfx.skills.cancel import SkillCancelled as SkillCancelled
    from rfx.skills.decorator import Skill as Skill
    from rfx.skills.decorator import skill as skill
    from rfx.skills.formats import ToolCall as ToolCall
    from rfx.skills.gait_robot import GaitGo2 as GaitGo2
    from rfx.skills.go2 import Go2Skills as Go2Skills
    from rfx.skills.guard import Guard as Guard
    from rfx.skills.guarded import GuardedRobot as GuardedRobot
    from rfx.skills.guarded import Move as Move
    from rfx.skills.limits import Circle as Circle
    from rfx.skills.limits import Polygon as Polygon
    from rfx.skills.limits import SkillLimits as SkillLimits
    from rfx.skills.mcp_server import SkillServer as SkillServer
    from rfx.skills.messages import Answers as Answers
    from rfx.skills.messages import Instruction as Instruction
    from rfx.skills.messages import Model as Model
    from rfx.skills.messages import Reply as Reply
    from rfx.skills.messages import Request as Request
    from rfx.skills.messages import Usage as Usage
    from rfx.skills.mock import MockModel as MockModel
    from rfx.skills.models import AnthropicModel as AnthropicModel
    from rfx.skills.models import OpenAIChatModel as OpenAIChatModel
    from rfx.skills.models import OpenAIResponsesModel as OpenAIResponsesModel
    from rfx.skills.models import model_for as model_for
    from rfx.skills.registry import SkillRegistry as SkillRegistry
    from rfx.skills.result import SkillError as SkillError
    from rfx.skills.result import SkillResult as SkillResult
    from rfx.skills.robots import Go2Robot as Go2Robot
    from rfx.skills.robots import RobotPose as RobotPose
    from rfx.skills.robots import SkillRobot as SkillRobot
    from rfx.skills.scripted import ScriptedServer as ScriptedServer
    from rfx.skills.scripted import ServerTurn as ServerTurn
    from rfx.skills.simulated import KinematicGo2 as KinematicGo2
    from rfx.skills.transcript import Transcript as Transcript
    from rfx.skills.transcript import TranscriptEntry as TranscriptEntry

# public name -> the module it lives in
_HOME = {
    "Agent": "rfx.skills.agent",
    "AgentConfig": "rfx.skills.agent_config",
    "AgentResult": "rfx.skills.agent_config",
    "Answers": "rfx.skills.messages",
    "AnthropicModel": "rfx.skills.models",
    "AuditEntry": "rfx.skills.audit",
    "AuditLog": "rfx.skills.audit",
    "Bound": "rfx.skills.annotations",
    "Caller": "rfx.skills.caller",
    "CancelToken": "rfx.skills.cancel",
    "Circle": "rfx.skills.limits",
    "GaitGo2": "rfx.skills.gait_robot",
    "Go2Robot": "rfx.skills.robots",
    "Go2Skills": "rfx.skills.go2",
    "Guard": "rfx.skills.guard",
    "GuardedRobot": "rfx.skills.guarded",
    "Instruction": "rfx.skills.messages",
    "KinematicGo2": "rfx.skills.simulated",
    "Length": "rfx.skills.annotations",
    "MockAgent": "rfx.skills.agent",
    "MockModel": "rfx.skills.mock",
    "Model": "rfx.skills.messages",
    "Move": "rfx.skills.guarded",
    "OpenAIChatModel": "rfx.skills.models",
    "OpenAIResponsesModel": "rfx.skills.models",
    "Polygon": "rfx.skills.limits",
    "Reply": "rfx.skills.messages",
    "Request": "rfx.skills.messages",
    "RobotPose": "rfx.skills.robots",
    "ScriptedServer": "rfx.skills.scripted",
    "ServerTurn": "rfx.skills.scripted",
    "Skill": "rfx.skills.decorator",
    "SkillServer": "rfx.skills.mcp_server",
    "SkillCancelled": "rfx.skills.cancel",
    "SkillError": "rfx.skills.result",
    "SkillLimits": "rfx.skills.limits",
    "SkillRegistry": "rfx.skills.registry",
    "SkillResult": "rfx.skills.result",
    "SkillRobot": "rfx.skills.robots",
    "ToolCall": "rfx.skills.formats",
    "Transcript": "rfx.skills.transcript",
    "TranscriptEntry": "rfx.skills.transcript",
    "Usage": "rfx.skills.messages",
    "current_caller": "rfx.skills.caller",
    "model_for": "rfx.skills.models",
    "report_progress": "rfx.skills.caller",
    "skill": "rfx.skills.decorator",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rfx.skills' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
