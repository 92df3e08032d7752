"""What comes as the JSON parameter of a sport request, checked."""

import json
from typing import Any

from rfx.errors import InvalidValueError
from rfx.sim.gait import LIMITS


def numbers_of(parameter: str, keys: tuple[str, ...]) -> list[float]:
    """Return the numbers of these names; ValueError in words for anything else."""
    if not keys:
        return []
    try:
        given: Any = json.loads(parameter)
        values = [given[key] for key in keys]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"expected JSON with {', '.join(keys)}, got {parameter[:80]!r}") from error
    for key, value in zip(keys, values, strict=True):
        if not isinstance(value, (int, float)) or not abs(value) < 1e9:
            raise ValueError(f"expected {key} to be a finite number, got {value!r}"[:120])
    return [float(v) for v in values]


def whole(value: float, low: int, high: int) -> int:
    """Return a whole number within low..high; InvalidValueError for another."""
    if value != int(value) or not low <= value <= high:
        raise InvalidValueError(f"expected a whole number within {low}..{high}, got {value:g}")
    return int(value)


def clamped(name: str, value: float, share: float) -> float:
    """Return a velocity within its share of what the gait can do."""
    low, high = LIMITS[name]
    return min(max(value, share * low), share * high)
