"""The trunk's velocity during a run of a policy."""

import numpy as np
from numpy.typing import NDArray

from rfx.sim.odometry import VelocityEstimator

class VelocityWatch:
    estimator: VelocityEstimator
    def __init__(self, estimator: VelocityEstimator, *, patience_s: float = 0.5) -> None: ...
    @property
    def blind_s(self) -> float: ...
    @property
    def foot_force(self) -> NDArray[np.float64]: ...
    @property
    def last(self) -> NDArray[np.float64]: ...
