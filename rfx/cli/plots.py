"""The plots of the demo's report."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from rfx.cli.colours import BLUE, GREEN, GREY, ORANGE, RED, canvas
from rfx.robots.go2 import MOTOR_NAMES

if TYPE_CHECKING:
    from rfx.cli.report import DemoLog


def plot_bytes(log: "DemoLog") -> bytes:
    """Return the plots as the bytes of a PNG file; MissingDependencyError without matplotlib."""
    figure = canvas((12, 10))
    grid = figure.add_gridspec(5, 3, height_ratios=[1, 1, 1, 1.1, 1.1])
    for row, part in enumerate(("hip", "thigh", "calf")):
        axes = figure.add_subplot(grid[row, :2])
        _joints(axes, log, part)
        _shade(axes, log, names=row == 0)
        if row < 2:
            axes.tick_params(labelbottom=False)
    _torque(figure.add_subplot(grid[0:3, 2]), log)
    height = figure.add_subplot(grid[3, :2])
    _line(height, log, log.height_m, "trunk height (m)", BLUE)
    tilt = figure.add_subplot(grid[4, :2])
    _line(tilt, log, np.degrees(log.tilt_rad), "tilt (deg)", ORANGE)
    tilt.set_xlabel("time (s)")
    _histogram(figure.add_subplot(grid[3, 2]), log.work_ns, "work per tick", BLUE)
    late = "lateness (robot time)" if log.mode == "lockstep" else "lateness"
    _histogram(figure.add_subplot(grid[4, 2]), log.lateness_ns, late, ORANGE)
    figure.suptitle(f"rfx demo, {log.mode}: FR leg and body", fontsize=13)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _shade(axes: Any, log: "DemoLog", names: bool) -> None:
    for i, (name, start, end) in enumerate(log.phases):
        axes.axvspan(start, end, color=GREY, alpha=0.18 if i % 2 else 0.05, lw=0)
        if names:
            middle = (start + end) / 2
            axes.annotate(
                name, (middle, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8, color="#444444"
            )
    for start, duration, _ in log.pushes:
        axes.axvspan(start, start + duration, color=RED, alpha=0.5, lw=0)
    if len(log.time_s):
        axes.set_xlim(log.time_s[0], log.time_s[-1])


def _joints(axes: Any, log: "DemoLog", part: str) -> None:
    i = MOTOR_NAMES.index(f"FR_{part}")
    axes.plot(log.time_s, log.q_target[:, i], color=GREY, lw=2.5, label="target")
    axes.plot(log.time_s, log.q[:, i], color=BLUE, lw=1, label="measured")
    axes.set_ylabel(f"FR {part} (rad)")
    if part == "hip":
        axes.legend(loc="upper right", fontsize=8, frameon=False, ncols=2)


def _line(axes: Any, log: "DemoLog", values: Any, label: str, colour: str) -> None:
    axes.plot(log.time_s, values, color=colour, lw=1.2)
    axes.set_ylabel(label)
    _shade(axes, log, names=False)
    if log.pushes and np.isfinite(values).any():
        start, _, force = log.pushes[0]
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.18 * (high - low))  # room for the label above every curve
        axes.annotate(
            f"push {np.linalg.norm(force):.0f} N ",
            (start, 0.88),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            ha="right",
        )


def _torque(axes: Any, log: "DemoLog") -> None:
    peak = np.abs(log.tau).max(axis=0) if len(log.tau) else np.zeros(12)
    colours = [{"hip": BLUE, "thigh": GREEN, "calf": ORANGE}[name.split("_")[1]] for name in MOTOR_NAMES]
    axes.barh(range(12), peak, color=colours)
    axes.set_yticks(range(12), [name.replace("_", " ") for name in MOTOR_NAMES], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("largest torque (Nm)")


def _histogram(axes: Any, values_ns: Any, label: str, colour: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    every = np.asarray(values_ns, float) / 1000.0
    micro = every[every > 0]
    if not len(micro):
        axes.text(0.5, 0.5, f"{label}: 0 at every tick", ha="center", va="center", transform=axes.transAxes, fontsize=9)
        axes.set_axis_off()
        return
    low, high = max(micro.min(), 0.1), max(micro.max(), micro.min() * 1.5)
    axes.hist(micro, bins=list(np.geomspace(low, high, 50)), color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    # plain numbers, few of them: within one decade the default crowds the axis with labels like 3 x 10^2
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{label} (us)")
    axes.set_ylabel("ticks")
    for q, style in ((50, "-"), (99, "--")):
        at = np.percentile(every, q)  # of all ticks, as in the table; 0 has no place on this axis
        if at > 0:
            axes.axvline(at, color="#333333", lw=1, ls=style, label=f"p{q}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
