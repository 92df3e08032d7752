"""What a node needs of a robot."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from rfx.errors import ConfigError, DTypeError

STOP = "stop"
STATUS = "status"  # no command to the robot: the node says how it is


class Effect(StrEnum):
    """What a command does to a robot's motion, so that a node knows when to stop it."""

    Moves = "moves"  # has to come again and again, else the dead man stops the robot
    Rests = "rests"  # ends whatever motion there was
    Stops = "stops"  # the same, and overtakes every other command
    Sets = "sets"  # neither


@runtime_checkable
class NodeRobot(Protocol):
    """A robot that a :class:`RobotNode` can hold. The three methods are called from several threads at once.

    Besides them it may have

    ``commands`` : mapping of str to :class:`Effect`
        The commands it knows, and what they do. Without it every command goes to :meth:`command` and counts as one that
        moves.
    ``kind`` : str
        What it is, for those who list nodes; by default the name of its class.
    ``close()``
        Called by a node that made the robot itself, when it stops.
    """

    def state(self) -> Mapping[str, Any]:
        """Return its state now: values by name (:mod:`rfx.comm.values`). Raises where it is not known: never old numbers."""
        ...

    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do something, and return a value or None. Raises where it refuses, and then nothing has changed."""
        ...

    def stop(self) -> None:
        """Come to a halt: velocity zero, then stand still. May come at any time, also while :meth:`command` runs."""
        ...


def effects_of(robot: Any) -> dict[str, Effect] | None:
    """Return the commands of a robot with ``stop`` among them; None where it does not say."""
    given = getattr(robot, "commands", None)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise DTypeError(f"expected commands of the robot as a mapping of names to effects, got {type(given).__name__}")
    effects = {}
    for name, effect in given.items():
        if not isinstance(name, str) or effect not in list(Effect):
            raise ConfigError(f"expected a name and one of {', '.join(Effect)}, got {name!r}: {effect!r}")
        if name == STATUS:
            raise ConfigError(f"expected no command {STATUS!r} of the robot: the node itself answers it")
        effects[name] = Effect(effect)
    return {**effects, STOP: Effect.Stops}


def kind_of(robot: Any) -> str:
    """Return what a robot is, for people."""
    return str(getattr(robot, "kind", type(robot).__name__))[:100]


def robot_of(robot: Any) -> tuple[Callable[[], Any], bool]:
    """Return what gives the robot, and whether it is made anew each time (and closed by the node then)."""
    if not isinstance(robot, type) and isinstance(robot, NodeRobot):
        return (lambda: robot), False
    if callable(robot):
        return robot, True
    missing = [name for name in ("state", "command", "stop") if not callable(getattr(robot, name, None))]
    raise DTypeError(
        f"expected a robot with state(), command() and stop(), or a function that makes one; {type(robot).__name__} has no "
        f"{', '.join(missing)}"
    )


def checked_robot(made: Any) -> Any:
    """Return what a function made, if it is a robot."""
    if not isinstance(made, NodeRobot):
        raise DTypeError(f"expected the function to make a robot with state(), command() and stop(), got {made!r}")
    return made
