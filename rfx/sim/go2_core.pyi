"""The compiled half of the batched Go2."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.sim.go2_numbers import Go2Numbers

class Go2Core(Go2Numbers):
    robots: NDArray[Any]
    terms: NDArray[np.float64]
    sums: NDArray[np.float64]
    finished: NDArray[np.float64]
    finished_steps: NDArray[np.int64]
    last_obs: NDArray[np.float32]
    controls: NDArray[np.float64]
    bound: Any
    num_envs: int
    def __init__(self, num_envs: int, task: Any, start_height: float, heights: NDArray[np.float64] | None) -> None: ...
    def bind(
        self,
        state: Sequence[NDArray[np.float64]],
        outputs: Sequence[NDArray[np.float64]],
        fields: Sequence[NDArray[np.float64] | None],
        trunk: int,
        trunk_mass: float,
        feet: Sequence[int] | NDArray[np.int64],
    ) -> None: ...
    def seed(self, seeds: NDArray[np.uint64]) -> None: ...
    def seed_from(self, master: int) -> None: ...
    def waiting(self) -> int: ...
    def ended(self) -> NDArray[np.bool_]: ...
    @staticmethod
    def first_bad(actions: NDArray[np.float32]) -> int: ...
    def act(self, actions: NDArray[np.float32]) -> None: ...
    def score(
        self,
        active: NDArray[np.uint8],
        failed: NDArray[np.uint8],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.uint8],
        truncated: NDArray[np.uint8],
    ) -> int: ...
    def observe(self, which: NDArray[np.uint8], obs: NDArray[np.float32]) -> None: ...
    def dress_all(self) -> None: ...
    def begin(self, which: NDArray[np.uint8]) -> None: ...
    def ground_at(self, x: float, y: float) -> float: ...
    def streams(self) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]: ...
    def set_streams(self, keys: NDArray[np.uint32], positions: NDArray[np.uint64]) -> None: ...
