"""Ground to walk on: a plane, or a height field of tiles that grow harder from level to level.

Tiles are square; levels stand along x, kinds along y, with a flat border around. The middle of a tile is flat, robots begin
there, and every tile comes down (or up) to 0 at its edge, so that neighbours meet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError
from rfx.seeding import rng_from_seed

Array = NDArray[np.float64]

KINDS = ("flat", "rough", "slope", "stairs", "slope_down", "stairs_down")
PLATFORM = 0.8  # half width of the flat middle of a tile, m
STEP_DEPTH = 0.4


@dataclass(frozen=True)
class Terrain:
    """Ground by kinds and levels.

    Parameters
    ----------
    kinds : sequence of str
        One column of tiles each: "flat", "rough" (bumps of 2 to 10 cm), "slope" (a pyramid of 4 to 22 degrees), "stairs"
        (a pyramid of steps of 3 to 15 cm, each 40 cm deep), and "slope_down", "stairs_down", where the middle is lowest.
        ``("flat",)`` alone is a plane, which is the fastest.
    levels : int
        How many tiles of each kind, from the easiest to the hardest.
    tile : float
        Side of a tile, m.
    border : float
        Width of the flat ground around, m.
    resolution : float
        Between two heights, m. Steps are as steep as one of these allows.
    seed : int
        Of the bumps.
    curriculum : bool
        Robots that come far go on to the next level, others back; else each stays on the level it drew first.
    start_level : int
        Highest level to begin on.
    """

    kinds: tuple[str, ...] = ("flat",)
    levels: int = 5
    tile: float = 8.0
    border: float = 4.0
    resolution: float = 0.1
    seed: int = 0
    curriculum: bool = False
    start_level: int = 0

    def __post_init__(self) -> None:
        kinds = (self.kinds,) if isinstance(self.kinds, str) else tuple(self.kinds)
        for kind in kinds:
            if kind not in KINDS:
                raise ConfigError(f"expected a kind of terrain to be one of {', '.join(KINDS)}, got {kind!r}")
        if not kinds:
            raise ConfigError("expected at least one kind of terrain")
        object.__setattr__(self, "kinds", kinds)
        arrays.integer(self.levels, "levels", minimum=1, maximum=100)
        arrays.number(self.tile, "tile", minimum=4.0, maximum=100.0)
        arrays.number(self.border, "border", minimum=1.0, maximum=100.0)
        arrays.number(self.resolution, "resolution", minimum=0.02, maximum=0.5)
        arrays.integer(self.seed, "seed", minimum=0, maximum=2**64 - 1)
        arrays.integer(self.start_level, "start_level", minimum=0, maximum=self.levels - 1)

    @property
    def is_plane(self) -> bool:
        """Whether there is nothing but a plane."""
        return set(self.kinds) == {"flat"}

    @property
    def size(self) -> tuple[float, float]:
        """Extent along x and y, m."""
        return 2 * self.border + self.levels * self.tile, 2 * self.border + len(self.kinds) * self.tile

    def heights(self) -> Array:
        """Return the heights (rows along y, columns along x), m, the middle of the field at the origin of the world.

        The same terrain gives the same bytes on every machine.
        """
        cells = round(self.tile / self.resolution)
        edge = round(self.border / self.resolution)
        rows, columns = 2 * edge + len(self.kinds) * cells + 1, 2 * edge + self.levels * cells + 1
        field = np.zeros((rows, columns))
        rng = rng_from_seed(self.seed)
        for k, kind in enumerate(self.kinds):
            for level in range(self.levels):
                hard = level / max(self.levels - 1, 1)
                bumps = rng.uniform(-1.0, 1.0, size=(cells // 2 + 1, cells // 2 + 1))
                at = edge + k * cells, edge + level * cells
                field[at[0] : at[0] + cells + 1, at[1] : at[1] + cells + 1] = _tile(kind, hard, cells, self.tile, bumps)
        return field


def _tile(kind: str, hard: float, cells: int, side: float, bumps: Array) -> Array:
    """One tile, (cells + 1, cells + 1), 0 at its edge."""
    place = np.abs(np.linspace(-side / 2, side / 2, cells + 1))
    inwards = side / 2 - np.maximum(place[:, None], place)  # distance from the edge, m
    inside = np.minimum(inwards, side / 2 - PLATFORM)
    if kind == "flat":
        return np.zeros((cells + 1, cells + 1))
    if kind == "rough":
        fine = np.minimum(np.arange(cells + 1) // 2, len(bumps) - 1)
        fade = np.clip(inwards / 0.2, 0.0, 1.0) * np.clip((side / 2 - PLATFORM - inwards) / 0.2 + 1.0, 0.0, 1.0)
        return (0.02 + 0.08 * hard) * bumps[np.ix_(fine, fine)] * fade
    sign = -1.0 if kind.endswith("_down") else 1.0
    if kind.startswith("slope"):
        return sign * (0.07 + 0.33 * hard) * inside
    # np.round first: a place that is exactly on a step must not fall to either side by a rounding
    return sign * (0.03 + 0.12 * hard) * np.floor(np.round(inside / STEP_DEPTH, 9))


TERRAINS: dict[str, Terrain] = {
    "flat": Terrain(),
    "rough": Terrain(("rough",)),
    "slope": Terrain(("slope", "slope_down")),
    "stairs": Terrain(("stairs", "stairs_down")),
    "mixed": Terrain(("flat", "rough", "slope", "slope_down", "stairs", "stairs_down"), curriculum=True),
}


def terrain_of(name: "str | Terrain") -> Terrain:
    """Return the terrain of that name, or the one given; ConfigError for another name."""
    if isinstance(name, Terrain):
        return name
    if not isinstance(name, str) or name not in TERRAINS:
        raise ConfigError(f"expected a Terrain, or one of {', '.join(TERRAINS)}, got {name!r}")
    return TERRAINS[name]
