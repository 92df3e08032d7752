"""What comes as the JSON parameter of a sport request, checked."""

import json
from typing import Any

from rfx.errors import InvalidValueError
from rfx.sim.gaits import Range


def numbers_of(parameter: str, keys: tuple[str, ...]) -> list[float]:
    """Return the numbers of these names; ValueError in words for anything else. ``data=1`` may be left out and is 1 then."""
    if not keys:
        return []
    names = [key.partition("=")[0] for key in keys]
    default = {name: float(value) for name, _, value in (key.partition("=") for key in keys) if value}
    try:
        given: Any = {**default, **json.loads(parameter or "{}")}
        values = [given[name] for name in names]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"expected JSON with {', '.join(names)}, got {parameter[:80]!r}") from error
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, (int, float)) or not abs(value) < 1e9:
            raise ValueError(f"expected {name} to be a finite number, got {value!r}"[:120])
    return [float(v) for v in values]


def whole(value: float, low: int, high: int) -> int:
    """Return a whole number within low..high; InvalidValueError for another."""
    if value != int(value) or not low <= value <= high:
        raise InvalidValueError(f"expected a whole number within {low}..{high}, got {value:g}")
    return int(value)


def clamped(value: float, limits: Range, share: float = 1.0) -> float:
    """Return a velocity within its share of what the gait can do."""
    low, high = limits
    return min(max(value, share * low), share * high)
