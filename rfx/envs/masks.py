"""Which environments: masks as they come from outside."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.errors import DTypeError, ShapeError


def mask_of(mask: Any, n: int) -> NDArray[np.bool_]:
    """Return a mask of n environments, contiguous; all of them for None. DTypeError or ShapeError for what is none."""
    if mask is None:
        return np.ones(n, np.bool_)
    array = np.ascontiguousarray(mask)
    if array.dtype != np.bool_:
        raise DTypeError(f"expected mask to hold bools, got {array.dtype}")
    if array.shape != (n,):
        raise ShapeError(f"expected mask of shape ({n},), got {array.shape}")
    return array
