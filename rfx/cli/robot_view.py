"""``rfx robot simulate --view``: pictures, a moving picture and plots of a run, drawn after its end from what was kept."""

import html
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.cli.page import folder, image, page, write_files
from rfx.cli.pictures import picture
from rfx.cli.tape import Motion
from rfx.errors import MissingDependencyError, RfxError
from rfx.sim.render import Camera

FRAMES, RATE = 96, 8.0  # of the moving picture: twelve seconds as they were, longer runs faster
STRIP = 6
CAMERA = Camera(azimuth=-35.0, elevation=18.0, distance=1.35)
WIDE, HIGH = 320, 240
FALLEN_RAD = 1.0
THREADS = 2


def frame_rows(motion: Motion) -> tuple[NDArray[np.intp], float]:
    """Return which rows become frames, and how much faster than it was they show the run."""
    time_s = motion.time_s
    if not len(time_s):
        return np.zeros(0, np.intp), 1.0
    length = float(time_s[-1] - time_s[0])
    count = min(FRAMES, max(1, int(length * RATE)))
    rows = np.searchsorted(time_s, np.linspace(time_s[0], time_s[-1], count)).clip(0, len(time_s) - 1)
    return rows, max(1.0, length * RATE / count)


def draw_frames(motion: Motion, rows: NDArray[np.intp], done: Callable[[int], None]) -> list[NDArray[np.uint8]]:
    """Draw the robot at these rows; ``done`` is told how many are ready."""

    def one(row: int) -> NDArray[np.uint8]:
        q = np.nan_to_num(motion.q[row])
        return picture(q, motion.position[row], motion.quaternion[row], CAMERA, WIDE, HIGH)

    frames = []
    with ThreadPoolExecutor(THREADS) as pool:
        for drawn in pool.map(one, rows.tolist()):
            frames.append(drawn)
            done(len(frames))
    return frames


def summarise(motion: Motion) -> dict[str, Any]:
    """Return the numbers of a run, as plain values that JSON can write."""
    if not len(motion.time_s):
        return {"seconds": 0.0, "modes": []}
    step = np.hypot(*np.diff(motion.position[:, :2], axis=0).T)
    tilt = motion.tilt_rad
    return {
        "seconds": round(float(motion.time_s[-1] - motion.time_s[0]), 3),
        "modes": [[name, round(a, 3), round(b, 3)] for name, a, b in motion.modes],
        "walked_m": round(float(step.sum()), 4),
        "end_position_m": [round(float(v), 4) for v in motion.position[-1]],
        "turned_rad": round(float(motion.heading_rad[-1] - motion.heading_rad[0]), 4),
        "max_tilt_deg": round(float(np.degrees(tilt.max())), 3),
        "fell": bool(tilt.max() > FALLEN_RAD),
        "peak_torque_nm": round(float(np.nanmax(np.abs(motion.tau))), 3),
        "peak_velocity_rad_s": round(float(np.nanmax(np.abs(motion.dq))), 3),
    }


def write_view(motion: Motion, about: dict[str, Any], directory: Path) -> list[Path]:
    """Write robot.png (a strip), robot.gif, path.png, body.png, joints.png, summary.json and report.html.

    What needs a library that is not there is left out, and the page says so. Each file appears whole or not at all.

    Parameters
    ----------
    motion : Motion
    about : dict
        Further entries of the summary; ``description`` says what the physics is.
    directory : Path

    Raises
    ------
    ConfigError
        The folder is a file.
    RfxError
        A file cannot be written.
    """
    from rfx.cli.gif import gif_bytes, strip_bytes
    from rfx.cli.joint_plots import joint_bytes
    from rfx.cli.path_plots import body_bytes, path_bytes
    from rfx.cli.progress import Progress

    folder(directory)
    summary = {**summarise(motion), **about}
    files = {"summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode()}
    rows, faster = frame_rows(motion)
    notes: list[str] = []
    if len(rows):
        with Progress(float(len(rows)), "drawing") as progress:
            frames = draw_frames(motion, rows, lambda n: progress.update(float(n), "frames"))
        files["robot.png"] = strip_bytes(frames, STRIP)
        makers: dict[str, Callable[[], bytes]] = {
            "robot.gif": lambda: gif_bytes(frames, RATE),
            "path.png": lambda: path_bytes(motion),
            "body.png": lambda: body_bytes(motion),
            "joints.png": lambda: joint_bytes(motion.time_s, motion.q, motion.dq, motion.tau, motion.modes),
        }
        for name, make in makers.items():
            try:
                files[name] = make()
            except MissingDependencyError as error:
                notes.append(f"{name} is left out: {error}")
    files["report.html"] = _page(motion, summary, files, rows, faster, notes).encode()
    try:
        return write_files(directory, files)
    except OSError as error:
        raise RfxError(f"the report cannot be written into {directory}: {error}") from error


def _page(
    motion: Motion,
    summary: dict[str, Any],
    files: dict[str, bytes],
    rows: NDArray[np.intp],
    faster: float,
    notes: list[str],
) -> str:
    speed = "as fast as it was" if faster < 1.05 else f"{faster:.1f} times as fast as it was"
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(STRIP, len(rows))).round().astype(int))]
    times = ", ".join(f"{motion.time_s[row]:.1f}" for row in chosen)
    captions = {
        "robot.png": f"The robot after {times} s",
        "robot.gif": f"The run, {speed}; the camera goes along, the tiles of the floor are 25 cm wide",
        "path.png": "From above: the trunk's path by time, its heading, and where the feet came down",
        "body.png": "Height, tilt and velocity of the trunk, and which feet stood",
        "joints.png": "All joints, with their limits",
    }
    moved = "" if summary.get("can_fall", True) else " The base is fixed: it cannot walk or fall."
    text = f"{html.escape(str(summary.get('description', '')))}; {summary['seconds']:g} s.{moved}"
    parts = [f"<p>{text}</p>", *(image(name, files.get(name), caption) for name, caption in captions.items())]
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    parts.append(f"<pre>{html.escape(json.dumps(summary, indent=2))}</pre>")
    return page("rfx robot simulate", parts)


def say_written(written: list[Path]) -> None:
    """Tell where the files are."""
    print(f"robot: view: {', '.join(map(str, written))}", file=sys.stderr, flush=True)
