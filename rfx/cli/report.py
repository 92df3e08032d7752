"""What a run of the demo was like: numbers, a verdict, a table, a page."""

import hashlib
import html
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx._version import __version__
from rfx.cli.page import folder, image, page, write_files
from rfx.cli.png import png_bytes, strip
from rfx.errors import MissingDependencyError

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
STANDING_M = 0.22  # mean trunk height in "hold" above which the robot stood
LYING_M = 0.15  # trunk height below which it lies
FALLEN_RAD = 1.0  # tilt beyond which it has fallen


@dataclass(eq=False)
class DemoLog:
    """Everything that was recorded: one row per tick, joints in motor order; ``lateness_ns`` in any order."""

    time_s: NDArray[np.float64]
    q: NDArray[np.float64]
    dq: NDArray[np.float64]
    q_target: NDArray[np.float64]
    tau: NDArray[np.float64]
    height_m: NDArray[np.float64]
    tilt_rad: NDArray[np.float64]
    phases: list[tuple[str, float, float]]
    pushes: list[tuple[float, float, tuple[float, float, float]]]
    lateness_ns: NDArray[np.int64]
    work_ns: NDArray[np.int64]
    stages_ns: dict[str, NDArray[np.int64]]
    missed_ticks: int
    mode: str
    plant: str
    can_fall: bool
    pictures: list[tuple[str, NDArray[np.uint8]]] = field(default_factory=list)
    robot: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def in_phase(self, name: str) -> NDArray[np.bool_]:
        """Return which ticks belong to a phase; none where there is no such phase."""
        chosen = np.zeros(len(self.time_s), bool)
        for phase, start, end in self.phases:
            if phase == name:
                chosen |= (self.time_s >= start) & (self.time_s < end)
        return chosen


def percentiles_us(values_ns: NDArray[np.int64]) -> dict[str, float | None]:
    """Return percentiles in microseconds, None where there are no values."""
    if not len(values_ns):
        return dict.fromkeys(PERCENTILES)
    found = np.percentile(values_ns, list(PERCENTILES.values()))
    return {name: round(float(v) / 1000.0, 3) for name, v in zip(PERCENTILES, found, strict=True)}


def summarise(log: DemoLog) -> dict[str, Any]:
    """Return the numbers of a run and the verdict, as plain values that JSON can write."""
    heights, tracking = {}, {}
    for name, _, _ in log.phases:
        rows = log.in_phase(name)
        h = log.height_m[rows]
        h = h[np.isfinite(h)]
        heights[name] = {"min": _plain(h.min()), "mean": _plain(h.mean()), "max": _plain(h.max())} if len(h) else None
        error = (log.q - log.q_target)[rows]
        tracking[name] = _plain(np.sqrt(np.mean(error**2))) if len(error) else None
    return {
        "rfx": __version__,
        "mode": log.mode,
        "plant": log.plant,
        "ticks": len(log.time_s),
        "missed_ticks": log.missed_ticks,
        "seconds": _plain(log.time_s[-1]) if len(log.time_s) else 0.0,
        "lateness_us": percentiles_us(log.lateness_ns),
        "work_us": percentiles_us(log.work_ns),
        "stages_us": {name: percentiles_us(values) for name, values in log.stages_ns.items()},
        "max_tilt_deg": _largest(np.degrees(log.tilt_rad)),
        "ticks_without_tilt": int(np.count_nonzero(~np.isfinite(log.tilt_rad))),
        "height_m": heights,
        "tracking_rms_rad": tracking,
        "peak_torque_nm": _largest(np.abs(log.tau)),
        "trajectory_sha256": hashlib.sha256(np.ascontiguousarray(log.q, "<f4").tobytes()).hexdigest(),
        "phases": [list(p) for p in log.phases],
        "pushes": [[start, duration, list(force)] for start, duration, force in log.pushes],
        "robot": log.robot,
        "verdict": _verdict(log, heights, tracking),
        **log.extra,
    }


def _plain(value: Any) -> float | None:
    number = float(value)
    return round(number, 6) if math.isfinite(number) else None


def _largest(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return _plain(known.max()) if len(known) else None


def _verdict(log: DemoLog, heights: dict[str, Any], tracking: dict[str, Any]) -> dict[str, Any]:
    whole = bool(log.phases) and len(log.time_s) > 0 and log.time_s[-1] >= log.phases[-1][2] - 0.1
    if not log.can_fall:
        stood = tracking.get("hold") is not None and tracking["hold"] < 0.1
        lay = whole and tracking[log.phases[-1][0]] < 0.3
        text = "the joints followed to the standing pose and back; the base is fixed, so nothing could fall"
        if not (stood and lay):
            text = "the joints did not follow to the standing pose and back"
        return {"passed": stood and lay, "stood": stood, "fell": False, "lay_down": lay, "text": text}
    hold = heights.get("hold")
    stood = hold is not None and hold["mean"] > STANDING_M
    unknown = int(np.count_nonzero(~np.isfinite(log.tilt_rad)))
    tilted = bool((log.tilt_rad[np.isfinite(log.tilt_rad)] > FALLEN_RAD).any())
    fell = tilted or (hold is not None and hold["min"] < LYING_M)
    finite = log.height_m[np.isfinite(log.height_m)]
    lay = whole and len(finite) > 0 and bool(finite[-1] < LYING_M)
    if fell:
        text = "the robot FELL"
    elif unknown:
        text = f"the tilt is not known at {unknown} of {len(log.tilt_rad)} ticks, so a fall cannot be ruled out"
    elif stood and lay:
        pushed = ", kept its feet under a push" if log.pushes else ""
        text = f"the robot stood up{pushed} and lay down again; it never fell"
    else:
        text = f"the robot did not {'stand up' if not stood else 'lie down again'}"
    return {
        "passed": stood and lay and not fell and not unknown,
        "stood": stood,
        "fell": fell,
        "lay_down": lay,
        "text": text,
    }


def format_table(summary: dict[str, Any]) -> str:
    """Write the summary as the table that ``rfx demo`` prints."""
    lines = [
        f"{summary['plant']}",
        f"{summary['mode']}, {summary['ticks']} ticks in {summary['seconds']:.2f} s, {summary['missed_ticks']} missed",
        "",
        f"{'us per tick':<22}" + "".join(f"{name:>10}" for name in PERCENTILES),
    ]
    late = "lateness (robot time)" if summary["mode"] == "lockstep" else "lateness"
    rows = [(late, summary["lateness_us"]), ("work", summary["work_us"])]
    rows += [(f"  {name}", values) for name, values in summary["stages_us"].items()]
    for name, values in rows:
        cells = ("-" if v is None else f"{v:.1f}" for v in (values[p] for p in PERCENTILES))
        lines.append(f"{name:<22}" + "".join(f"{cell:>10}" for cell in cells))
    lines += ["", f"{'phase':<14}{'from':>8}{'to':>8}{'height':>18}{'tracking':>14}"]
    for name, start, end in summary["phases"]:
        h, rms = summary["height_m"][name], summary["tracking_rms_rad"][name]
        height = "-" if h is None else f"{h['min']:.3f}..{h['max']:.3f} m"
        error = "-" if rms is None else f"{rms:.4f} rad"
        lines.append(f"{name:<14}{start:>6.2f} s{end:>6.2f} s{height:>18}{error:>14}")
    for start, duration, force in summary["pushes"]:
        lines.append(f"push of {math.hypot(*force):.0f} N for {duration:g} s at {start:.2f} s")
    peaks = (("tilt", summary["max_tilt_deg"], "deg"), ("torque", summary["peak_torque_nm"], "Nm"))
    known = [f"largest {name} {value:.1f} {unit}" for name, value, unit in peaks if value is not None]
    lines += [", ".join(known)] if known else []
    lines += ["", f"{'PASSED' if summary['verdict']['passed'] else 'FAILED'}: {summary['verdict']['text']}"]
    return "\n".join(lines)


def write_report(log: DemoLog, summary: dict[str, Any], directory: Path) -> list[Path]:
    """Write summary.json, plots.png, joints.png, robot.png and report.html; each appears whole or not at all.

    Without pictures robot.png and joints.png are left out; without matplotlib the plots are, and the page says so.
    Returns the files that were written.
    """
    folder(directory)
    files = {"summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode()}
    try:
        from rfx.cli.joint_plots import joint_bytes
        from rfx.cli.plots import plot_bytes

        files["plots.png"] = plot_bytes(log)
        if log.pictures:
            files["joints.png"] = joint_bytes(log.time_s, log.q, log.dq, log.tau, log.phases, target=log.q_target)
        note = ""
    except MissingDependencyError as error:
        note = str(error)
    if log.pictures:
        files["robot.png"] = png_bytes(strip([picture for _, picture in log.pictures]))
    files["report.html"] = _page(log, summary, files, note).encode()
    return write_files(directory, files)


def _page(log: DemoLog, summary: dict[str, Any], files: dict[str, bytes], note: str) -> str:
    passed = summary["verdict"]["passed"]
    moments = "; ".join(title for title, _ in log.pictures)
    verdict = f"<strong>{'Passed' if passed else 'Failed'}</strong>: {html.escape(summary['verdict']['text'])}."
    parts = [
        f'<p class="{"ok" if passed else "bad"}">{verdict}</p>',
        image("robot.png", files.get("robot.png"), f"The robot as recorded: {moments}"),
        image("plots.png", files.get("plots.png"), "Joints, body and timing over the run"),
        image("joints.png", files.get("joints.png"), "All joints, with their limits"),
        f"<p>{html.escape(note)}</p>" if note else "",
        f"<pre>{html.escape(format_table(summary))}</pre>",
    ]
    return page("rfx demo", parts)
