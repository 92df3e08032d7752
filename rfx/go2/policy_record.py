"""What a policy's run is made of and leaves behind, as names and messages: phases, ends, stages, commands, records."""

import functools
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, ShapeError
from rfx.go2.types import U32
from rfx.go2.wire import Struct, wire

# In the order of the numbers in rfx/go2/policy_tick.pxd.
PHASES = ("waiting", "standing up", "settling", "policy", "lying down", "damping", "done")
ENDS = (
    "",
    "the time was over",
    "it was asked to end",
    "the safety envelope",
    "the link failed",
    "no state came any more",
    "the observation was not finite",
    "the network's action was not finite",
    "no velocity of the base was given any more",
    "L2 and B of the hand controller",
    "no leg was trusted any more to estimate the velocity of the base",
)
STAGES = ("take", "decode", "estimate", "observe", "act", "envelope", "encode", "write", "log", "total")
SOURCES = ("hand", "sticks")
POLICY_TOPIC = "rfx/policy_step"
VELOCITY_TOPIC = "rfx/velocity_estimate"


def command_table(commands: ArrayLike | str) -> NDArray[np.float64] | None:
    """Return rows of (seconds, forward, left, yaw), (n, 4); None where commands come while the policy runs.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, InvalidValueError
        Another word, other shapes, times that do not ascend, numbers that are not finite.
    """
    if isinstance(commands, str):
        if commands not in SOURCES:
            raise ConfigError(f"expected commands to be rows of numbers, or {' or '.join(SOURCES)}, got {commands!r}")
        return None
    given = arrays.finite(arrays.floats(commands, "commands", None, None), "commands").astype(np.float64)
    if given.shape == (3,):
        given = np.concatenate([[0.0], given])[None]
    if given.ndim != 2 or given.shape[1] != 4 or not len(given):
        raise ShapeError(
            f"expected commands as (vx, vy, vyaw) or rows of (time, vx, vy, vyaw), got shape {given.shape}"
        )
    if (np.diff(given[:, 0]) < 0).any() or given[0, 0] < 0:
        raise ConfigError(f"expected the times of commands to ascend from 0 on, got {given[:, 0].tolist()}")
    return np.ascontiguousarray(given)


@wire("rfx::VelocityEstimate_")
class VelocityEstimate(Struct):
    """The estimated velocity of the trunk after one state, in its own frame (m/s), and how much each leg was trusted."""

    __slots__ = ()
    tick: U32
    velocity: Annotated[tuple, ("f32", 3)]
    trust: Annotated[tuple, ("f32", 4)]


@functools.cache
def policy_step_class(obs_dim: int, act_dim: int = 12) -> Any:
    """Return the message class of a policy's step with so many numbers, as it stands in a flight log."""
    names = {
        "step": U32,
        "command": Annotated[tuple, ("f32", 3)],
        "observation": Annotated[tuple, ("f32", obs_dim)],
        "action": Annotated[tuple, ("f32", act_dim)],
        "targets": Annotated[tuple, ("f32", 12)],
    }
    made = type(f"PolicyStep{obs_dim}", (Struct,), {"__slots__": (), "__annotations__": names, "__module__": __name__})
    return wire(f"rfx::PolicyStep{obs_dim}_")(made)
