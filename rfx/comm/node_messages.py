"""What a node says and is told: its states in words, commands as they travel, errors as text."""

from enum import StrEnum
from typing import Any

from rfx.errors import CodecError, DTypeError

NODE_KIND = "robot"  # as such a node announces itself
MOST_TEXT = 1000  # characters of an error in a message


class NodeState(StrEnum):
    """How a node is."""

    Created = "created"
    Running = "running"
    Failing = "failing"  # the robot gives no state now
    Stopped = "stopped"
    Failed = "failed"  # it has ended by itself; the error says why


def command_of(about: Any) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a command; the error says what was expected."""
    if not isinstance(about, dict) or not set(about) <= {"command", "arguments"} or "command" not in about:
        raise CodecError(f"expected a command and its arguments, got {shortened(about)}")
    arguments = about.get("arguments", {})
    if not isinstance(about["command"], str) or not isinstance(arguments, dict):
        raise DTypeError(f"expected a command by name with arguments by name, got {shortened(about)}")
    return about["command"], arguments


def text_of(error: BaseException) -> str:
    """Return an error as a message carries it."""
    return f"{type(error).__name__}: {error}"[:MOST_TEXT]


def shortened(value: Any) -> str:
    """Return any value as text of at most 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
