from typing import Any

import numpy as np
from numpy.typing import DTypeLike

def place_known(zenoh: Any) -> bool: ...
def in_shared(
    buffer: Any, size: int, shape: tuple[int, ...] | None = None, dtype: DTypeLike | None = None
) -> np.ndarray[Any, Any] | None: ...
