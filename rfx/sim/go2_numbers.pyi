"""A task of the batched Go2 as the structures of C that its kernels take."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class Go2Numbers:
    def __init__(self, task: Any, start_height: float, heights: NDArray[np.float64] | None) -> None: ...
    obs_dim: int
    max_steps: int
    substeps: int
