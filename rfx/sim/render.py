"""Pictures of the robot without OpenGL: rays against its primitives, a chequered floor, one lamp, soft shadows.

Rays and shadow rays run in the kernel ``raycast``; the shading is a few lines of numpy. A 480 by 360 picture takes well
under two seconds on one core.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError
from rfx.sim.core import cast_rays
from rfx.sim.go2_model import LINKS, SHAPES

Array = NDArray[np.float64]

LARGEST = 4096
RAYS_AT_ONCE = 65536  # bounds the memory of a large picture, and lets Ctrl+C through
KINDS = {"sphere": 0, "box": 1, "cylinder": 2, "capsule": 3}
LAMP = np.array([0.45, -0.50, 0.95])
SKY_LOW, SKY_HIGH = np.array([0.80, 0.84, 0.88]), np.array([0.45, 0.58, 0.75])
TILES = np.array([[0.42, 0.45, 0.49], [0.52, 0.55, 0.59]])
TILE = 0.25
# Where in a pixel the rays go, and how far the lamp is moved for each: together they smooth edges and shadows.
SAMPLES = (
    (0.125, 0.625, 0.06, 0.02),
    (0.375, 0.125, -0.02, 0.06),
    (0.625, 0.875, -0.06, -0.02),
    (0.875, 0.375, 0.02, -0.06),
)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera on a ball around the trunk.

    Parameters
    ----------
    azimuth : float
        Where it stands, degrees about the vertical: 0 in front, 90 to the robot's left when it faces along +x.
    elevation : float
        Degrees above the horizontal, above 0 and at most 90.
    distance : float
        To the point it looks at, in metres.
    field_of_view : float
        Vertical, degrees, from 1 to 150.
    """

    azimuth: float = -40.0
    elevation: float = 18.0
    distance: float = 1.2
    field_of_view: float = 40.0

    def __post_init__(self) -> None:
        arrays.number(self.azimuth, "azimuth")
        arrays.number(self.elevation, "elevation", above=0.0, maximum=90.0)
        arrays.number(self.distance, "distance", minimum=0.05, maximum=100.0)
        arrays.number(self.field_of_view, "field_of_view", minimum=1.0, maximum=150.0)


CAMERAS = {
    "corner": Camera(),
    "side": Camera(azimuth=-90.0, elevation=8.0),
    "front": Camera(azimuth=0.0, elevation=12.0),
    "top": Camera(azimuth=-90.0, elevation=89.0, distance=1.5),
}


def draw(
    positions: Array, rotations: Array, width: int, height: int, camera: str | Camera = "corner"
) -> NDArray[np.uint8]:
    """Draw the Go2 with its links where they are said to be.

    Parameters
    ----------
    positions, rotations : ndarray, shape (13, 3) and (13, 3, 3), float64
        World place of each of ``go2_model.LINKS``.
    width, height : int
        1 to 4096 pixels.
    camera : Camera or str
        Or one of "corner", "side", "front", "top".

    Returns
    -------
    ndarray, shape (height, width, 3), uint8

    Raises
    ------
    ConfigError
        A camera of that name does not exist.
    DTypeError, InvalidValueError
        A size is no integer, or out of range.
    """
    width = arrays.integer(width, "width", minimum=1, maximum=LARGEST)
    height = arrays.integer(height, "height", minimum=1, maximum=LARGEST)
    view = _camera(camera)
    positions = arrays.finite(arrays.floats(positions, "positions", (len(LINKS), 3), np.float64), "positions")
    rotations = arrays.finite(arrays.floats(rotations, "rotations", (len(LINKS), 3, 3), np.float64), "rotations")
    shapes = world_shapes(positions, rotations)
    picture = np.empty((height, width, 3), np.uint8)
    target = np.array([positions[0, 0], positions[0, 1], max(0.12, 0.65 * positions[0, 2])])
    band = max(1, RAYS_AT_ONCE // width)
    for top in range(0, height, band):
        rows: NDArray[np.int64] = np.arange(top, min(top + band, height))
        light = np.zeros((len(rows) * width, 3))
        for right, down, lamp_x, lamp_y in SAMPLES:
            eye, rays = _rays(view, target, width, height, rows.astype(np.float64) + down, right)
            light += _shade(shapes, eye, rays, LAMP + np.array([lamp_x, lamp_y, 0.0]))
        shown = 255.0 * np.sqrt(np.clip(light / len(SAMPLES), 0.0, 1.0))
        picture[rows] = np.round(shown).astype(np.uint8).reshape(len(rows), width, 3)
    return picture


def _camera(camera: str | Camera) -> Camera:
    if isinstance(camera, Camera):
        return camera
    if not isinstance(camera, str):
        raise DTypeError(f"expected camera to be a Camera or a name, got {type(camera).__name__}")
    if camera not in CAMERAS:
        raise ConfigError(f"expected camera to be one of {', '.join(CAMERAS)}, got {camera!r}")
    return CAMERAS[camera]


def world_shapes(positions: Array, rotations: Array) -> Array:
    """The primitives in the world as rows for ``cast_rays``, shape (M, 17)."""
    rows = np.zeros((len(SHAPES), 17))
    for row, shape in zip(rows, SHAPES, strict=True):
        link = LINKS.index(shape.link)
        row[0] = KINDS[shape.kind]
        row[1:4] = positions[link] + rotations[link] @ np.array(shape.position)
        row[4:13] = (rotations[link] @ shape.rotation()).ravel()
        row[13 : 13 + len(shape.size)] = shape.size
        a, b, c = row[13:16]
        row[16] = {"sphere": a, "box": math.hypot(a, b, c), "cylinder": math.hypot(a, b), "capsule": a + b}[shape.kind]
    return rows


def _rays(view: Camera, target: Array, width: int, height: int, down: Array, right: float) -> tuple[Array, Array]:
    """Where the camera stands, and unit rays through the pixels of some lines, ``down`` pixels from the top."""
    turn, lift = math.radians(view.azimuth), math.radians(view.elevation)
    back = np.array([math.cos(lift) * math.cos(turn), math.cos(lift) * math.sin(turn), math.sin(lift)])
    side = np.array([-math.sin(turn), math.cos(turn), 0.0])
    up = np.cross(back, side)
    scale = 2.0 * math.tan(math.radians(view.field_of_view) / 2.0) / height
    x = (np.arange(width) + right - width / 2.0) * scale
    y = (height / 2.0 - down) * scale
    rays = (x[None, :, None] * side + y[:, None, None] * up - back).reshape(-1, 3)
    return target + view.distance * back, rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _shade(shapes: Array, eye: Array, rays: Array, lamp: Array) -> Array:
    """Linear colour of each ray, shape (N, 3)."""
    distance, index, normal = cast_rays(shapes, eye, rays)
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[:, 2] < -1e-6, -eye[2] / rays[:, 2], np.inf)
    floor = to_floor < distance
    distance = np.where(floor, to_floor, distance)
    normal[floor] = (0.0, 0.0, 1.0)
    seen = np.flatnonzero(np.isfinite(distance))
    height = np.clip(rays[:, 2:] * 2.0 + 0.1, 0.0, 1.0)
    colour = SKY_LOW**2 + (SKY_HIGH**2 - SKY_LOW**2) * height
    if not len(seen):
        return colour
    point = eye + distance[seen, None] * rays[seen]
    towards = lamp / np.linalg.norm(lamp)
    facing = normal[seen] @ towards
    lit = np.maximum(facing, 0.0)
    ask = np.flatnonzero((facing > 0.0) & (distance[seen] < 8.0))
    blocked, _, _ = cast_rays(shapes, point[ask] + 1e-4 * normal[seen][ask], np.tile(towards, (len(ask), 1)))
    lit[ask[np.isfinite(blocked)]] = 0.0
    base = _base_colour(point, index[seen], floor[seen])
    ambient = 0.30 + 0.16 * normal[seen, 2]
    half = towards - rays[seen]
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = np.where(floor[seen], 0.0, 0.25) * (lit > 0.0) * np.maximum((normal[seen] * half).sum(1), 0.0) ** 32
    surface = base * (ambient + 0.75 * lit)[:, None] + shine[:, None]
    haze = np.clip((distance[seen] - 2.0) / 8.0, 0.0, 1.0)[:, None]
    colour[seen] = surface + (colour[seen] - surface) * haze
    return colour


def _base_colour(point: Array, index: NDArray[np.int32], floor: NDArray[np.bool_]) -> Array:
    palette = np.array([shape.colour for shape in SHAPES]) ** 2
    tile = (np.floor(point[:, 0] / TILE) + np.floor(point[:, 1] / TILE)).astype(np.int64) % 2
    return np.where(floor[:, None], TILES[tile] ** 2, palette[np.maximum(index, 0)])
