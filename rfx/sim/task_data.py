"""A task of the Go2 as lists, dicts and numbers that JSON can write, so that it can be kept with what was trained on it."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from rfx.errors import ConfigError
from rfx.robots.layouts import PolicyLayout
from rfx.sim.go2_task import Commands, Go2Task, Randomisation, Rewards, Start, Termination
from rfx.sim.terrain import Terrain

_PARTS: dict[str, Any] = {
    "commands": Commands,
    "rewards": Rewards,
    "termination": Termination,
    "start": Start,
    "randomisation": Randomisation,
    "terrain": Terrain,
}


def task_to_dict(task: Go2Task) -> dict[str, Any]:
    """Return everything that makes a task, names filled in with what they stand for."""
    plain: dict[str, Any] = _plain(task)
    return {**plain, "layout": task.policy.to_dict()}


def task_from_dict(data: Mapping[str, Any]) -> Go2Task:
    """Build from what :func:`task_to_dict` gave; ConfigError for unknown or missing keys, ``data`` stays as it is."""
    given = _keys(Go2Task, data)
    for name, part in _PARTS.items():
        given[name] = part(**_keys(part, given[name]))
    given["layout"] = PolicyLayout.from_dict(given["layout"])
    return Go2Task(**given)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _keys(part: Any, data: Any) -> dict[str, Any]:
    known = {f.name for f in fields(part)}
    if not isinstance(data, Mapping) or set(data) != known:
        got = sorted(data) if isinstance(data, Mapping) else type(data).__name__
        raise ConfigError(f"expected the keys {sorted(known)} of {part.__name__}, got {got}")
    return dict(data)
