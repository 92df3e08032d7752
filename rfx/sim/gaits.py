"""The gaits that the controller knows: when each foot stands, how fast it may go. Plain data."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Gait:
    """How the feet follow each other, and what may be asked for.

    Parameters
    ----------
    name : str
        What :meth:`rfx.sim.GaitController.choose` calls it.
    period : float
        Of one cycle (s).
    duty : float
        Share of the cycle for which a foot stands. Below 0.5 all feet are in the air twice a cycle.
    offsets : tuple of four float
        How far FR, FL, RR, RL are ahead in the cycle, as shares of it; a foot comes down at 0 and lifts at ``duty``.
    sway : float
        How far the trunk leans to the side on which no foot is lifted (m).
    capture : float
        How far a foot is put out for each m/s that the trunk is too fast (s).
    lift : float
        How high the feet swing, as a share of what was asked for.
    vx, vy, vyaw : tuple of two float
        What it can be asked for (m/s, m/s, rad/s).
    """

    name: str
    period: float
    duty: float
    offsets: tuple[float, float, float, float]
    sway: float
    capture: float
    lift: float
    vx: Range
    vy: Range
    vyaw: Range


DIAGONAL = (0.0, 0.5, 0.5, 0.0)
# In the order of rfx.kernels.gait: the number of a gait is its place here.
GAITS = (
    Gait("trot", 0.40, 0.55, DIAGONAL, 0.0, 0.23, 1.0, (-0.6, 0.8), (-0.4, 0.4), (-1.2, 1.2)),
    Gait("run", 0.34, 0.38, DIAGONAL, 0.0, 0.19, 1.0, (-0.6, 1.2), (-0.4, 0.4), (-1.2, 1.2)),
    Gait("walk", 1.00, 0.80, (0.525, 0.025, 0.775, 0.275), 0.045, 0.17, 0.8, (-0.2, 0.25), (-0.1, 0.1), (-0.4, 0.4)),
    Gait("economic", 0.50, 0.58, DIAGONAL, 0.0, 0.26, 0.6, (-0.3, 0.5), (-0.2, 0.2), (-0.8, 0.8)),
)
BY_NAME = {gait.name: gait for gait in GAITS}
NAMES = tuple(BY_NAME)
