"""What a saved frame-stack buffer says of one environment, checked before it is believed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError


def checked_lane(
    lanes: Any, env: int, memory: NDArray[np.uint8], room: int, stack: int
) -> tuple[int, int, NDArray[np.int64]]:
    """Return where the next transition goes, the age of the episode, and the transitions that can be drawn.

    Parameters
    ----------
    lanes : dict
        Of a state, by environment.
    memory : ndarray of uint8, (capacity, stride)
        All rows; each begins with the age of its frame, int32.
    room, stack : int
        Frames of one environment, and of an observation.

    Raises
    ------
    ConfigError
        Something would lead to a frame that is not there.
    """
    lane = lanes.get(str(env)) if isinstance(lanes, dict) else None
    if not isinstance(lane, dict) or set(lane) != {"next", "age", "held"}:
        raise ConfigError(f"expected next, age and held of environment {env}")
    after = arrays.integer(lane["next"], "next", minimum=0, maximum=2**62)
    age = arrays.integer(lane["age"], "age", minimum=0, maximum=after)
    held = np.ascontiguousarray(lane["held"])
    if held.ndim != 1 or held.dtype != np.int64 or (held.size and (held.min() < 0 or held.max() >= after)):
        raise ConfigError(f"expected held to be frames before {after}, int64")
    ages = memory[env * room + held % room, :4].copy().view(np.int32)[:, 0]
    oldest = max(0, after - room)
    rises = bool((np.diff(held) > 0).all())
    if not (rises and (ages >= 0).all() and (ages < stack).all() and (held - ages >= oldest).all()):
        raise ConfigError(f"expected held to rise within the frames {oldest} to {after}, and so the frames they need")
    return after, age, held
