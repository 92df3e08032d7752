"""Where a robot went, seen from above with its footsteps, and how its trunk and feet moved over time."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.cli.colours import BLUE, GREEN, GREY, LEG_COLOURS, ORANGE, canvas
from rfx.cli.joint_plots import shade, thin
from rfx.cli.tape import Motion
from rfx.math import Quaternion
from rfx.robots.go2 import LEGS
from rfx.sim.gait import feet_of

Array = NDArray[np.float64]

ARROWS = 14
TOUCH_N = 5.0  # a foot that is pressed with more stands
MOST_STEPS = 2000
WINDOW_S = 2.0  # of the feet's contacts, where it walked fastest
WALKS_MS = 0.1


def footsteps(motion: Motion) -> list[tuple[int, float, float]]:
    """Return where feet came down: leg, x, y in the world (m)."""
    stands = motion.foot_force > TOUCH_N
    rows, legs = np.nonzero(stands[1:] & ~stands[:-1])
    steps = []
    for row, leg in list(zip(rows + 1, legs, strict=True))[:MOST_STEPS]:
        if np.isfinite(motion.q[row]).all():
            turn = np.asarray(Quaternion(*map(float, motion.quaternion[row])).to_rotation_matrix())
            x, y, _ = motion.position[row] + turn @ feet_of(motion.q[row])[leg]
            steps.append((int(leg), float(x), float(y)))
    return steps


def path_bytes(motion: Motion) -> bytes:
    """Return the view from above as the bytes of a PNG file: path by time, heading as arrows, footsteps by leg.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    x, y = motion.position[:, 0], motion.position[:, 1]
    wide, high = (max(float(np.ptp(v)) if len(v) else 0.0, 0.3) + 0.7 for v in (x, y))
    scale = 9.0 / max(wide, high)
    figure = canvas((max(5.0, wide * scale) + 1.5, max(3.6, high * scale) + 0.8))
    axes = figure.subplots()
    for leg, name in enumerate(LEGS):
        places = np.array([(a, b) for i, a, b in footsteps(motion) if i == leg]).reshape(-1, 2)
        axes.plot(*places.T, "o", color=LEG_COLOURS[name], ms=4.5, alpha=0.85, label=f"{name} came down", mew=0)
    seen = axes.scatter(x, y, c=motion.time_s, s=5, cmap="viridis", zorder=3)
    _arrows(axes, motion)
    if len(x):
        axes.plot(x[0], y[0], "o", color="black", mfc="white", ms=9, mew=1.6, label="start", zorder=5)
        axes.plot(x[-1], y[-1], "s", color="black", ms=8, label="end", zorder=5)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.grid(color="#dddddd", lw=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")
    axes.legend(fontsize=8, loc="best", framealpha=0.85)
    figure.colorbar(seen, ax=axes, label="time (s)", shrink=0.8)
    walked = float(np.hypot(np.diff(x), np.diff(y)).sum())
    axes.set_title(f"The trunk from above: {walked:.2f} m walked, arrows show where it faces", fontsize=11)
    return _png(figure, 100)


def _arrows(axes: Any, motion: Motion) -> None:
    """Arrows along the heading, evenly spread over the way (and over the turns, 0.5 m for a radian)."""
    if len(motion.time_s) < 2:
        return
    moved = np.hypot(*np.diff(motion.position[:, :2], axis=0).T) + 0.5 * np.abs(np.diff(motion.heading_rad))
    way = np.append(0.0, np.cumsum(moved))
    rows = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], ARROWS)).clip(0, len(way) - 1))
    heading = motion.heading_rad[rows]
    axes.quiver(
        *motion.position[rows, :2].T,
        0.15 * np.cos(heading),
        0.15 * np.sin(heading),
        angles="xy",
        scale_units="xy",
        scale=1.0,
        width=0.004,
        color="#333333",
        zorder=4,
    )


def body_bytes(motion: Motion) -> bytes:
    """Return height, tilt, velocities and the feet's contacts over time as the bytes of a PNG file.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    time_s, heading = motion.time_s, motion.heading_rad
    c, s = np.cos(heading), np.sin(heading)
    vx = c * motion.velocity[:, 0] + s * motion.velocity[:, 1]
    vy = c * motion.velocity[:, 1] - s * motion.velocity[:, 0]
    figure = canvas((12, 9.5))
    rows = figure.subplots(4, 1, gridspec_kw={"height_ratios": [1, 1, 1.2, 1.1]})
    lines = [
        (0, motion.position[:, 2], BLUE, "height (m)", ""),
        (1, np.degrees(motion.tilt_rad), ORANGE, "tilt (deg)", ""),
        (2, vx, BLUE, "velocity (m/s)", "forwards"),
        (2, vy, GREEN, "velocity (m/s)", "to the left"),
    ]
    for row, values, colour, label, name in lines:
        rows[row].plot(*thin(time_s, values), color=colour, lw=1.1, label=name)
        rows[row].set_ylabel(label)
    for i in range(3):
        shade(rows[i], motion.modes, names=i == 0)
        rows[i].grid(axis="y", color="#dddddd", lw=0.6)
        if len(time_s) > 1:
            rows[i].set_xlim(time_s[0], time_s[-1])
        rows[i].tick_params(labelbottom=i == 2)
    rows[2].set_xlabel("time (s)")
    rows[2].legend(fontsize=8, ncols=2, frameon=False, loc="upper right")
    _contacts(rows[3], motion, np.hypot(vx, vy))
    return _png(figure, 90)


def _contacts(axes: Any, motion: Motion, speed: Array) -> None:
    """Which feet stood, over the stretch in which it was fastest."""
    time_s = motion.time_s
    if not len(time_s):
        axes.set_axis_off()
        return
    width = max(1, int(np.searchsorted(time_s, time_s[0] + WINDOW_S)))
    mean = np.convolve(speed, np.ones(width) / width, "valid") if len(speed) >= width else speed[:1]
    begin = int(np.argmax(mean))
    part = slice(begin, begin + width + 1)
    edges = time_s[part]
    for leg, name in enumerate(LEGS):
        stands = motion.foot_force[part, leg] > TOUCH_N
        axes.fill_between(
            edges, leg - 0.36, leg + 0.36, where=stands, step="post", color=LEG_COLOURS[name], lw=0, alpha=0.9
        )
    axes.set_yticks(range(4), LEGS)
    axes.invert_yaxis()
    axes.set_xlim(edges[0], max(edges[-1], edges[0] + 0.01))
    axes.set_xlabel("time (s)")
    fast = float(mean[begin])
    what = f"where it was fastest, {fast:.2f} m/s" if fast > WALKS_MS else "it did not walk"
    axes.set_title(f"Feet on the floor ({what})", fontsize=10, color="#333333")
    axes.grid(axis="x", color=GREY, lw=0.4, alpha=0.5)


def _png(figure: Any, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
