"""Pictures of all environments of an engine."""

import inspect
from typing import Any

from rfx.errors import ConfigError

MODES = ("rgb_array", "ansi")


def checked_mode(mode: Any) -> str | None:
    """Return a render mode, or None; ConfigError for others."""
    if mode is not None and mode not in MODES:
        raise ConfigError(f"expected render_mode to be one of {', '.join(MODES)}, got {mode!r}")
    return mode


def takes_mode(maker: Any) -> bool:
    """Whether environments are made with ``render_mode``, as Gymnasium's are."""
    try:
        return callable(maker) and "render_mode" in inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return False


def rendered(engine: Any, env_id: str | None, mode: str, made_with_mode: bool) -> list[Any]:
    """Return what each environment shows: pictures, (height, width, 3) of uint8, or lines of text.

    ConfigError for compiled environments of a kind that has no picture.
    """
    if hasattr(engine, "render") and mode == "rgb_array":
        return [engine.render(i) for i in range(engine.num_envs)]
    if hasattr(engine, "call"):
        if made_with_mode:
            return engine.call("render")
        return engine.call("render", "text" if mode == "ansi" else mode)
    from rfx.envs.scenes import SCENES

    name = None if env_id is None else env_id.removeprefix("rfx/")
    if name not in SCENES or mode != "rgb_array":
        raise ConfigError(f"expected render_mode 'rgb_array' of {', '.join(SCENES)}, got {mode!r} of {env_id}")
    states, physics = engine.states, engine.physics
    return [
        SCENES[name](state, {key: float(values[i]) for key, values in physics.items()})
        for i, state in enumerate(states)
    ]
