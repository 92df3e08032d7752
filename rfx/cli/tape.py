"""What a simulated robot did, kept while it runs: a row of numbers every 10 ms, in bounded memory."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.sim.plant import PlantState

Array = NDArray[np.float64]

MOST_ROWS = 36_000  # six minutes at 100 Hz, 15 MB
MOST_NOTES = 1000


class Motion(NamedTuple):
    """A run as arrays, one row per sample.

    Attributes
    ----------
    time_s : ndarray, shape (N,)
    position, velocity : ndarray, shape (N, 3)
        Of the trunk in the world, m and m/s.
    quaternion : ndarray, shape (N, 4)
        wxyz.
    q, dq, tau : ndarray, shape (N, 12)
        In motor order: rad, rad/s, Nm.
    foot_force : ndarray, shape (N, 4)
        FR, FL, RR, RL, N.
    modes : list of (str, float, float)
        Name, start and end (s) of each mode that the robot was in.
    """

    time_s: Array
    position: Array
    quaternion: Array
    velocity: Array
    q: Array
    dq: Array
    tau: Array
    foot_force: Array
    modes: list[tuple[str, float, float]]

    @property
    def tilt_rad(self) -> Array:
        """Angle between the trunk's z axis and the vertical, shape (N,)."""
        x, y = self.quaternion[:, 1], self.quaternion[:, 2]
        return np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))

    @property
    def heading_rad(self) -> Array:
        """Angle from the world's x axis to the trunk's, without jumps, shape (N,)."""
        w, x, y, z = self.quaternion.T
        return np.unwrap(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


class Tape:
    """Keep every n-th state of a plant.

    When ``most`` rows are full every second one is given up, and from then on half as many are kept: a long run costs
    detail, not memory.

    Parameters
    ----------
    every : int
        Keep one state of so many.
    most : int
        Rows at most, at least 2.
    """

    def __init__(self, every: int = 5, most: int = MOST_ROWS) -> None:
        self.every = arrays.integer(every, "every", minimum=1)
        self.most = arrays.integer(most, "most", minimum=2)
        self._rows: list[Array] = []
        self._modes: list[tuple[str, float]] = []
        self._seen = 0

    def __repr__(self) -> str:
        return f"Tape(rows={len(self._rows)}, every={self.every})"

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, state: PlantState, mode: str) -> None:
        """Look at a state; whoever calls it at 500 Hz pays for one in ``every``."""
        seen = self._seen
        self._seen += 1
        if (not self._modes or self._modes[-1][0] != mode) and len(self._modes) < MOST_NOTES:
            self._modes.append((mode, state.time))
        if seen % self.every:
            return
        parts = (state.position, state.quaternion, state.velocity, state.q, state.dq, state.tau_est, state.foot_force)
        self._rows.append(np.concatenate(((state.time,), *parts)))
        if len(self._rows) >= self.most:
            del self._rows[1::2]
            self.every *= 2

    def motion(self) -> Motion:
        """Return what was kept."""
        table = np.array(self._rows) if self._rows else np.zeros((0, 51))
        columns = np.split(table, np.cumsum((1, 3, 4, 3, 12, 12, 12)), axis=1)
        end = float(table[-1, 0]) if len(table) else 0.0
        starts = [start for _, start in self._modes]
        ends = [*starts[1:], max(end, *starts[-1:])] if starts else []
        modes = [(name, start, stop) for (name, start), stop in zip(self._modes, ends, strict=True)]
        time_s, position, quaternion, velocity, q, dq, tau, force = columns
        return Motion(time_s[:, 0], position, quaternion, velocity, q, dq, tau, force, modes)
