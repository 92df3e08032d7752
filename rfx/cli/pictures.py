"""Pictures of the robot, drawn afterwards from what was recorded."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rfx.math import Quaternion
from rfx.sim.kinematics import link_poses
from rfx.sim.render import Camera, draw

if TYPE_CHECKING:
    from rfx.cli.demo_run import Recorder

WIDTH, HEIGHT = 360, 270
CAMERA = Camera(azimuth=-35.0, elevation=14.0, distance=1.3)


def moments(
    phases: list[tuple[str, float, float]], pushes: list[tuple[float, float, tuple[float, float, float]]]
) -> list[tuple[str, float]]:
    """Return which moments of a run are worth a picture: title and time (s)."""
    spans = {name: (start, end) for name, start, end in phases}
    chosen = [("lying", 0.0)]
    if "stand up" in spans:
        start, end = spans["stand up"]
        chosen.append(("standing up", start + 0.55 * (end - start)))
    for start, duration, force in pushes[:1]:
        chosen.append((f"pushed with {np.linalg.norm(force):.0f} N", start + duration))
    if "hold" in spans:
        chosen.append(("standing", spans["hold"][1] - 0.05))
    if phases:
        chosen.append(("lying again", phases[-1][2]))
    return chosen


def picture(
    q: NDArray[np.float64],
    position: NDArray[np.float64],
    quaternion: NDArray[np.float64],
    camera: Camera,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> NDArray[np.uint8]:
    """Draw the robot with these joints and this pose of its trunk."""
    places, rotations = link_poses(q)
    turn = np.asarray(Quaternion(*map(float, quaternion)).to_rotation_matrix())
    return draw(places @ turn.T + position, turn @ rotations, width, height, camera)


def take(
    record: "Recorder",
    phases: list[tuple[str, float, float]],
    pushes: list[tuple[float, float, tuple[float, float, float]]],
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Return the pictures of a recorded run; moments that were not reached are left out."""
    taken = []
    time_s = record.cut(record.time_s)
    for title, when in moments(phases, pushes):
        if not len(time_s) or when > time_s[-1] + 0.1:
            continue
        i = min(int(np.searchsorted(time_s, when)), record.n - 1)
        position = np.nan_to_num(record.position[i], nan=0.3)
        taken.append((f"{title}, {time_s[i]:.1f} s", picture(record.q[i], position, record.quaternion[i], CAMERA)))
    return taken
