"""Position, velocity and torque of all twelve joints on one sheet, each against its limits."""

import io
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx.cli.colours import BLUE, GREY, ORANGE, RED, canvas
from rfx.robots.go2 import GO2, LEGS, PARTS

Array = NDArray[np.float64]
Spans = list[tuple[str, float, float]]

MOST_POINTS = 1200  # of one line; more would not be seen
KINDS = ("q (rad)", "dq (rad/s)", "tau (Nm)")


def thin(time_s: Array, values: Array, most: int = MOST_POINTS) -> tuple[Array, Array]:
    """Return a line of at most ``most`` points that still shows every peak: the ends and extremes of each stretch."""
    n = len(time_s)
    if n <= most:
        return time_s, values
    edges = np.linspace(0, n, max(1, most // 2) + 1).astype(int)
    chosen = []
    for a, b in itertools.pairwise(edges):
        low, high = a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b]))
        chosen += sorted((low, high))
    return time_s[chosen], values[chosen]


def limits_of(joint: Any) -> list[tuple[float, float]]:
    """Return the limits of a joint's position, velocity and torque."""
    speed, effort = joint.velocity_max, joint.effort_max
    return [(joint.position_min, joint.position_max), (-speed, speed), (-effort, effort)]


def shade(axes: Any, spans: Spans, names: bool = False) -> None:
    """Mark the stretches of a run by a shade, every other one darker; their names above where there is room."""
    whole = (spans[-1][2] - spans[0][1]) if spans else 0.0
    for i, (name, start, end) in enumerate(spans):
        axes.axvspan(start, end, color=GREY, alpha=0.2 if i % 2 else 0.06, lw=0)
        if names and end - start > 0.009 * len(name) * whole:
            place = ((start + end) / 2, 1.02)
            axes.annotate(
                name, place, xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8, color="#444444"
            )


def joint_bytes(
    time_s: Array, q: Array, dq: Array, tau: Array, spans: Spans, *, target: Array | None = None, title: str = ""
) -> bytes:
    """Return the sheet as the bytes of a PNG file.

    Parameters
    ----------
    time_s : ndarray, shape (N,)
    q, dq, tau : ndarray, shape (N, 12)
        In motor order: rad, rad/s, Nm.
    spans : list of (str, float, float)
        Name, start and end (s) of each stretch of the run.
    target : ndarray, shape (N, 12), optional
        Joint positions that were asked for.
    title : str
        Above the sheet.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    figure = canvas((14, 15), layout=None)  # to lay out 36 axes by what is in them takes seconds
    space = {"left": 0.08, "right": 0.99, "bottom": 0.035, "top": 0.95, "wspace": 0.15, "hspace": 0.12}
    grid = figure.subplots(9, 4, gridspec_kw=space)
    for i, joint in enumerate(GO2.joints):
        leg, part = divmod(i, 3)
        for kind, values in enumerate((q, dq, tau)):
            axes = grid[3 * kind + part, leg]
            if kind == 0 and target is not None:
                axes.plot(*thin(time_s, target[:, i]), color=GREY, lw=2.2)
            axes.plot(*thin(time_s, values[:, i]), color=ORANGE if kind == 2 else BLUE, lw=0.9)
            _fence(axes, *limits_of(joint)[kind])
            shade(axes, spans)
            if len(time_s) > 1:
                axes.set_xlim(time_s[0], time_s[-1])
            axes.tick_params(labelsize=8)
            if leg == 0:
                axes.set_ylabel(f"{PARTS[part]}\n{KINDS[kind]}", fontsize=9)
            elif not (leg == 2 and kind == 0 and part == 1):  # the rear thighs travel differently
                axes.set_yticks([])
            if kind != 2 or part != 2:
                axes.set_xticks([])
    for leg, name in enumerate(LEGS):
        grid[0, leg].set_title(name, fontsize=11)
        grid[8, leg].set_xlabel("time (s)", fontsize=9)
    lines = "" if target is None else "; grey: wanted position"
    figure.suptitle(f"{title or 'Joints'} (dashed: limits{lines})", fontsize=13, y=0.988)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def _fence(axes: Any, low: float, high: float) -> None:
    """Draw two limits, and leave a little room beyond them; what goes further is cut off."""
    room = 0.08 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_yticks([low, 0.5 * (low + high), high])
    axes.yaxis.set_major_formatter(lambda value, _: f"{round(value, 2):g}")
    for value in (low, high):
        axes.axhline(value, color=RED, lw=1, ls="--")
