"""Skills: functions that an agent may call, checked before they run. Names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfx.skills.annotations import Bound as Bound
    from rfx.skills.annotations import Length as Length
    from rfx.skills.audit import AuditEntry as AuditEntry
    from rfx.skills.audit import AuditLog as AuditLog
    from rfx.skills.cancel import CancelToken as CancelToken
    from rfx.skills.cancel import SkillCancelled as SkillCancelled
    from rfx.skills.decorator import Skill as Skill
    from rfx.skills.decorator import skill as skill
    from rfx.skills.formats import ToolCall as ToolCall
    from rfx.skills.registry import SkillRegistry as SkillRegistry
    from rfx.skills.result import SkillResult as SkillResult

# public name -> the module it lives in
_HOME = {
    "AuditEntry": "rfx.skills.audit",
    "AuditLog": "rfx.skills.audit",
    "Bound": "rfx.skills.annotations",
    "CancelToken": "rfx.skills.cancel",
    "Length": "rfx.skills.annotations",
    "Skill": "rfx.skills.decorator",
    "SkillCancelled": "rfx.skills.cancel",
    "SkillRegistry": "rfx.skills.registry",
    "SkillResult": "rfx.skills.result",
    "ToolCall": "rfx.skills.formats",
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
